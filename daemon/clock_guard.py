"""Whether the wall clock can be trusted to say which pulses are old. Pure: `judge(kept, reading, tolerance_us)`.

Three clocks: the wall, the monotonic one of this boot, and the highest wall time ever kept. A step either way is kept as a suspicion
until two people confirm the clock, a reboot until they do or a time source is in step; the high-water mark stays. No clock is set here.
"""

from enum import StrEnum
from typing import Final

import msgspec

from daemon.ledger import Moment

# A clock that is steered to its source is slewed by at most 500 ppm (Linux adjtimex): what moves faster was stepped.
MAX_SLEW_PPM: Final = 500
_PPM: Final = 1_000_000


class Suspicion(StrEnum):
    """Why nothing starts: until two people confirm the clock, or a time source does where none did yet."""

    FIRST_START = "nothing is known of this clock yet, and no time source is in step with it"
    REBOOT = "the machine was started anew, and no time source is in step with the clock"
    REBOOT_BEHIND = "the machine was started anew, and its clock stands before the latest time that was kept"
    FORWARD = "the clock was set forward"
    BACKWARD = "the clock was set back"


# These end by themselves once a time source is in step and the clock stands past the latest time kept: a host that is started in the
# morning finds its source some seconds after the daemon did. A step is never explained away.
AWAIT_A_SOURCE: Final = (Suspicion.FIRST_START, Suspicion.REBOOT, Suspicion.REBOOT_BEHIND)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept from one reading to the next, on disk. Differences are wall less monotonic, µs."""

    boot_id: str
    wall_minus_mono_us: int
    read_mono_ns: int
    high_water_utc_us: int
    suspicion: Suspicion | None = None
    step_us: int | None = None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Both clocks at one moment. `is_synchronised`: a time source is in step with the wall clock; None: not known."""

    moment: Moment
    is_synchronised: bool | None

    @property
    def wall_minus_mono_us(self) -> int:
        return self.moment.utc_us - self.moment.mono_ns // 1000


def judge(kept: Kept | None, reading: Reading, tolerance_us: int) -> Kept:
    """What is to be kept after one reading; its `suspicion` says whether anything may start.

    A suspicion stays, and while it does the high-water mark does not follow a clock that nobody trusts.
    """
    if kept is None:
        return _begun(reading, reading.moment.utc_us, None if reading.is_synchronised else Suspicion.FIRST_START)
    if kept.boot_id != reading.moment.boot_id:
        return _begun(reading, kept.high_water_utc_us, kept.suspicion or _after_reboot(kept, reading, tolerance_us))
    if kept.suspicion in AWAIT_A_SOURCE and _after_reboot(kept, reading, tolerance_us) is None:
        return _begun(reading, kept.high_water_utc_us, None)
    drift_us = reading.wall_minus_mono_us - kept.wall_minus_mono_us
    if kept.suspicion is not None or abs(drift_us) > tolerance_us:
        suspicion = kept.suspicion or (Suspicion.FORWARD if drift_us > 0 else Suspicion.BACKWARD)
        return msgspec.structs.replace(kept, suspicion=suspicion, step_us=kept.step_us if kept.suspicion else drift_us)
    return msgspec.structs.replace(
        kept,
        wall_minus_mono_us=kept.wall_minus_mono_us + _slewed_us(drift_us, reading.moment.mono_ns - kept.read_mono_ns),
        read_mono_ns=max(kept.read_mono_ns, reading.moment.mono_ns),
        high_water_utc_us=max(kept.high_water_utc_us, reading.moment.utc_us),
    )


def confirmed(kept: Kept | None, reading: Reading) -> Kept:
    """After two people said that this is the time. The high-water mark never goes back."""
    moment = reading.moment
    return _begun(reading, moment.utc_us if kept is None else kept.high_water_utc_us, None)


def _begun(reading: Reading, high_water_utc_us: int, suspicion: Suspicion | None) -> Kept:
    trusted_us = high_water_utc_us if suspicion is not None else max(high_water_utc_us, reading.moment.utc_us)
    return Kept(
        boot_id=reading.moment.boot_id,
        wall_minus_mono_us=reading.wall_minus_mono_us,
        read_mono_ns=reading.moment.mono_ns,
        high_water_utc_us=trusted_us,
        suspicion=suspicion,
    )


def _after_reboot(kept: Kept, reading: Reading, tolerance_us: int) -> Suspicion | None:
    if reading.moment.utc_us < kept.high_water_utc_us - tolerance_us:
        return Suspicion.REBOOT_BEHIND
    return None if reading.is_synchronised else Suspicion.REBOOT


def _slewed_us(drift_us: int, elapsed_ns: int) -> int:
    """As much of the drift as steering can explain: the rest stays, so that small steps add up to a large one."""
    most_us = max(0, elapsed_ns) * MAX_SLEW_PPM // (_PPM * 1000)
    return max(-most_us, min(most_us, drift_us))
