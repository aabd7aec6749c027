"""Is the coil's calibration the right way round? Two more touches of the coil say so: its handle and its back.

Points of a drawing that is symmetric fit as well with left and right exchanged, or turned about: the residual does not see it.
"""

import enum

from calibration.frames import Transform, Xyz

HANDLE, BACK = "handle", "back"  # names of the two touches; no engraved point may be called so
HANDLE_FROM_MM = 40.0  # outside the windings of every figure-of-eight
BACK_FROM_MM = 5.0  # no casing is thinner


class SideRefusal(enum.StrEnum):
    """Why the calibration may be the wrong way round."""

    HANDLE_UNTOUCHED = "handle_untouched"
    HANDLE_ELSEWHERE = "handle_elsewhere"
    BACK_UNTOUCHED = "back_untouched"
    BACK_ELSEWHERE = "back_elsewhere"


def side_refusals(coiltool_from_coil: Transform, handle_mm: Xyz | None, back_mm: Xyz | None) -> tuple[SideRefusal, ...]:
    """Everything against its axes, from any touch of the handle and of the casing's back, both in the marker body's frame, mm.

    The handle leaves the coil along -y, and the back of the casing, away from the head, is where z is negative.
    """
    coil_from_coiltool = coiltool_from_coil.inverse()
    found = []
    if handle_mm is None:
        found.append(SideRefusal.HANDLE_UNTOUCHED)
    else:
        x, y, _ = coil_from_coiltool.apply(handle_mm).tolist()
        if not (-y >= HANDLE_FROM_MM and -y >= abs(x)):
            found.append(SideRefusal.HANDLE_ELSEWHERE)
    if back_mm is None:
        found.append(SideRefusal.BACK_UNTOUCHED)
    elif not float(coil_from_coiltool.apply(back_mm)[2]) <= -BACK_FROM_MM:
        found.append(SideRefusal.BACK_ELSEWHERE)
    return tuple(found)
