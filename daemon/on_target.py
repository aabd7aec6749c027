"""On target or not: limits for entering and leaving, and the machine with dwell that both sides of it drive.

Pure. Times are integer nanoseconds; missing knowledge counts as off target.
"""

from typing import Protocol

import msgspec


class Errors(Protocol):
    """The part of a coil error that this decision looks at; None where it cannot be known."""

    @property
    def lateral_mm(self) -> float | None: ...
    @property
    def angular_error_deg(self) -> float | None: ...
    @property
    def twist_error_deg(self) -> float | None: ...
    @property
    def gap_mm(self) -> float | None: ...


FACING_AWAY_DEG = 60.0  # beyond this tilt the coil does not face the head, whatever the millimetres say


class TargetLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Enter and leave limits of the coil on its target. A plan or site may tighten, never loosen.

    Defaults lie inside the 2-3 mm and 3-5 degree windows in common use; the gap may be pressed (-) or lifted (+).
    """

    enter_lateral_mm: float = 2.0
    enter_tilt_deg: float = 3.0
    enter_twist_deg: float = 4.0
    enter_gap_pressed_mm: float = 3.0
    enter_gap_lifted_mm: float = 2.0
    dwell_on_s: float = 0.5
    leave_lateral_mm: float = 3.0
    leave_tilt_deg: float = 5.0
    leave_twist_deg: float = 8.0
    leave_gap_mm: float = 4.0
    dwell_off_s: float = 0.1

    def __post_init__(self) -> None:
        pairs = (
            (self.enter_lateral_mm, self.leave_lateral_mm),
            (self.enter_tilt_deg, self.leave_tilt_deg),
            (self.enter_twist_deg, self.leave_twist_deg),
            (self.enter_gap_pressed_mm, self.leave_gap_mm),
            (self.enter_gap_lifted_mm, self.leave_gap_mm),
        )
        if not all(0.0 < enter <= leave < float("inf") for enter, leave in pairs):
            raise ValueError("each enter limit must be above 0 and not beyond its leave limit")
        if not (0.0 <= self.dwell_on_s < float("inf") and 0.0 <= self.dwell_off_s < float("inf")):
            raise ValueError("dwell times must be finite and not negative")


DEFAULT_LIMITS = TargetLimits()


def loosened(limits: TargetLimits, base: TargetLimits = DEFAULT_LIMITS) -> tuple[str, ...]:
    """Names of the limits that are less strict than `base`; empty means tightened or equal."""
    longer_is_stricter = {"dwell_on_s"}
    return tuple(
        name
        for name in limits.__struct_fields__
        if (getattr(limits, name) < getattr(base, name) if name in longer_is_stricter else getattr(limits, name) > getattr(base, name))
    )


def _known(error: Errors | None) -> tuple[float, float, float, float] | None:
    if error is None or error.lateral_mm is None or error.angular_error_deg is None:
        return None
    if error.twist_error_deg is None or error.gap_mm is None:
        return None
    return error.lateral_mm, error.angular_error_deg, error.twist_error_deg, error.gap_mm


def inside(error: Errors | None, limits: TargetLimits) -> bool:
    """Every metric within its enter limit; what is unknown is not within."""
    known = _known(error)
    if known is None:
        return False
    lateral_mm, tilt_deg, twist_deg, gap_mm = known
    return (
        lateral_mm <= limits.enter_lateral_mm
        and tilt_deg <= limits.enter_tilt_deg
        and abs(twist_deg) <= limits.enter_twist_deg
        and -limits.enter_gap_pressed_mm <= gap_mm <= limits.enter_gap_lifted_mm
    )


def within_leave(error: Errors | None, limits: TargetLimits, factor: float = 1.0) -> bool:
    """Every metric within `factor` times its leave limit, and the coil faces the head; unknown is not within."""
    known = _known(error)
    if known is None:
        return False
    lateral_mm, tilt_deg, twist_deg, gap_mm = known
    return (
        lateral_mm <= factor * limits.leave_lateral_mm
        and tilt_deg <= min(factor * limits.leave_tilt_deg, FACING_AWAY_DEG)
        and abs(twist_deg) <= factor * limits.leave_twist_deg
        and abs(gap_mm) <= factor * limits.leave_gap_mm
    )


class Hysteresis(msgspec.Struct, frozen=True, kw_only=True):
    """`on`, and since when the samples have said otherwise (None while they agree)."""

    on: bool = False
    differs_since_ns: int | None = None


def advance(state: Hysteresis, *, inside: bool, outside: bool, now_ns: int, dwell_on_ns: int, dwell_off_ns: int) -> Hysteresis:
    """One sample: turn on after `inside` for the dwell, off after `outside` for its own. Time counts from the first differing sample."""
    differs = outside if state.on else inside
    if not differs:
        return Hysteresis(on=state.on)
    since = now_ns if state.differs_since_ns is None else state.differs_since_ns
    if now_ns - since >= (dwell_off_ns if state.on else dwell_on_ns):
        return Hysteresis(on=not state.on)
    return Hysteresis(on=state.on, differs_since_ns=since)


class OnTarget(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one frame.

    `published`: on target and both tools seen in this very frame (a start asks for this).
    `sustained`: the machine's state, which rides out a gap of the leave dwell (a running train asks for this).
    """

    machine: Hysteresis = Hysteresis()
    published: bool = False
    settling: bool = False

    @property
    def sustained(self) -> bool:
        return self.machine.on


BEYOND = 2.0  # times the leave limits: off target at once, without dwell


def judge(before: OnTarget, error: Errors | None, seen: bool, now_ns: int, limits: TargetLimits) -> OnTarget:
    """One frame exposed at `now_ns`: error None when head or coil is unseen or anything about it is unknown."""
    known = error if seen else None
    is_inside = inside(known, limits)
    if known is not None and not within_leave(known, limits, BEYOND):
        machine = Hysteresis()
    else:
        machine = advance(
            before.machine,
            inside=is_inside,
            outside=not within_leave(known, limits),
            now_ns=now_ns,
            dwell_on_ns=round(limits.dwell_on_s * 1e9),
            dwell_off_ns=round(limits.dwell_off_s * 1e9),
        )
    return OnTarget(machine=machine, published=machine.on and known is not None, settling=is_inside and not machine.on)
