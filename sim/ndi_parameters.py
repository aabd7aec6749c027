"""The simulated camera's user parameters: what GET, GETINFO, SET and DFLT find. No modes, no handles."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sim.ndi_models import HIGHEST_HZ, ILLUMINATED_HZ, LOWEST_HZ, Model

NO_SUCH_PARAMETER = 0x34
WRONG_TYPE = 0x35
OUT_OF_RANGE = 0x36
READ_ONLY = 0x39

FRAME_HZ = "Param.Tracking.Frame Frequency"
TRACK_RATE = "Param.Tracking.Track Frequency"  # 0 every third, 1 every second, 2 every frame
ILLUMINATOR = "Param.Tracking.Illuminator Rate"  # 0 20 Hz, 1 30 Hz, 2 60 Hz
BUMPED = "Info.Status.Bump Detected"
DEVICE_PREFIX = "PS-0."


@dataclass(slots=True)
class Parameter:
    """`low` and `high` None: text; else whole numbers between them."""

    value: str
    description: str
    writable: bool = False
    low: int | None = None
    high: int | None = None


class Parameters:
    """A table by name; `changed` is told after each write."""

    def __init__(self, table: dict[str, Parameter], changed: Callable[[str], None]) -> None:
        self._table = table
        self._defaults = {name: parameter.value for name, parameter in table.items()}
        self._changed = changed

    def number(self, name: str) -> int:
        return int(self._table[name].value)

    def note(self, name: str, value: str) -> None:
        """The camera itself sets one."""
        self._table[name].value = value

    def matching(self, pattern: str) -> dict[str, str]:
        """Values whose names match (`*` is any text); empty when there are none."""
        pattern = pattern.removeprefix(DEVICE_PREFIX)
        return {name: parameter.value for name, parameter in self._table.items() if fnmatchcase(name, pattern.replace("[", "[[]"))}

    def information(self, pattern: str) -> str:
        """GETINFO's lines: name=value;type;attribute;minimum;maximum;enumeration;description."""
        lines = []
        for name in self.matching(pattern):
            entry = self._table[name]
            kind = "text" if entry.low is None else "integer"
            limits = ";" if entry.low is None else f"{entry.low};{entry.high}"
            lines.append(f"{name}={entry.value};{kind};{'rw' if entry.writable else 'r'};{limits};;{entry.description}")
        return "\n".join(lines)

    def write(self, name: str, value: str) -> int | None:
        """An error code, or None when the value was taken."""
        name = name.removeprefix(DEVICE_PREFIX)
        entry = self._table.get(name)
        if entry is None:
            return NO_SUCH_PARAMETER
        if not entry.writable:
            return READ_ONLY
        if entry.low is not None and entry.high is not None:
            if not value.lstrip("-").isdecimal():
                return WRONG_TYPE
            if not entry.low <= int(value) <= entry.high:
                return OUT_OF_RANGE
        entry.value = value
        self._changed(name)
        return None

    def reset(self, pattern: str) -> int | None:
        """Give every writable match its first value; an error code where nothing matches."""
        names = list(self.matching(pattern))
        for name in names:
            if self._table[name].writable:
                self.write(name, self._defaults[name])
        return None if names else NO_SUCH_PARAMETER


# Longest reply times as a unit of the family told them.
TIMEOUTS_S = {"INIT": 4, "RESET": 15, "PINIT": 6, "TSTART": 6, "TX": 4, "BX": 4, "GET": 8, "SET": 8, "SAVE": 8, "GETINFO": 15}
TIMEOUTS_S |= dict.fromkeys(
    ("COMM", "VER", "PHSR", "PHRQ", "PENA", "PDIS", "PHF", "PVWR", "PHINF", "TSTOP", "BEEP", "APIREV", "SSTAT", "SFLIST"), 2
)


def table_of(model: Model, rate_hz: int, serial: str) -> dict[str, Parameter]:
    """What clients are known to ask a Polaris for."""
    table = {
        FRAME_HZ: Parameter(str(rate_hz), "Frames per second", not model.illuminated, LOWEST_HZ, HIGHEST_HZ),
        TRACK_RATE: Parameter("2", "Share of frames that are tracked", True, 0, 2),
        "Param.Tracking.Available Volumes": Parameter("Pyramid;Extended Pyramid", "Measuring volumes"),
        "Param.Tracking.Selected Volume": Parameter("0", "Measuring volume in use", True, 0, 1),
        "Param.Tracking.Sensitivity": Parameter("4", "Sensor sensitivity", True, 1, 7),
        "Param.Default Wavelength.Return Warning": Parameter("1", "Warn when a tool file names none", True, 0, 1),
        "Param.System Beeper": Parameter("1", "Beeper", True, 0, 1),
        "Param.Bump Detector.Bump Detection": Parameter("1", "Bump detection", True, 0, 1),
        "Param.Watch Dog Timer": Parameter("0", "Seconds without a host before tracking stops", True, 0, 100),
        "Param.Simulated Alerts": Parameter("0", "Alerts for tests", True, 0, 65535),
        "Info.Status.Alerts": Parameter("0", "Alerts that stand"),
        "Info.Status.New Alerts": Parameter("0", "Alerts since the last look"),
        "Info.Status.System Mode": Parameter("Initialized", "Mode"),
        BUMPED: Parameter("0", "A bump was detected"),
        "Features.Firmware.Version": Parameter(model.firmware, "Firmware"),
        "Features.Hardware.Serial Number": Parameter(serial, "Serial number"),
        "Features.Hardware.Model": Parameter(f"{model.title} (simulated)", "Model"),
        "Features.Tools.Passive Ports": Parameter("25", "Passive tools at a time"),
        "Device.Type.0": Parameter("PS", "Kind of the first device"),
        "Device.Instance.0": Parameter("0", "Instance of the first device"),
    }
    if model.illuminated:
        table[ILLUMINATOR] = Parameter(str(ILLUMINATED_HZ.index(rate_hz)), "0 20 Hz, 1 30 Hz, 2 60 Hz", True, 0, 2)
    for command, seconds in TIMEOUTS_S.items():
        table[f"Info.Timeout.{command}"] = Parameter(str(seconds), "Longest reply time in seconds")
    return table
