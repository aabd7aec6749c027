"""Three landmarks in the image: are they plausible, and on which side of their midplane does a point lie.

Owns their file and the anatomy of nasion and ears. Touching them on the patient is `registration`'s.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np

from calibration.bad_input import BadInput
from calibration.frames import FloatArray

Side = Literal["left", "right"]

# Adult heads with a margin; these catch swapped labels, wrong units and wrong spaces, not a sloppy click.
EAR_DISTANCE_MM: Final = (115.0, 190.0)
NOSE_BEFORE_EARS_MM: Final = (60.0, 130.0)
EAR_NOSE_DIFFERENCE_MM: Final = 25.0
OFF_SCALP_MM: Final = 5.0
NEAR_MIDLINE_MM: Final = 5.0
MAX_COORDINATE_MM: Final = 400.0  # beyond: units or space are wrong
MAX_FILE_BYTES: Final = 2**16
NEEDED: Final = ("NAS", "LPA", "RPA")


class FiducialError(BadInput):
    """Landmarks, or a target against them, that cannot be right."""


@dataclass(frozen=True, slots=True, eq=False)
class Fiducials:
    """Nasion and both ears in RAS mm, (3,) each; `others` by name. `check_fiducials` says whether they can be a head's."""

    nas_mm: FloatArray
    lpa_mm: FloatArray
    rpa_mm: FloatArray
    others_mm: Mapping[str, FloatArray]

    @classmethod
    def from_points(cls, points_mm: Mapping[str, FloatArray]) -> Self:
        """Landmarks by name, (3,) each, RAS mm. Raises KeyError where NAS, LPA or RPA is missing."""
        others = {name: point for name, point in points_mm.items() if name not in NEEDED}
        return cls(points_mm["NAS"], points_mm["LPA"], points_mm["RPA"], others)

    def all_mm(self) -> dict[str, FloatArray]:
        """Every landmark by name."""
        return {"NAS": self.nas_mm, "LPA": self.lpa_mm, "RPA": self.rpa_mm, **self.others_mm}


def read_fiducials(path: Path) -> tuple[Fiducials, bool]:
    """Landmarks, and whether the file says they are in MNI space.

    JSON `{"space": text, "fiducials": {"NAS": [x, y, z], "LPA": …, "RPA": …, others}}`, RAS mm.
    Raises FiducialError `unreadable_fiducials`.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _unreadable(path, "it is far too long")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        points = {str(name).upper(): np.array(point, dtype=np.float64) for name, point in content["fiducials"].items()}
        space = str(content.get("space", ""))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _unreadable(path, 'it must hold {"fiducials": {"NAS": [x, y, z], "LPA": …, "RPA": …}} in RAS mm') from error
    missing = [name for name in NEEDED if name not in points]
    if missing:
        raise _unreadable(path, f"{', '.join(missing)} is missing")
    bad = [name for name, point in points.items() if point.shape != (3,) or not (np.abs(point) <= MAX_COORDINATE_MM).all()]
    if bad or "LPS" in space.upper():
        raise _unreadable(path, f"{', '.join(bad) or 'its space'} is not three RAS coordinates in mm")
    return Fiducials.from_points(points), "MNI" in space.upper()


def check_fiducials(fiducials: Fiducials, where: str) -> None:
    """Raises FiducialError `laterality_mismatch` when sides or front are swapped, `fiducials_implausible` for sizes no head has."""
    nas, lpa, rpa = fiducials.nas_mm, fiducials.lpa_mm, fiducials.rpa_mm
    ahead_mm = nas[1] - np.array((lpa[1], rpa[1]))
    if not (lpa[0] < rpa[0] and (ahead_mm > 0).all()):
        remedy = "Mark them again; if they are right, the image is mirrored or turned."
        raise FiducialError("laterality_mismatch", "LPA is not left of RPA, or NAS is not in front of both", where, remedy)
    to_ears_mm = np.linalg.norm(nas - np.array((lpa, rpa)), axis=1)
    sizes = {
        "ears are {:.0f} mm apart": (float(np.linalg.norm(rpa - lpa)), EAR_DISTANCE_MM),
        "NAS is {:.0f} mm in front of LPA": (float(ahead_mm[0]), NOSE_BEFORE_EARS_MM),
        "NAS is {:.0f} mm in front of RPA": (float(ahead_mm[1]), NOSE_BEFORE_EARS_MM),
        "its distances to the ears differ by {:.0f} mm": (abs(float(to_ears_mm[0] - to_ears_mm[1])), (0.0, EAR_NOSE_DIFFERENCE_MM)),
    }
    faults = [text.format(size) for text, (size, (low, high)) in sizes.items() if not low <= size <= high]
    if faults:
        remedy = "Mark the landmarks again, in RAS millimetres of this image."
        raise FiducialError("fiducials_implausible", "; ".join(faults), where, remedy)


def right_of_midplane_mm(fiducials: Fiducials, point_mm: FloatArray) -> float:
    """Distance of a point (3,) to the patient's right of the plane through NAS halfway between the ears; negative to the left.

    The scanner's zero need not be the patient's midline, therefore not the sign of x.
    """
    halfway = (fiducials.lpa_mm + fiducials.rpa_mm) / 2
    forward = fiducials.nas_mm - halfway
    forward = forward / np.linalg.norm(forward)
    across = fiducials.rpa_mm - fiducials.lpa_mm
    across = across - (across @ forward) * forward
    return float((point_mm - halfway) @ across / np.linalg.norm(across))


def check_side(fiducials: Fiducials, point_mm: FloatArray, side: Side, where: str) -> tuple[str, ...]:
    """Warnings about a target near the midline. Raises FiducialError `laterality_mismatch` when it lies on the other side."""
    right_mm = right_of_midplane_mm(fiducials, point_mm)
    own_mm = right_mm if side == "right" else -right_mm
    if not own_mm > 0:
        what = f"the target lies {abs(right_mm):.1f} mm to the patient's {'right' if right_mm > 0 else 'left'}, the plan says {side}"
        remedy = "Check side, map and fiducials; never change the side to make the plan pass."
        raise FiducialError("laterality_mismatch", what, where, remedy, {"right_of_midplane_mm": right_mm})
    return ("target_near_midline",) if own_mm < NEAR_MIDLINE_MM else ()


def check_on_scalp(fiducials: Fiducials, off_scalp_mm: Mapping[str, float], where: str) -> None:
    """`off_scalp_mm` by landmark. Raises FiducialError `fiducial_off_scalp` beyond 5 mm."""
    far = {name: mm for name in fiducials.all_mm() if not (mm := off_scalp_mm[name]) <= OFF_SCALP_MM}
    if far:
        what = ", ".join(f"{name} is {mm:.1f} mm off the scalp" for name, mm in far.items())
        remedy = "Mark them on the skin of this image, or check that the scalp is of this image."
        raise FiducialError("fiducial_off_scalp", what, where, remedy)


def _unreadable(path: Path, why: str) -> FiducialError:
    return FiducialError("unreadable_fiducials", f"not a usable file of landmarks ({why})", path.name, "Export the landmarks again.")
