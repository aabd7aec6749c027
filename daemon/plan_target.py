"""The cortical point of a plan: out of a map or given, carried from a template's space if need be.

Owns which spaces may meet. The rules that pick a point are `calibration.map_rules`'.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from calibration.frames import FloatArray
from calibration.map_rules import Polarity
from calibration.nifti import NATIVE, AffineSource
from calibration.target_map import Rule, Selection, select, select_contarg26
from calibration.template_points import TransformError, apply_affine, check_direction, check_round_trip, read_native_from_mni
from daemon.plan_values import Point

MAX_COORDINATE_MM: Final = 400.0  # in a scanner's world; beyond, the units are wrong
MAX_TEMPLATE_COORDINATE_MM: Final = 120.0  # in a template's


@dataclass(frozen=True, slots=True, kw_only=True)
class FromMap:
    """The target comes out of a connectivity map within a search mask, by a rule chosen by name."""

    map: Path
    mask: Path
    polarity: Polarity
    rule: Rule = "cluster6"


@dataclass(frozen=True, slots=True, kw_only=True)
class FromPoint:
    """The target is given, RAS mm."""

    point_mm: Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """In which space the target is given, and the way from there; `opposite` is the transform back, to check the way."""

    name: str = NATIVE
    transform: Path | None = None
    opposite: Path | None = None
    subject_is_template: str | None = None

    @property
    def is_own(self) -> bool:
        """The T1's own space, so that nothing has to be carried."""
        return self.name in (NATIVE, self.subject_is_template)

    @property
    def expected_of_map(self) -> tuple[str, bool]:
        """The space that the map's header must name, and whether native codes pass besides."""
        if self.is_own and self.subject_is_template is not None:
            return self.subject_is_template, True
        return self.name, False


@dataclass(frozen=True, slots=True, eq=False)
class FoundTarget:
    """The cortical target in mri, (3,), mm; the selection where a map gave it."""

    target_mm: FloatArray
    selection: Selection | None
    warnings: tuple[str, ...]


def find_target(source: FromMap | FromPoint, space: Space, pick: AffineSource | None) -> FoundTarget:
    """The target in the T1's world. Raises BadInput of the image, the map or the transform."""
    if isinstance(source, FromPoint):
        selection, given_mm = None, _sane_point(source.point_mm, space)
    else:
        selection = _selected(source, space, pick)
        given_mm = selection.target_mm
    warnings = selection.warnings if selection else ()
    if space.is_own:
        if space.transform is not None:
            raise TransformError("transform_not_needed", "the target is in the T1's own space already", "transform", "Leave it out.")
        return FoundTarget(given_mm, selection, warnings)
    target_mm, doubts = _carried(given_mm, space)
    if selection:
        doubts += ("map_in_template_space",)
    return FoundTarget(target_mm, selection, warnings + doubts)


def _selected(source: FromMap, space: Space, pick: AffineSource | None) -> Selection:
    expected, native_also = space.expected_of_map
    rule = select if source.rule == "cluster6" else select_contarg26
    return rule(source.map, source.mask, source.polarity, expected_space=expected, native_also=native_also, pick=pick)


def _sane_point(point_mm: Point, space: Space) -> FloatArray:
    limit_mm = MAX_COORDINATE_MM if space.is_own else MAX_TEMPLATE_COORDINATE_MM
    point = np.array(point_mm, dtype=np.float64)
    if not (np.abs(point) <= limit_mm).all():
        what = f"{point_mm} is not a point within {limit_mm:g} mm"
        raise TransformError("coordinate_out_of_range", what, "coordinates", f"Give RAS millimetres in {space.name} space.")
    return point


def _carried(point_mm: FloatArray, space: Space) -> tuple[FloatArray, tuple[str, ...]]:
    if space.transform is None:
        what = f"the target is in {space.name} space and no transform leads from there to the T1"
        raise TransformError("template_space_needs_transform", what, "transform", "Give the affine that carries points into the T1.")
    warnings = check_direction(space.transform, space.name)
    native_from_mni = read_native_from_mni(space.transform)
    if space.opposite is None:
        warnings += ("transform_unguarded",)
    else:
        check_round_trip(native_from_mni, read_native_from_mni(space.opposite), point_mm, space.opposite.name)
    return apply_affine(native_from_mni, point_mm), warnings
