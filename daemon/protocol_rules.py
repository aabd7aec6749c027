"""Rules that need no table: theta burst as published, and the pause between trains of plain rTMS. Pure.

A protocol that breaks one is outside every support: it starts nothing unless research admits it.
"""

from fractions import Fraction

from daemon.protocol_timing import Timing

# Cleared use of theta burst and of 10 Hz rTMS alike stays at or below 120 % of the resting motor threshold (K201158, K083538).
MAX_INTENSITY_PCT_RMT = 120

# Theta burst as published (Brain Sci 2021 11:737; 30 Hz variant pubmed 22627376). No safety table exists for it: nothing else is taken.
THETA_PULSES_PER_BURST = 3
THETA_INTRA_BURST_HZ = (Fraction(50), Fraction(30))
THETA_BURST_HZ = Fraction(5)
ITBS_MAX_TRAIN_S = Fraction(2)
ITBS_MIN_GAP_S = Fraction(8)
CTBS_MAX_PULSES = 600  # a longer run reverses the after-effect (Gamboa 2010, PMC2892066)
# Sessions of SAINT's size were given at 90 % of the depth-adjusted threshold (Clinical TMS Society's statement on SAINT), never above.
SAINT_TYPE_PULSES = 1800
SAINT_TYPE_MAX_PCT_RMT = 90

# Ten trains of 20 Hz at 110 % were safe 5 s apart and unsafe 1 s apart (Chen 1997, pubmed 9448642); nothing was tested at 120 %,
# where 11 s is the shortest gap in cleared use.
PAUSE_RULE_ABOVE_HZ = Fraction(1)
MIN_PAUSE_S = Fraction(5)
PAUSE_TESTED_TO_PCT_RMT = 110
MIN_PAUSE_ABOVE_TESTED_S = Fraction(11)


def rule_faults(timing: Timing, intensity_pct_rmt: Fraction) -> tuple[str, ...]:
    """Every rule that the six numbers break at that intensity; empty means none."""
    if intensity_pct_rmt > MAX_INTENSITY_PCT_RMT:
        return (f"an intensity above {MAX_INTENSITY_PCT_RMT} % of the threshold", *_shape_faults(timing, intensity_pct_rmt))
    return _shape_faults(timing, intensity_pct_rmt)


def _shape_faults(timing: Timing, intensity_pct_rmt: Fraction) -> tuple[str, ...]:
    return _pause_faults(timing, intensity_pct_rmt) if timing.is_plain else _theta_burst_faults(timing, intensity_pct_rmt)


def _pause_faults(timing: Timing, intensity_pct_rmt: Fraction) -> tuple[str, ...]:
    if timing.burst_hz <= PAUSE_RULE_ABOVE_HZ or timing.trains == 1:
        return ()
    least_s = MIN_PAUSE_S if intensity_pct_rmt <= PAUSE_TESTED_TO_PCT_RMT else MIN_PAUSE_ABOVE_TESTED_S
    if timing.train_gap_s >= least_s:
        return ()
    return (f"a gap of {float(timing.train_gap_s):g} s between trains, below {least_s} s at {float(intensity_pct_rmt):g} %",)


def _theta_burst_faults(timing: Timing, intensity_pct_rmt: Fraction) -> tuple[str, ...]:
    is_continuous = timing.train_gap_s == 0  # one train: several without a gap are no protocol
    is_saint_type = not is_continuous and timing.total_pulses >= SAINT_TYPE_PULSES
    must_hold = {
        "theta burst has 3 pulses a burst": timing.pulses_per_burst == THETA_PULSES_PER_BURST,
        "theta burst has 50 Hz (or 30 Hz) inside a burst": timing.intra_burst_hz in THETA_INTRA_BURST_HZ,
        "theta burst has 5 bursts a second": timing.burst_hz == THETA_BURST_HZ,
        "iTBS trains last 2 s at most": is_continuous or timing.nominal_train_s <= ITBS_MAX_TRAIN_S,
        "iTBS trains are 8 s apart at least": is_continuous or timing.train_gap_s >= ITBS_MIN_GAP_S,
        "cTBS has 600 pulses in a row at most": not is_continuous or timing.total_pulses <= CTBS_MAX_PULSES,
        f"iTBS of {SAINT_TYPE_PULSES} pulses or more is given at {SAINT_TYPE_MAX_PCT_RMT} % at most": not is_saint_type
        or intensity_pct_rmt <= SAINT_TYPE_MAX_PCT_RMT,
    }
    return tuple(fault for fault, holds in must_hold.items() if not holds)
