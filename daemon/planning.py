"""Makes a plan: images in, target, scalp and coil pose out, everything written side by side. The one heavy step of the day.

Owns the order of the steps. Geometry is `calibration`'s, the point `plan_target`'s, the file's form `plan`'s.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from calibration.fiducials import Fiducials, Side, check_fiducials, check_on_scalp, check_side, read_fiducials
from calibration.map_on_t1 import check_map_on_t1, check_scalp_on_t1
from calibration.nifti import NATIVE, NATIVE_CODES, AffineSource, CheckedImage, ImageError, Volume, check_image, file_sha256, load_volume
from calibration.placement import HANDLE_ANGLE_DEG, Placement, PlacementError, place_coil
from calibration.scalp import CUT_PLANE_MM, Mesh, ScalpError, checked_scalp, extract_scalp, to_border_mm
from calibration.surface import Surface
from calibration.surface_files import read_surface, write_gifti
from daemon.course import Course
from daemon.on_target import TargetLimits
from daemon.plan import write_plan
from daemon.plan_checks import PSEUDONYM, plan_faults
from daemon.plan_record import fiducials_report, matrix, named_image, placement_report, point, selection_report
from daemon.plan_target import FoundTarget, FromMap, FromPoint, Space, find_target
from daemon.plan_values import Correction, Dose, Files, NamedFile, NamedImage, Plan, PlanError, Target
from daemon.protocol import MAX_INTENSITY_PCT_RMT, SIMULATION_ONLY, Protocol
from daemon.set_point import planned_set_point

STEPS: Final = ("images", "target", "scalp", "checks", "coil", "files")
OWN_SPACE: Final = Space()
EXPECTED_ERROR_LIMIT_MM: Final = 5.0  # honest totals of navigated TMS are 3-5 mm


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """All that a person states. `side_fact`: one fact that tells left from right in this T1 ("the capsule is on the LEFT")."""

    t1: Path
    fiducials: Path
    source: FromMap | FromPoint
    side: Side
    patient: str
    created_by: str
    rmt_mso: float
    space: Space = OWN_SPACE
    scalp: Path | None = None
    pick: AffineSource | None = None
    side_fact: str | None = None
    handle: tuple[float, float, float] | None = None
    handle_angle_deg: float = HANDLE_ANGLE_DEG
    tilt_to_target: bool = False
    hair_gap_mm: float = 0.0
    intensity_pct_rmt: float | None = None
    rmt_measured_utc: str | None = None
    rmt_coil_serial: str | None = None
    correction: Correction | None = None
    expected_error_limit_mm: float = EXPECTED_ERROR_LIMIT_MM
    on_target: TargetLimits | None = None
    token: str = "Target A"  # noqa: S105  # what the chair may call the target, no secret

    @property
    def t1_space(self) -> str:
        """The space that the T1's header must name."""
        return self.space.subject_is_template or NATIVE


@dataclass(frozen=True, slots=True)
class _Made:
    t1: CheckedImage
    fiducials: Fiducials
    found: FoundTarget
    mesh: Mesh
    placement: Placement
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Regimen:
    """The protocol that the plan is to give, on what basis, and in which course."""

    protocol: Protocol
    basis: str
    course: Course | None = None


def make_plan(request: PlanRequest, regimen: Regimen, out: Path, *, created_utc: str, begin: Callable[[str], None]) -> Plan:
    """Makes the plan and writes it to `out`, the files it rests on beside it; `begin` hears of each of `STEPS`.

    Nothing is left behind when it fails. Raises BadInput (an image, map, scalp, landmark, pose), PlanError, and OSError:
    FileExistsError where `out` is taken.
    """
    _refuse_early(request, regimen.protocol)
    folder = out.with_name(f"{out.stem}.files")
    for taken in (out, folder):
        if taken.exists():
            raise FileExistsError(f"{taken.name} is there already")
    made = _make(request, begin)
    begin("files")
    folder.mkdir()
    try:
        files = _write_files(request, made, folder)
        plan = _plan(request, regimen, made, files, created_utc)
        if faults := plan_faults(plan):
            raise PlanError("; ".join(faults), out.name, "Correct what was asked for.")
        return write_plan(out, plan)
    except BaseException:
        shutil.rmtree(folder)
        raise


