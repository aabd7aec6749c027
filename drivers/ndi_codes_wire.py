"""What the camera's error, warning and status codes mean, each with what a person does about it."""

import msgspec


class Meaning(msgspec.Struct, frozen=True):
    what: str
    remedy: str


ERROR_DAMAGED = 0x04
NOT_KNOWN_ERRORS = frozenset({0x01, 0x07, 0x23, 0x32, 0x33})  # the camera lacks the command or its arguments
WRONG_STATE_ERRORS = frozenset({0x0C, 0x0E, 0x0F, 0x10})  # the camera restarted or left tracking
SYSTEM_HANDLE_OCCUPIED = 6  # bits of the system status
SYSTEM_HANDLE_UNOCCUPIED = 7
SYSTEM_DIAGNOSTIC = 8

_RESTART = "Switch the camera off and on; if it comes back, call NDI service."
_OURS = "This is a fault of the program: keep the log and report it."
_FILE = "Export the tool's .rom file again from NDI 6D Architect and name it in the chair's file."
_TOOLS = "Check which .rom files the chair's file names; two tools must not have the same marker geometry."
_OWNER = "Close the other program that owns the camera (NDI ToolBox, Track), then it is tried again."
_AGAIN = "It is set up again by itself."

ERRORS = {
    0x01: Meaning("the camera does not know the command", _OURS),
    0x02: Meaning("the command was too long", _OURS),
    0x03: Meaning("the command was too short", _OURS),
    0x04: Meaning("the command arrived damaged", "It is sent again; if it stays, check the cable."),
    0x05: Meaning("the command arrived too slowly", "It is sent again; if it stays, check the cable."),
    0x06: Meaning("the line settings are refused", "Choose another baud rate in the chair's file."),
    0x07: Meaning("the command has the wrong number of parameters", _OURS),
    0x08: Meaning("the port handle is not valid", _AGAIN),
    0x09: Meaning("the tool's priority is not valid", _OURS),
    0x0A: Meaning("the LED is not valid", _OURS),
    0x0B: Meaning("the LED state is not valid", _OURS),
    0x0C: Meaning("the command is not allowed in this mode", _AGAIN),
    0x0D: Meaning("no tool is on the handle", _TOOLS),
    0x0E: Meaning("the handle is not initialised", _AGAIN),
    0x0F: Meaning("the handle is not enabled", _AGAIN),
    0x10: Meaning("the camera is not initialised", _AGAIN),
    0x11: Meaning("tracking cannot be stopped", _RESTART),
    0x12: Meaning("tracking cannot be started", _TOOLS),
    0x13: Meaning("the tool definition is damaged", _FILE),
    0x14: Meaning("the sensors' characterisation is not valid", "The camera must be characterised again: call NDI service."),
    0x15: Meaning("the camera cannot initialise itself", _RESTART),
    0x16: Meaning("diagnostics cannot be started", _RESTART),
    0x17: Meaning("diagnostics cannot be stopped", _RESTART),
    0x19: Meaning("the firmware version cannot be read", _RESTART),
    0x1A: Meaning("internal error of the camera", _RESTART),
    0x1C: Meaning("a marker's signature is wrong", _FILE),
    0x1E: Meaning("the tool's memory cannot be read", _FILE),
    0x1F: Meaning("the tool's memory cannot be written", _FILE),
    0x21: Meaning("the current test failed", "Check the wired tool."),
    0x22: Meaning("the tool's wavelength is not supported", _FILE),
    0x23: Meaning("a parameter is out of range", _OURS),
    0x24: Meaning("there is no such measuring volume", _OURS),
    0x25: Meaning("the camera cannot tell its features", _RESTART),
    0x28: Meaning("too many tools, or tools that exclude each other", _TOOLS),
    0x2A: Meaning("the camera's memory is full", _RESTART),
    0x2B: Meaning("the handle was never given out", _AGAIN),
    0x2C: Meaning("the handle is unoccupied", _AGAIN),
    0x2D: Meaning("no handles are left", "Close other programs that load tools, or switch the camera off and on."),
    0x2E: Meaning("the camera's firmware parts do not fit each other", "Update the firmware with NDI's own program."),
    0x2F: Meaning("the port description is not valid", _OURS),
    0x30: Meaning("the port is already assigned", _AGAIN),
    0x32: Meaning("not valid for this device", _OURS),
    0x33: Meaning("the camera lacks the feature", "Use a camera that has it."),
    0x34: Meaning("there is no such parameter", "The camera's firmware may be too old for it."),
    0x35: Meaning("the parameter's value has the wrong type", _OURS),
    0x36: Meaning("the parameter's value is out of range", "Choose a rate that this camera knows."),
    0x37: Meaning("the parameter's index is out of range", _OURS),
    0x38: Meaning("the parameter's size is wrong", _OURS),
    0x39: Meaning("another host owns the camera, or the parameter is read-only", _OWNER),
    0x3B: Meaning("a file of the camera is missing", _RESTART),
    0x3C: Meaning("a file of the camera cannot be written", _RESTART),
    0x3D: Meaning("a file of the camera cannot be read", _RESTART),
    0x40: Meaning("the tool definition file is bad", _FILE),
    0x41: Meaning("the tool's characteristics are not supported", _FILE),
    0x42: Meaning("the device is not present", "Check the camera's cables."),
    0xF1: Meaning("too much infrared light in the room", "Shade windows and switch off surgical or infrared lamps."),
    0xF4: Meaning("the camera's flash memory cannot be erased", _RESTART),
    0xF5: Meaning("the camera's flash memory cannot be written", _RESTART),
    0xF6: Meaning("the camera's flash memory cannot be read", _RESTART),
}

