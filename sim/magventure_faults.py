"""What can go wrong with a simulated MagPro and its line, as switches to turn at run time; none is on unless asked for."""

import random
from dataclasses import dataclass

from sim.magventure_charge import RECHARGE_PCT_PER_S

END_MARKS = 2  # checksum and end


@dataclass(slots=True)
class MagVentureFaults:
    """Each switch acts from the moment it is set, from any thread."""

    # the line
    silent: bool = False  # obeys, says nothing
    deaf: bool = False  # hears nothing
    wrong_crc: bool = False
    drop_byte_probability: float = 0.0
    duplicate_byte_probability: float = 0.0
    reply_delay_ms: float | None = None  # instead of the usual delay
    # the device
    ignores_enable: bool = False
    ignores_start: bool = False
    ignores_stop_ms: float = 0.0  # counted from the first stop heard since it was set
    stuck_enabled: bool = False  # no disable works, of a command or at the panel; the coil's plug and the mains do
    stuck_running: bool = False  # the train's end is not reported
    loses_receipts: bool = False
    extra_bursts: int = 0  # more than the train's setting
    rate_factor: float = 1.0  # of the train's own rate
    sag_pct_per_burst: float = 0.0
    recharge_pct_per_s: float = RECHARGE_PCT_PER_S  # less makes the output sag at high rates
    # the coil
    heating_c_per_s: float = 0.0
    reports_temperature_c: int | None = None  # a broken sensor, or 90 for cooling that is not connected


def damaged(frame: bytes, faults: MagVentureFaults, rng: random.Random) -> bytes:
    """One frame as the faulty line delivers it."""
    if faults.silent:
        return b""
    if faults.wrong_crc:
        frame = frame[:-END_MARKS] + bytes((frame[-END_MARKS] ^ 0xFF,)) + frame[-1:]
    if not faults.drop_byte_probability and not faults.duplicate_byte_probability:
        return frame
    out = bytearray()
    for value in frame:
        if rng.random() >= faults.drop_byte_probability:
            out.append(value)
            if rng.random() < faults.duplicate_byte_probability:
                out.append(value)
    return bytes(out)