def _refuse_early(request: PlanRequest, protocol: Protocol) -> None:
    """What would fail at the end anyway fails before the work."""
    intensity = intensity_asked(request, protocol)
    highest = protocol.limits.get("max_intensity_pct_rmt", MAX_INTENSITY_PCT_RMT)
    if not PSEUDONYM.fullmatch(request.patient):
        raise PlanError("it is no pseudonym", "patient", "Use letters, digits, - and _, 32 at most, and never a name.")
    if not (isinstance(highest, int | float) and 0 < intensity <= highest):
        raise PlanError(f"{intensity:g} % of the threshold is not within the protocol's limit of {highest} %", "intensity", "Lower it.")
    if not 0 < request.rmt_mso <= 100 or planned_set_point(request.rmt_mso, intensity, request.correction).mso < 1:
        remedy = "Give the resting motor threshold in percent of output."
        raise PlanError(f"a threshold of {request.rmt_mso:g} % gives no set point", "rmt", remedy)


def _refuse_unproven_side(request: PlanRequest) -> None:
    """Heads are nearly symmetric: a mirrored T1 registers within every limit, so one asymmetric fact must be known."""
    if request.space.subject_is_template is None and not (request.side_fact or "").strip():
        remedy = "State one fact that tells left from right in this T1, such as a capsule taped to a known side (--side-fact)."
        raise PlanError("nothing proves that the T1 is not mirrored", request.t1.name, remedy)


def _make(request: PlanRequest, begin: Callable[[str], None]) -> _Made:
    begin("images")
    t1 = check_image(request.t1, request.t1_space, pick=request.pick)
    _refuse_unproven_side(request)
    volume = load_volume(t1)
    fiducials, in_template = read_fiducials(request.fiducials)
    check_fiducials(fiducials, request.fiducials.name)
    misplaced = in_template and request.space.subject_is_template is None
    doubts: tuple[str, ...] = ("fiducials_in_template_space",) if misplaced else ()
    begin("target")
    found = find_target(request.source, request.space, request.pick)
    doubts += check_side(fiducials, found.target_mm, request.side, "target")
    begin("scalp")
    mesh, scalp, scalp_doubts = _scalp(request, volume)
    begin("checks")
    off_scalp_mm = {name: abs(float(scalp.closest(at[None]).signed_mm[0])) for name, at in fiducials.all_mm().items()}
    check_on_scalp(fiducials, off_scalp_mm, request.fiducials.name)
    doubts += _map_doubts(request, found, scalp, fiducials)
    begin("coil")
    placement = place_coil(
        scalp,
        found.target_mm,
        request.side,
        handle=request.handle,
        handle_angle_deg=request.handle_angle_deg,
        gap_mm=request.hair_gap_mm,
        tilt_to_target=request.tilt_to_target,
    )
    _refuse_cut_plane(placement, t1)
    return _Made(t1, fiducials, found, mesh, placement, (*t1.warnings, *found.warnings, *scalp_doubts, *doubts, *placement.warnings))


def _scalp(request: PlanRequest, t1: Volume) -> tuple[Mesh, Surface, tuple[str, ...]]:
    if request.scalp is None:
        mesh = extract_scalp(t1, request.t1.name)
        return mesh, Surface.from_mesh(mesh.vertices_mm, mesh.faces), ()
    given = read_surface(request.scalp)
    if given.space_code not in (*NATIVE_CODES, None) and request.space.subject_is_template is None:
        remedy = "Give the scalp of this T1, in its own space."
        raise ScalpError("template_space_needs_transform", "it is in a template's space", request.scalp.name, remedy)
    as_stored_mm = given.vertices_mm.astype(np.float32).astype(np.float64)
    mesh = checked_scalp(as_stored_mm, given.faces, request.scalp.name)
    surface = Surface.from_mesh(mesh.vertices_mm, mesh.faces)
    check_scalp_on_t1(t1, surface, request.scalp.name)
    return mesh, surface, given.warnings


def _map_doubts(request: PlanRequest, found: FoundTarget, scalp: Surface, fiducials: Fiducials) -> tuple[str, ...]:
    if found.selection is None or not request.space.is_own:
        return ()
    selection = found.selection
    return check_map_on_t1(selection.map_volume, selection.mask, scalp, fiducials, selection.map_image.path.name)


