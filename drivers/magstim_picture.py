"""What a Magstim has last said about itself, what changed between two sayings, and what differs from the settings asked for.

Pure. Not whose act a change was: the driver knows what it had asked.
"""

import msgspec

from drivers.magstim_frame_wire import Family
from drivers.magstim_models import Unit, duration_tenth_s, pair_steps, power_b_pct, rate_tenth_hz
from drivers.magstim_wire import (
    Ack,
    ChargeDelay,
    ErrorCode,
    ExtendedStatus,
    InstrumentStatus,
    PairParameters,
    RapidAck,
    RapidParameters,
    RapidStatus,
    Reply,
    SimulatorMark,
    SystemMode,
    SystemStatus,
    Temperature,
    Version,
)
from drivers.values import StimReport, StimState, TrainSettings

SENSOR_CEILING_TENTH_C = 600  # no coil gets so hot: the unit disarms itself at 40 degrees C (MAGIC)
LOW_RESOLUTION_MODE, HIGH_RESOLUTION_MODE = "2", "4"

_Pair = tuple[str, int | str | None, int | str | None]  # field, what the unit says, what is wanted


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """The unit as it last described itself; None where it has not said. `status` is never one from before a command."""

    status: InstrumentStatus | None = None
    rapid: RapidStatus | None = None
    extended: ExtendedStatus | None = None
    pair: PairParameters | None = None
    train: RapidParameters | None = None
    mode: str | None = None
    hottest_tenth_c: int | None = None
    version: Version | None = None
    error: ErrorCode | None = None
    simulated: bool = False

    @property
    def enabled(self) -> bool | None:
        return None if self.status is None else self.status.enabled

    @property
    def power_pct(self) -> int | None:
        if self.pair is not None:
            return self.pair.a_pct
        return None if self.train is None else self.train.power_pct

    @property
    def temperature_c(self) -> int | None:
        """The hotter winding, rounded up to whole degrees."""
        return None if self.hottest_tenth_c is None else -(-self.hottest_tenth_c // 10)


def tells_status(reply: Reply) -> bool:
    """Whether the reply shows the unit as it is now: the ones to settings, arm and fire show it as it was before them."""
    if isinstance(reply, Ack):
        return reply.letter in ("Q", "R")
    shows = PairParameters | RapidParameters | Temperature | SimulatorMark | SystemMode | ErrorCode | ChargeDelay
    return isinstance(reply, shows) or (isinstance(reply, SystemStatus) and reply.letter == "x")


def seen(old: Picture, reply: Reply) -> Picture:
    """The picture after one more reply."""
    change: dict[str, object] = {}
    if tells_status(reply):
        change["status"] = getattr(reply, "status")  # noqa: B009  # every reply that tells it has one
        if isinstance(reply, RapidParameters | SystemStatus):
            change["rapid"] = reply.rapid
    match reply:
        case SystemStatus() if tells_status(reply):
            change["extended"] = reply.extended
        case PairParameters():
            change["pair"] = reply
        case RapidParameters():
            change["train"] = reply
        case SystemMode():
            change["mode"] = reply.mode
        case Temperature():
            change["hottest_tenth_c"] = max(reply.first_tenth_c, reply.second_tenth_c)
        case SimulatorMark():
            change["simulated"] = True
        case Version():
            change["version"] = reply
        case ErrorCode():
            change["error"] = reply
    return msgspec.structs.replace(old, **change)


def was_running(reply: Reply) -> bool:
    """Whether the reply shows a train under way, or the pause that follows one."""
    rapid = reply.rapid if isinstance(reply, RapidParameters | SystemStatus | RapidAck) else None
    return rapid is not None and (rapid.train or rapid.wait)


def reported(picture: Picture, unit: Unit, state: StimState, status_ns: int, coil_type: int, fault: str | None) -> StimReport:
    """The picture as every stimulator tells it. The unit knows whether a coil is there; which one it is, is the site's word."""
    status, rapid = picture.status, picture.rapid
    is_rapid = unit.model.family is Family.RAPID
    version = "" if picture.version is None else f" {picture.version.text}"
    return StimReport(
        received_ns=status_ns,
        state=state,
        model=None if status is None else f"{unit.model.name}{version}",
        enabled=picture.enabled,
        running=(None if rapid is None else rapid.train) if is_rapid else (None if status is None else False),
        temperature_c=picture.temperature_c,
        coil_type=coil_type if status is not None and status.coil_present else None,
        amplitude_pct_mso=picture.power_pct,
        fault=fault,
        simulated=picture.simulated,
    )


# ---- what must hold -------------------------------------------------------------------------------------------------


def condition_reasons(picture: Picture, unit: Unit) -> list[str]:
    """Why this unit must not be charged as it stands. Unknown is a reason."""
    status = picture.status
    if status is None:
        return ["the unit has told no status"]
    reasons = []
    if status.error or status.fatal:
        code = picture.error
        named = "" if code is None else f" {code.source}{code.code:02d}"
        reasons.append(f"the unit reports {'a fatal error' if status.fatal else 'an error'}{named}")
    if not status.coil_present:
        reasons.append("no coil is plugged in")
    if status.replace_coil:
        reasons.append("the unit asks for another coil")
    return reasons + (_rapid_reasons(picture, unit) if unit.model.family is Family.RAPID else [])


def _rapid_reasons(picture: Picture, unit: Unit) -> list[str]:
    rapid, extended = picture.rapid, picture.extended
    if rapid is None:
        return ["the unit has told no status of its train generator"]
    reasons = []
    if not rapid.supply:
        reasons.append("the high-voltage supply is not connected")
    if not rapid.coil_ready:
        reasons.append("the coil is not ready (its safety switch, its plug)")
    if rapid.enhanced:
        reasons.append("the enhanced power mode is on")
    if extended is not None:
        if extended.plus1 != unit.model.plus1:
            found = "a Plus¹ module" if extended.plus1 else "no Plus¹ module"
            reasons.append(f"the unit reports {found}, the chair file says {unit.model.name}")
        if extended.special_trigger:
            reasons.append("a special trigger mode is on")
        if extended.charge_delay:
            reasons.append("a charge delay is set")
    return reasons


def temperature_reason(hottest_tenth_c: int | None, limit_c: int) -> str | None:
    """Why no pulse may leave a coil of this temperature; None when it may. Unknown is a reason."""
    if hottest_tenth_c is None:
        return "the coil's temperature is unknown"
    if not 0 < hottest_tenth_c <= SENSOR_CEILING_TENTH_C:
        return f"the coil reports {hottest_tenth_c / 10:.1f} degrees C: its sensor is at fault"
    if hottest_tenth_c >= 10 * limit_c:
        return f"the coil is at {hottest_tenth_c / 10:.1f} degrees C, the limit is {limit_c}"
    return None


def mismatches(settings: TrainSettings, picture: Picture, unit: Unit) -> tuple[str, ...]:
    """Each field of the unit that differs from what such a train needs, or that it has not told; empty means equal."""
    if unit.model.family is Family.RAPID:
        pairs = _single_pairs(picture) if settings.bursts == 1 else _train_pairs(settings, picture)
    elif unit.model.family is Family.BISTIM:
        pairs = _bistim_pairs(settings, picture)
    else:
        pairs = []
    pairs = [("amplitude", picture.power_pct, settings.amplitude_pct_mso), *pairs]
    return tuple(f"{name}: {_said(got)}, {want} asked" for name, got, want in pairs if got != want)


def _single_pairs(picture: Picture) -> list[_Pair]:
    return [("single-pulse mode", None if picture.rapid is None else picture.rapid.single_pulse, True)]


def _train_pairs(settings: TrainSettings, picture: Picture) -> list[_Pair]:
    got = picture.train
    return [
        ("single-pulse mode", None if picture.rapid is None else picture.rapid.single_pulse, False),
        ("rate, tenths of a hertz", None if got is None else got.tenth_hz, rate_tenth_hz(settings.burst_hz)),
        ("pulses in the train", None if got is None else got.pulses, settings.bursts),
        ("length, tenths of a second", None if got is None else got.duration_tenth_s, duration_tenth_s(settings)),
    ]


def _bistim_pairs(settings: TrainSettings, picture: Picture) -> list[_Pair]:
    steps, is_fine = pair_steps(settings)
    got = picture.pair
    return [
        ("amplitude of the second pulse", None if got is None else got.b_pct, power_b_pct(settings)),
        ("interval, steps", None if got is None else got.interval_steps, steps),
        ("system mode", picture.mode, HIGH_RESOLUTION_MODE if is_fine else LOW_RESOLUTION_MODE),
    ]


def _said(got: int | str | None) -> str:
    return "unknown" if got is None else f"{got} read back"
