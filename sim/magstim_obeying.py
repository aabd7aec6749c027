"""What a simulated Magstim does on each command, and what it answers. No time of its own: it acts on the device it is given."""

from drivers.magstim_command_wire import (
    ARM_MODE,
    DISARM_MODE,
    Ask,
    BadCommand,
    Command,
    DisableRemote,
    EnableRemote,
    Heard,
    IgnoreCoilSwitch,
    SetChargeDelay,
    SetDuration,
    SetEnhanced,
    SetFrequency,
    SetHighResolution,
    SetInterval,
    SetMode,
    SetPower,
    SetPowerB,
    SetPulses,
    UnknownLetter,
)
from drivers.magstim_wire import (
    SIMULATOR_PAD,
    Ack,
    BadData,
    ChargeDelay,
    Conflict,
    ErrorCode,
    NoSuchCommand,
    PairParameters,
    RapidAck,
    RapidParameters,
    Reply,
    SimulatorMark,
    SystemMode,
    SystemStatus,
    Temperature,
    Version,
)
from sim.magstim_machine import MagstimMachine


def answer(device: MagstimMachine, heard: Heard, now_ns: int) -> Reply:
    """Do it, or not, and say so. What was refused does not count as a sign of life from the host."""
    if isinstance(heard, UnknownLetter):
        return NoSuchCommand()
    if isinstance(heard, BadCommand):
        return BadData(letter=heard.letter)
    letter = chr(heard.body(device.dialect)[0])
    if letter in device.faults.misunderstands:
        return BadData(letter=letter)
    if letter in device.faults.conflicts_with:
        return Conflict(letter=letter)
    reply = _told(device, heard, now_ns) if isinstance(heard, Ask) else _obeyed(device, heard, letter, now_ns)
    if not isinstance(reply, BadData | Conflict | Version):
        device.was_asked(now_ns)
    return reply


def _obeyed(device: MagstimMachine, command: Command, letter: str, now_ns: int) -> Reply:
    if isinstance(command, EnableRemote):
        return _take_remote(device, command, now_ns)
    if isinstance(command, DisableRemote):
        device.disarm(now_ns)
        device.remote = False
        return Ack(letter="R", status=device.status(now_ns))
    if isinstance(command, SetMode):
        return _obey_mode(device, command, now_ns)
    if not device.remote or _conflicts(device, command, now_ns):
        return Conflict(letter=letter)
    before, rapid = device.status(now_ns), device.rapid_status(now_ns)
    if not _set(device, command, now_ns):
        return BadData(letter=letter)
    if isinstance(command, SetChargeDelay) and device.dialect.has_long_delay:
        return SystemStatus(letter=letter, status=before, rapid=rapid, extended=device.extended_status())
    if isinstance(command, SetFrequency | SetPulses | SetDuration | SetEnhanced | SetChargeDelay):
        return RapidAck(letter=letter, status=before, rapid=rapid)
    return Ack(letter=letter, status=before)


def _take_remote(device: MagstimMachine, command: EnableRemote, now_ns: int) -> Reply:
    """A locked unit answers a bare request with a conflict, unless it is under control already; a wrong code with bad data."""
    if device.unlock is not None and command.unlock is None and not device.remote:
        return Conflict(letter="Q")
    if None not in (command.unlock, device.unlock) and command.unlock != device.unlock:
        return BadData(letter="Q")
    device.remote = True
    return Ack(letter="Q", status=device.status(now_ns))


def _obey_mode(device: MagstimMachine, command: SetMode, now_ns: int) -> Reply:
    before = device.status(now_ns)
    if command.mode == DISARM_MODE:
        device.obey_disarm(now_ns)
        return Ack(letter="E", status=before)
    if not device.remote:
        return Conflict(letter="E")
    if command.mode == ARM_MODE:
        if not device.may_arm:
            return Conflict(letter="E")
        if not device.faults.ignores_arm:
            device.arm(now_ns)
    elif not before.ready:
        return Conflict(letter="E")
    else:
        device.trigger(now_ns)
    return Ack(letter="E", status=before)


def _conflicts(device: MagstimMachine, command: Command, now_ns: int) -> bool:
    """Whether the setting is right but not possible now."""
    settings = device.settings
    if isinstance(command, SetFrequency | SetPulses | SetDuration):
        switches = isinstance(command, SetDuration) and (command.tenth_s == 0) != settings.is_single
        return device.running or device.is_waiting(now_ns) or (switches and device.armed)
    if isinstance(command, SetEnhanced):
        return command.on and not settings.is_single
    return isinstance(command, SetHighResolution) and device.armed


def _set(device: MagstimMachine, command: Command, now_ns: int) -> bool:
    settings = device.settings
    match command:
        case SetPower():
            accepted = settings.set_power(command.pct)
            device.charge.follow(settings.a_pct, now_ns)
            return accepted
        case SetPowerB():
            return settings.set_power_b(command.pct)
        case SetInterval():
            return settings.set_interval(command.steps)
        case SetHighResolution():
            return settings.set_resolution(command.on)
        case SetFrequency():
            return settings.set_frequency(command.tenth_hz)
        case SetPulses():
            return settings.set_pulses(command.pulses)
        case SetDuration():
            return settings.set_duration(command.tenth_s)
        case SetEnhanced():
            return settings.set_enhanced(command.on)
        case SetChargeDelay():
            return settings.set_charge_delay(command.ms)
        case IgnoreCoilSwitch():
            settings.ignores_coil_switch = True
            return True
        case _:
            return False


def _told(device: MagstimMachine, question: Ask, now_ns: int) -> Reply:
    status, settings = device.status(now_ns), device.settings
    match question.letter:
        case "J":
            return PairParameters(
                status=status,
                a_pct=settings.a_pct,
                b_pct=settings.b_pct if device.model == "bistim" else 0,
                interval_steps=settings.interval_steps if device.model == "bistim" else 0,
            )
        case "\\":
            return _rapid_parameters(device, now_ns)
        case "F" if question.pad == SIMULATOR_PAD:
            return SimulatorMark(status=status)
        case "F":
            first, second = device.tenths_c
            return Temperature(status=status, first_tenth_c=first, second_tenth_c=second)
        case "X":
            return SystemMode(status=status, mode=settings.system_mode)
        case "x":
            return SystemStatus(letter="x", status=status, rapid=device.rapid_status(now_ns), extended=device.extended_status())
        case "o":
            return ChargeDelay(status=status, ms=settings.charge_delay_ms)
        case "I" if device.remote:
            return _error(device, now_ns)
        case "N":
            return Version(text=f"V{device.software}")
        case _:
            return Conflict(letter=question.letter)


def _rapid_parameters(device: MagstimMachine, now_ns: int) -> Reply:
    settings = device.settings
    return RapidParameters(
        status=device.status(now_ns),
        rapid=device.rapid_status(now_ns),
        power_pct=settings.a_pct,
        tenth_hz=settings.tenth_hz,
        pulses=settings.pulses,
        duration_tenth_s=settings.duration_tenth_s,
        wait_tenth_s=settings.wait_tenth_s,
    )


def _error(device: MagstimMachine, now_ns: int) -> Reply:
    code = device.faults.error.rstrip("!") or "E00"
    return ErrorCode(status=device.status(now_ns), source=code[0], code=int(code[1:]))