def _refuse_cut_plane(placement: Placement, t1: CheckedImage) -> None:
    if not to_border_mm(placement.entry_mm[None], t1.mri_from_voxel, t1.shape)[0] > CUT_PLANE_MM:
        what = "the nearest scalp to the target is where the image ends, not where the head does"
        raise PlacementError("entry_on_cut_plane", what, "placement", "Give a T1 that holds the whole head.")


def _write_files(request: PlanRequest, made: _Made, folder: Path) -> Files:
    def kept(source: Path, name: str, sha256: str | None = None) -> NamedFile:
        target = folder / f"{name}{'.nii.gz' if source.name.endswith('.nii.gz') else source.suffix}"
        shutil.copyfile(source, target)
        copied = file_sha256(target)
        if sha256 not in (None, copied):
            raise ImageError("wrong_image", "it changed while it was read", source.name, "Make the plan again.")
        return NamedFile(path=f"{folder.name}/{target.name}", sha256=copied)

    def image(checked: CheckedImage, name: str, expected_space: str, native_also: bool) -> NamedImage:
        return named_image(checked, kept(checked.path, name, checked.sha256).path, expected_space, native_also)

    scalp = folder / "scalp.surf.gii"
    write_gifti(scalp, made.mesh, made.t1.space_code)
    selection, transform = made.found.selection, request.space.transform
    of_map = request.space.expected_of_map
    return Files(
        t1=image(made.t1, "t1", request.t1_space, False),
        scalp=NamedFile(path=f"{folder.name}/{scalp.name}", sha256=file_sha256(scalp)),
        map=None if selection is None else image(selection.map_image, "map", *of_map),
        mask=None if selection is None else image(selection.mask_image, "mask", *of_map),
        transform=None if transform is None else kept(transform, "transform"),
    )


def intensity_asked(request: PlanRequest, protocol: Protocol) -> float:
    """Percent of the threshold: what was asked for, else the protocol's own. Raises PlanError where neither says one."""
    intensity = protocol.intensity_pct_rmt if request.intensity_pct_rmt is None else request.intensity_pct_rmt
    if intensity is None:
        raise PlanError("the protocol leaves the intensity to the site", protocol.id, "State it in percent of the threshold (--intensity).")
    return float(intensity)


def _dose(request: PlanRequest, regimen: Regimen) -> tuple[Dose, tuple[str, ...]]:
    protocol, course = regimen.protocol, regimen.course
    intensity = intensity_asked(request, protocol)
    planned = planned_set_point(request.rmt_mso, intensity, request.correction)
    dose = Dose(
        protocol=protocol.id,
        protocol_sha256=protocol.sha256,
        rmt_mso=float(request.rmt_mso),
        intensity_pct_rmt=intensity,
        set_point_mso=planned.mso,
        course=None if course is None else course.id,
        course_sha256=None if course is None else course.sha256,
        rmt_measured_utc=request.rmt_measured_utc,
        rmt_coil_serial=request.rmt_coil_serial,
        correction=request.correction,
    )
    doubts = {
        "intensity_differs_from_protocol": protocol.intensity_pct_rmt not in (None, intensity),
        "intensity_limited": planned.is_limited,
    }
    return dose, tuple(name for name, holds in doubts.items() if holds)


def _plan(request: PlanRequest, regimen: Regimen, made: _Made, files: Files, created_utc: str) -> Plan:
    template = request.space.subject_is_template
    dose, dose_doubts = _dose(request, regimen)
    target = Target(
        token=request.token,
        side=request.side,
        side_fact=request.side_fact,
        cortical_target_in_mri_mm=point(made.found.target_mm),
        mri_from_coil=matrix(made.placement.mri_from_coil.matrix),
        given_in_space=request.space.name,
        selection=None if made.found.selection is None else selection_report(made.found.selection),
        placement=placement_report(made.placement, request.tilt_to_target),
    )
    warnings = (*(("subject_is_template",) if template else ()), *made.warnings, *dose_doubts)
    return Plan(
        patient=request.patient,
        created_utc=created_utc,
        created_by=request.created_by,
        basis=SIMULATION_ONLY if template else regimen.basis,
        subject_is_template=template,
        files=files,
        fiducials_in_mri_mm=fiducials_report(made.fiducials),
        target=target,
        dose=dose,
        hair_gap_mm=float(request.hair_gap_mm),
        expected_error_limit_mm=float(request.expected_error_limit_mm),
        on_target=request.on_target,
        warnings=tuple(dict.fromkeys(warnings)),
    )
