"""How a person aims: looks at the numbers, waits for the mind, moves the coil the other way, looks again."""

from collections.abc import Callable
from typing import Protocol

from sim.operator_view import CoilSeen, View

REACTION_S = 0.3
NEAR_MM, NEAR_DEG = 0.8, 1.0  # better than this a hand does not try: the limits are 2 mm and 3 degrees
ABOUT_FACE_DEG = 60.0  # a coil turned that far is turned back first: its left and right are not the target's
CORRECTIONS = 40


class Hands(Protocol):
    def do(self, act: str, **how: object) -> object: ...


class CannotAim(Exception):
    """The numbers did not come, or did not get better."""


def corrections(seen: CoilSeen) -> dict[str, float] | None:
    """The hand's next move, of the opposite sign in every number on the screen; None when a number is missing."""
    lateral_x, lateral_y, gap = seen.lateral_x_mm, seen.lateral_y_mm, seen.gap_mm
    tilt_x, tilt_y, twist = seen.tilt_x_deg, seen.tilt_y_deg, seen.twist_error_deg
    if lateral_x is None or lateral_y is None or gap is None or tilt_x is None or tilt_y is None or twist is None:
        return None
    if abs(twist) > ABOUT_FACE_DEG:
        return {"twist_deg": -twist}
    return {
        "dx_mm": -lateral_x,
        "dy_mm": -lateral_y,
        "gap_mm": -gap,
        "tilt_x_deg": -tilt_x,
        "tilt_y_deg": -tilt_y,
        "twist_deg": -twist,
    }


def near_enough(move: dict[str, float]) -> bool:
    """Whether a hand would leave it at that."""
    return all(abs(by) <= (NEAR_MM if name.endswith("_mm") else NEAR_DEG) for name, by in move.items())


def aim(view: View, hands: Hands, wait: Callable[[Callable[[], bool], float], bool]) -> int:
    """Bring the coil on target and let it settle; returns how many moves it took. Raises `CannotAim`.

    `wait(predicate, seconds)` pumps telemetry until the predicate is true or the time is over.
    """
    for moves in range(CORRECTIONS):
        wait(lambda: False, REACTION_S)
        if not wait(lambda: view.coil is not None and corrections(view.coil) is not None, 15.0):
            raise CannotAim("no coil error for 15 s: the tracker does not see head and coil, or nothing is registered")
        seen = view.coil
        move = None if seen is None else corrections(seen)
        if move is None:
            continue
        if near_enough(move) and wait(lambda: view.coil is not None and view.coil.on_target, 2.0):
            return moves
        hands.do("move_coil_by", **move)
    raise CannotAim(f"not on target after {CORRECTIONS} moves")
