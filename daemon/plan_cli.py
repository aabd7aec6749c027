"""`atmsd plan make | show | verify`: a person's words into a request, and what came of it into words and an exit code.

Owns no rule. Safety limits come from files, never from options.
"""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from calibration.bad_input import BadInput
from calibration.placement import HANDLE_ANGLE_DEG
from daemon.config import SIMULATION_ONLY, ConfigError, load_config
from daemon.course import load_course
from daemon.on_target import TargetLimits
from daemon.plan import read_plan
from daemon.plan_target import FromMap, FromPoint, Space
from daemon.plan_texts import WARNING_TEXTS
from daemon.plan_values import Plan, PlanError, Point
from daemon.planning import EXPECTED_ERROR_LIMIT_MM, STEPS, PlanRequest, Regimen, intensity_asked, make_plan
from daemon.protocol import BadProtocol, NotUsable, UnknownProtocol, load_protocol
from daemon.protocol_device import device_reasons, train_settings
from daemon.protocol_site import read_protocol_site
from daemon.protocol_use import NO_CHAIR, Coil, require_course, require_use
from daemon.set_point import planned_set_point
from daemon.site_constants import corrected_by, correction_text, read_constants, read_figures

EXIT_USAGE, EXIT_BAD_DATA, EXIT_CANNOT_CREATE, EXIT_IO, EXIT_PERMISSION, EXIT_CONFIG = 64, 65, 73, 74, 77, 78
STEP_TEXTS: Final = dict(zip(STEPS, ("T1", "target", "scalp", "do they fit", "coil", "writing"), strict=True))

app = typer.Typer(no_args_is_help=True, help="Make, show and verify the plan of a session.")

ChairFile = Annotated[Path | None, typer.Option("--config", help="The chair's TOML file: its site's protocols, coil and stimulator.")]
PlanFile = Annotated[Path, typer.Argument(help="The plan's JSON file.")]


@app.command()
def make(
    *,
    t1: Annotated[Path, typer.Option(help="Whole-head T1, NIfTI.")],
    fiducials: Annotated[Path, typer.Option(help='JSON {"fiducials": {"NAS": [x, y, z], "LPA": …, "RPA": …}}, RAS mm of the T1.')],
    side: Annotated[Literal["left", "right"], typer.Option(help="Side of the target; checked against the landmarks.")],
    protocol: Annotated[str, typer.Option(help="Id of the protocol.")],
    rmt: Annotated[float, typer.Option(help="Resting motor threshold, percent of the stimulator's output.")],
    patient: Annotated[str, typer.Option(help="Pseudonym; never a name.")],
    out: Annotated[Path, typer.Option(help="The plan to write; its files go beside it.")],
    map_: Annotated[Path | None, typer.Option("--map", help="Connectivity map, NIfTI.")] = None,
    mask: Annotated[Path | None, typer.Option(help="Search mask, NIfTI.")] = None,
    polarity: Annotated[Literal["negative", "positive"] | None, typer.Option(help="Sign of the wanted values.")] = None,
    rule: Annotated[Literal["cluster6", "contarg26"], typer.Option(help="How a map gives one point.")] = "cluster6",
    coordinates: Annotated[tuple[float, float, float] | None, typer.Option(help="The target itself, RAS mm, instead of a map.")] = None,
    space: Annotated[str, typer.Option(help="Space of map or coordinates: native, or a template's name.")] = "native",
    transform: Annotated[Path | None, typer.Option(help="Affine that carries the template's points into the T1.")] = None,
    opposite: Annotated[Path | None, typer.Option(help="The affine back, to check the way.")] = None,
    scalp: Annotated[Path | None, typer.Option(help="Scalp of this T1, GIFTI or binary STL; else it is made from the T1.")] = None,
    subject_is_template: Annotated[str | None, typer.Option(help="Name of the template that the T1 is: simulation only.")] = None,
    side_fact: Annotated[str | None, typer.Option(help='What tells left from right in the T1: "the capsule is on the LEFT".')] = None,
    pick: Annotated[Literal["qform", "sform"] | None, typer.Option(help="Which one counts where an image's two differ.")] = None,
    intensity: Annotated[float | None, typer.Option(help="Percent of the threshold; the protocol's if left out.")] = None,
    handle: Annotated[tuple[float, float, float] | None, typer.Option(help="Where the handle points, RAS; else by the angle.")] = None,
    handle_angle: Annotated[float, typer.Option(help="Handle back and outwards, degrees from the midline.")] = HANDLE_ANGLE_DEG,
    tilt: Annotated[bool, typer.Option("--tilt", help="Tilt the coil, by 10 degrees at most, so that its axis meets the target.")] = False,
    hair_gap: Annotated[float, typer.Option(help="Cap and hair under the coil, 0 to 5 mm.")] = 0.0,
    max_error: Annotated[float, typer.Option(help="Largest expected registration error, mm.")] = EXPECTED_ERROR_LIMIT_MM,
    limits: Annotated[Path | None, typer.Option(help="TOML file of on-target limits tighter than the default.")] = None,
    by: Annotated[str | None, typer.Option(help="Who made the plan; the login name if left out.")] = None,
    course: Annotated[str | None, typer.Option(help="Id of the course; the protocol's own limits if left out.")] = None,
    figures: Annotated[Path | None, typer.Option(help="TOML file: when and with which coil it was measured; correction.")] = None,
    config: ChairFile = None,
) -> None:
    """Make a plan from images, and write it with the files it rests on."""
    with _explained():
        request = PlanRequest(
            t1=t1,
            fiducials=fiducials,
            source=_source(map_, mask, polarity, rule, coordinates),
            side=side,
            patient=patient,
            created_by=by or getpass.getuser(),
            rmt_mso=rmt,
            space=Space(name=space, transform=transform, opposite=opposite, subject_is_template=subject_is_template),
            scalp=scalp,
            pick=pick,
            side_fact=side_fact,
            handle=handle,
            handle_angle_deg=handle_angle,
            tilt_to_target=tilt,
            hair_gap_mm=hair_gap,
            intensity_pct_rmt=intensity,
            expected_error_limit_mm=max_error,
            on_target=None if limits is None else _tightened(limits),
        )
        _require_files(t1, fiducials, map_, mask, transform, opposite, scalp)
        request = request if figures is None else _measured(request, figures, config)
        plan = _made(request, _regimen(request, protocol, course, config), out)
    _tell_warnings(plan)
    typer.echo(f"{out}: {plan.target.token} of {plan.patient}, set point {plan.dose.set_point_mso} % of output")


