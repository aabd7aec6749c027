"""What can go wrong with a simulated Magstim and its line, as switches to turn at run time; none is on unless asked for."""

import random
from dataclasses import dataclass


@dataclass(slots=True)
class MagstimFaults:
    """Each switch acts from the moment it is set, from any thread."""

    # the line
    silent: bool = False  # obeys, says nothing
    deaf: bool = False  # hears nothing
    wrong_crc: bool = False
    drop_byte_probability: float = 0.0
    duplicate_byte_probability: float = 0.0
    reply_delay_ms: float = 0.0  # beyond the time on the wire; also before what was asked is done
    # the unit
    conflicts_with: str = ""  # letters of commands that get an S
    misunderstands: str = ""  # letters of commands that get a ?
    ignores_arm: bool = False  # acknowledges, does not charge
    never_ready: bool = False  # charges for ever
    ignores_fire: bool = False
    ignores_stop_ms: float = 0.0  # counted from the first disarm heard since it was set
    stuck_armed: bool = False  # no disarm command works; its own time-out does
    stuck_running: bool = False  # the train bit stays on
    extra_pulses: int = 0  # more than the train's setting, or fewer
    rate_factor: float = 1.0  # of the train's own rate
    error: str = ""  # such as E03; a mark of exclamation behind it makes it fatal
    supply_missing: bool = False
    coil_switch_open: bool = False  # nobody holds the coil's safety switch
    replace_coil: bool = False
    # the coil
    heating_c_per_s: float = 0.0
    reports_tenth_c: int | None = None  # a broken sensor


def damaged(frame: bytes, faults: MagstimFaults, rng: random.Random) -> bytes:
    """One frame as the faulty line delivers it."""
    if faults.silent:
        return b""
    if faults.wrong_crc:
        frame = frame[:-1] + bytes((frame[-1] ^ 0x55,))
    if not faults.drop_byte_probability and not faults.duplicate_byte_probability:
        return frame
    out = bytearray()
    for value in frame:
        if rng.random() >= faults.drop_byte_probability:
            out.append(value)
            if rng.random() < faults.duplicate_byte_probability:
                out.append(value)
    return bytes(out)