WARNINGS = {
    0x01: Meaning("the camera may have a hardware fault", "Read its own diagnostics before treating."),
    0x02: Meaning("the tool's markers do not have a geometry of their own", _TOOLS),
    0x03: Meaning("the tool does not go together with the others", _TOOLS),
    0x04: Meaning("the tool neither has a geometry of its own nor goes together with the others", _TOOLS),
    0x05: Meaning("the tool definition names no wavelength; the default is used", _FILE),
    0x06: Meaning("the camera has a remark on its own start", "Read its messages with NDI's program before treating."),
}

SYSTEM_STATUS = {
    0: Meaning("the camera's internal communication lost its beat", _RESTART),
    1: Meaning("too much infrared light in the room", "Shade windows and switch off surgical or infrared lamps."),
    2: Meaning("the camera found a damaged block of its own data", _RESTART),
    3: Meaning("the camera had an error while computing and went on", _RESTART),
    4: Meaning("the camera reports a hardware failure", _RESTART),
    5: Meaning("the camera's hardware changed", _RESTART),
    6: Meaning("a tool was connected to the camera", _AGAIN),
    7: Meaning("a tool was disconnected from the camera", _AGAIN),
    8: Meaning("the camera has a diagnostic message", "Read it with NDI's program; if the camera was bumped, check its accuracy first."),
    9: Meaning("the camera's temperature is out of range", "Let it warm up, and free its air vents."),
    10: Meaning("the camera's hardware configuration changed", _RESTART),
}

# What a BX2 reply may carry beside poses: by kind (0 fault, 1 alert, 2 event) and code.
_SERVICE = "Do not treat with this camera until NDI service has seen it."
_WARM = "Let it warm up or cool down, and free its air vents."
ALERTS = {
    (0, 1): Meaning("a parameter of the camera is fatally wrong", _SERVICE),
    (0, 2): Meaning("a parameter of a sensor is wrong", _SERVICE),
    (0, 3): Meaning("the camera's main voltage is wrong", "Check its power supply; " + _SERVICE),
    (0, 4): Meaning("a sensor's voltage is wrong", _SERVICE),
    (0, 5): Meaning("an illuminator's voltage is wrong", _SERVICE),
    (0, 6): Meaning("an illuminator's current is wrong", _SERVICE),
    (0, 7): Meaning("a sensor's temperature is out of range", _WARM),
    (0, 8): Meaning("a sensor's temperature is out of range", _WARM),
    (0, 9): Meaning("the camera's main temperature is out of range", _WARM),
    (0, 10): Meaning("a sensor works wrongly", _SERVICE),
    (1, 1): Meaning("the camera's battery is low", "Have it replaced at the next service."),
    (1, 2): Meaning("the camera was bumped", "Check its accuracy with NDI's kit, then clear the bump with NDI's program."),
    (1, 3): Meaning("the camera's firmware parts do not fit each other", "Update the firmware with NDI's own program."),
    (1, 4): Meaning("a parameter of the camera is wrong", "Read its own diagnostics before treating."),
    (1, 5): Meaning("the camera's memory for messages is full", "Clear it with NDI's program."),
    (1, 7): Meaning("the camera was stored too hot or too cold", "Check its accuracy with NDI's kit before treating."),
    (1, 8): Meaning("the camera is too warm", _WARM),
    (1, 9): Meaning("the camera is too cold", _WARM),
    (1, 10): Meaning("the camera lost its system control unit", "Check its cables."),
    (1, 14): Meaning("the camera lost the network's clock", "Check the network; poses are dated by the frame counter all the same."),
    (2, 1): Meaning("a tool was plugged in", _AGAIN),
    (2, 2): Meaning("a tool was unplugged", _AGAIN),
    (2, 3): Meaning("a strober was plugged in", _AGAIN),
    (2, 4): Meaning("a strober was unplugged", _AGAIN),
}


def error_meaning(code: int) -> Meaning:
    return ERRORS.get(code, Meaning(f"the camera reports the reserved error {code:02X}", _RESTART))


def warning_meaning(code: int) -> Meaning:
    return WARNINGS.get(code, Meaning(f"the camera gives the unknown warning {code:02X}", "Note it and tell the lab engineer."))


def alert_meaning(kind: int, code: int) -> Meaning:
    return ALERTS.get(
        (kind, code), Meaning(f"the camera gives the unknown alert {kind}/{code}", "Read it with NDI's program before treating.")
    )