@app.command()
def show(
    file: PlanFile,
    selection: Annotated[bool, typer.Option("--selection", help="Also how the target was found. Not for whoever must stay blind.")] = False,
) -> None:
    """A plan in words, after every check."""
    with _explained():
        plan = read_plan(file)
    Console().print(_table(plan, selection))
    _tell_warnings(plan)


@app.command()
def verify(file: PlanFile, config: ChairFile = None) -> None:
    """Whether plan, protocol and every named file are as they were when the plan was made. Exit code 65 if not."""
    with _explained():
        plan = read_plan(file, lambda protocol: load_protocol(protocol, _site_folder(config)).sha256)
    _tell_warnings(plan)
    typer.echo(f"{file}: every check passed")


def _source(
    map_: Path | None,
    mask: Path | None,
    polarity: Literal["negative", "positive"] | None,
    rule: Literal["cluster6", "contarg26"],
    coordinates: Point | None,
) -> FromMap | FromPoint:
    if coordinates is not None and (map_, mask, polarity) == (None, None, None):
        return FromPoint(point_mm=coordinates)
    if coordinates is None and map_ is not None and mask is not None and polarity is not None:
        return FromMap(map=map_, mask=mask, polarity=polarity, rule=rule)
    raise _failure("give --map, --mask and --polarity, or --coordinates X Y Z", EXIT_USAGE)


def _require_files(*paths: Path | None) -> None:
    missing = [str(path) for path in paths if path is not None and not path.is_file()]
    if missing:
        raise _failure(f"there is no file {', '.join(missing)}", EXIT_USAGE)


def _tightened(path: Path) -> TargetLimits:
    try:
        given = msgspec.toml.decode(path.read_bytes(), type=dict[str, float])
        unknown = given.keys() - set(TargetLimits.__struct_fields__)
        if unknown:
            raise _failure(f"{path}: unknown limits {', '.join(sorted(unknown))}", EXIT_CONFIG)
        return msgspec.convert(given, TargetLimits)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _failure(f"{path}: {error}. Write one 'name = number' a line", EXIT_CONFIG) from error


def _measured(request: PlanRequest, figures_file: Path, chair_file: Path | None) -> PlanRequest:
    """With what was measured for the dose; a correction takes what the chair's site has signed for it."""
    figures, folder = read_figures(figures_file), _site_folder(chair_file)
    constants = None if figures.correction is None or folder is None else read_constants(folder)
    correction = None if figures.correction is None else corrected_by(figures.correction, constants)
    measured_utc, coil = figures.rmt_measured_utc, figures.rmt_coil_serial
    return replace(request, rmt_measured_utc=measured_utc, rmt_coil_serial=coil, correction=correction)


def _site_folder(config: Path | None) -> Path | None:
    return None if config is None else load_config(config).site.folder


def _regimen(request: PlanRequest, protocol_id: str, course_id: str | None, chair_file: Path | None) -> Regimen:
    """The protocol and course as the site may use them; with no chair named, coil and stimulator are checked when the plan is opened."""
    chair = None if chair_file is None else load_config(chair_file)
    site = read_protocol_site(None if chair is None else chair.site.folder)
    protocol = load_protocol(protocol_id, site.folder)
    intensity = intensity_asked(request, protocol)
    use = require_use(protocol, intensity, site, NO_CHAIR if chair is None else Coil(coil_class=chair.stimulator.coil_class))
    course = None if course_id is None else load_course(course_id, site.folder)
    if course is not None:
        require_course(course, protocol, site)
    if chair is not None:
        settings = train_settings(protocol.timing, planned_set_point(request.rmt_mso, intensity, request.correction).mso)
        if reasons := device_reasons(protocol.timing, settings, chair):
            raise NotUsable("; ".join(reasons), f"{protocol_id} on {chair.stimulator.model}", "Choose another protocol or intensity.")
    return Regimen(protocol=protocol, basis=use.basis or SIMULATION_ONLY, course=course)


