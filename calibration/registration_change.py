"""How far one registration of a head lies from another: at the target, and as a turn. Judges nothing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from calibration.frames import Transform, rotation_vector


@dataclass(frozen=True, slots=True)
class Change:
    """What the change does at the target, mm, and by how much it turns, degrees."""

    at_target_mm: float
    turn_deg: float


def change(before: Transform, after: Transform, target_in_mri_mm: ArrayLike) -> Change:
    """From `mri_from_head` before to the one after, for one head with one reference strapped on as before."""
    target = np.asarray(target_in_mri_mm, dtype=np.float64)
    moved = after @ before.inverse()
    return Change(
        at_target_mm=float(np.linalg.norm(moved.apply(target) - target)),
        turn_deg=float(np.degrees(np.linalg.norm(rotation_vector(moved.rotation)))),
    )