def _made(request: PlanRequest, regimen: Regimen, out: Path) -> Plan:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("plan", total=len(STEPS))

        def begin(step: str) -> None:
            progress.update(task, description=STEP_TEXTS[step], completed=STEPS.index(step))

        return make_plan(request, regimen, out, created_utc=now, begin=begin)


@contextmanager
def _explained() -> Iterator[None]:
    """What goes wrong ends the command with one line and its code."""
    try:
        yield
    except (BadInput, PlanError) as error:
        code = f"[{error.code}] " if isinstance(error, BadInput) else ""
        raise _failure(f"{code}{error}", EXIT_BAD_DATA) from error
    except UnknownProtocol as error:
        raise _failure(str(error), EXIT_USAGE) from error
    except ConfigError as error:
        raise _failure("; ".join(error.faults), EXIT_CONFIG) from error
    except (BadProtocol, NotUsable) as error:
        raise _failure(str(error), EXIT_CONFIG) from error
    except PermissionError as error:
        raise _failure(f"{error.filename}: {error.strerror}. Check who may read and write there", EXIT_PERMISSION) from error
    except FileExistsError as error:
        raise _failure(f"{error}. Nothing is overwritten: choose another name", EXIT_CANNOT_CREATE) from error
    except FileNotFoundError as error:
        raise _failure(f"{error.filename}: {error.strerror}. Make the folder first", EXIT_CANNOT_CREATE) from error
    except OSError as error:
        raise _failure(f"{error.filename}: {error.strerror}. Check the disk", EXIT_IO) from error


def _failure(text: str, code: int) -> typer.Exit:
    typer.echo(f"atmsd plan: {text}", err=True)
    return typer.Exit(code)


def _tell_warnings(plan: Plan) -> None:
    for code in plan.warnings:
        typer.echo(f"warning [{code}] {WARNING_TEXTS.get(code, '')}".rstrip(), err=True)


def _table(plan: Plan, with_selection: bool) -> Table:
    table = Table(title=f"Plan of {plan.patient}", show_header=False)
    table.add_column("what")
    table.add_column("value", overflow="fold")
    for row in _rows(plan) + (_selection_rows(plan) if with_selection else ()):
        table.add_row(*row)
    return table


def _rows(plan: Plan) -> tuple[tuple[str, str], ...]:
    target, dose, placement = plan.target, plan.dose, plan.target.placement
    return (
        ("made", f"{plan.created_utc} by {plan.created_by}"),
        ("basis", plan.basis),
        ("target", f"{target.token}, {target.side}"),
        ("cortical target", _mm(target.cortical_target_in_mri_mm)),
        ("left from right", target.side_fact or f"not stated: the subject is {plan.subject_is_template}"),
        ("scalp entry", _mm(placement.entry_in_mri_mm)),
        ("depth", f"{placement.depth_mm:.1f} mm"),
        ("axis misses by", f"{placement.beam_miss_mm:.1f} mm, tilted {placement.tilt_deg:.1f} degrees"),
        ("hair gap", f"{plan.hair_gap_mm:g} mm"),
        ("protocol", dose.protocol),
        ("course", dose.course or "none: the protocol's own limits"),
        ("output", f"{dose.set_point_mso} % ({dose.intensity_pct_rmt:g} % of a threshold of {dose.rmt_mso:g} %)"),
        ("corrected", "no: by the threshold as measured" if dose.correction is None else correction_text(dose.correction)),
        ("expected error", f"at most {plan.expected_error_limit_mm:g} mm"),
        ("on target", "default limits" if plan.on_target is None else str(msgspec.structs.asdict(plan.on_target))),
    )


def _selection_rows(plan: Plan) -> tuple[tuple[str, str], ...]:
    selection = plan.target.selection
    if selection is None:
        return (("found", f"given, in {plan.target.given_in_space} space"),)
    best = selection.clusters[0]
    return (
        ("found", f"{selection.rule}, {selection.polarity}, in {plan.target.given_in_space} space"),
        ("cluster", f"{best.n_vox} voxels, sum {best.sum_score:.1f}, {len(selection.clusters)} in all"),
        ("z", f"{selection.z_at_target:.2f} at the target, {selection.peak_z:.2f} at the peak {_mm(selection.peak_mm)}"),
        ("against the second", "alone" if selection.dominance is None else f"{selection.dominance:.2f} times"),
        *((f"with {other.top_fraction:.0%} kept", _shift(other.shift_mm)) for other in selection.sensitivity),
    )


def _shift(shift_mm: float | None) -> str:
    return "nothing found" if shift_mm is None else f"{shift_mm:.1f} mm away"


def _mm(point: Point) -> str:
    return "({:.1f}, {:.1f}, {:.1f}) mm".format(*point)
