"""`atmsd targets show | convert`: what another program's file of targets holds, with every doubt about it, and the same written anew.

Owns no rule: reading, checking and writing are `calibration.target_files`' and its neighbours'.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from calibration.bad_input import BadInput
from calibration.frames import Xyz
from calibration.nifti import NATIVE, AffineSource, check_image
from calibration.target_files import read_targets
from calibration.target_files_export import ExportFormat, write_targets
from calibration.target_files_image import SourceImage, check_inside_image, source_image
from calibration.target_files_values import ASSUMPTION_TEXTS, SKIP_TEXTS, WARNING_TEXTS, FileTarget, Skipped, TargetFile
from calibration.target_files_written import Writing, Written

EXIT_USAGE, EXIT_BAD_DATA, EXIT_CANNOT_CREATE, EXIT_IO, EXIT_PERMISSION = 64, 65, 73, 74, 77
MARKERS: Final = "_markers.tsv"
LOOK: Final = "no file proves that it belongs to this person's image: look at target and handle on the T1 before anything rests on them."
PLAIN_WIDTH: Final = 160  # where the output is no terminal

app = typer.Typer(no_args_is_help=True, help="Target files of other programs: show, convert.")

TargetsFile = Annotated[Path, typer.Argument(help="A file of targets; its format is told by its content.")]
T1 = Annotated[Path | None, typer.Option("--t1", help="The T1 that the file was made with: what the file says about it is checked.")]
Pick = Annotated[Literal["qform", "sform"] | None, typer.Option(help="Which one counts where the T1's two differ.")]
TemplateName = Annotated[str | None, typer.Option(help="Name of the template that the T1 is: simulation only.")]
CoordinateSystem = Annotated[Path | None, typer.Option(help="coordsystem.json of a NIBS-BIDS table, where it is not found beside it.")]


@app.command()
def show(
    file: TargetsFile,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, for programs.")] = False,
    t1: T1 = None,
    pick: Pick = None,
    subject_is_template: TemplateName = None,
    coordsystem: CoordinateSystem = None,
) -> None:
    """What a file of targets holds, in RAS mm of the T1, and every doubt about it."""
    with _explained():
        read = _read(file, _image(t1, pick, subject_is_template), coordsystem)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(read), indent=1))
        return
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    console.print(_head(read), _targets(read))
    for landmark in read.landmarks:
        typer.echo(f"landmark {landmark.name}: {_mm(landmark.position_in_mri_mm)}")
    _tell(read)


@app.command()
def convert(
    file: TargetsFile,
    *,
    to: Annotated[ExportFormat, typer.Option(help="Format to write.")],
    out: Annotated[Path, typer.Option(help="File to write; nothing is overwritten.")],
    t1: T1 = None,
    pick: Pick = None,
    subject_is_template: TemplateName = None,
    coordsystem: CoordinateSystem = None,
    lps: Annotated[bool | None, typer.Option("--lps/--ras", help="Space to write for Localite (RAS if left out) and Slicer (LPS).")] = None,
    name: Annotated[list[str] | None, typer.Option("--name", help="Only the target of that name; may be given again.")] = None,
) -> None:
    """Write the targets of a file in the format of another program."""
    with _explained():
        image = _image(t1, pick, subject_is_template)
        read = _read(file, image, coordsystem)
        targets = read.targets if not name else tuple(read.named(each) for each in name)
        image_name = read.image.named if t1 is None else t1.name
        landmarks = () if name else read.landmarks
        written = write_targets(Writing(targets=targets, landmarks=landmarks, image=image, image_name=image_name, in_lps=lps), to)
        paths = _paths(out, to, written)
        for path, content in paths.items():
            with path.open("xb") as target:
                target.write(content)
    _tell(read)
    _tell_skipped(written.left_out, "not written")
    for text in written.lost:
        typer.echo(f"note: {text}", err=True)
    typer.echo(f"{', '.join(map(str, paths))}: {len(targets) - len(written.left_out)} of {len(targets)} targets")


def _image(t1: Path | None, pick: AffineSource | None, template: str | None) -> SourceImage | None:
    return None if t1 is None else source_image(check_image(t1, template or NATIVE, pick=pick))


def _read(file: Path, image: SourceImage | None, coordsystem: Path | None) -> TargetFile:
    read = read_targets(file, image=image, coordsystem=coordsystem)
    if image is not None:
        check_inside_image(read, image)
    return read


def _paths(out: Path, to: ExportFormat, written: Written) -> Mapping[Path, bytes]:
    """What goes where, the asked-for file last."""
    if to is ExportFormat.NIBS_BIDS and not out.name.endswith(MARKERS):
        raise _failure(f"{out}: the name of a NIBS-BIDS table ends in {MARKERS}", EXIT_USAGE)
    stem = out.name.removesuffix(MARKERS)
    paths = {**{out.with_name(stem + ending): content for ending, content in written.beside.items()}, out: written.content}
    for path in paths:
        if path.exists():
            raise FileExistsError(17, "File exists", str(path))
    return paths


@contextmanager
def _explained() -> Iterator[None]:
    """What goes wrong ends the command with one line and its code."""
    try:
        yield
    except BadInput as error:
        raise _failure(f"[{error.code}] {error}", EXIT_BAD_DATA) from error
    except FileExistsError as error:
        raise _failure(f"{error.filename} is there already. Nothing is overwritten: choose another name", EXIT_CANNOT_CREATE) from error
    except FileNotFoundError as error:
        raise _failure(f"{error.filename}: {error.strerror}. Check the name", EXIT_USAGE) from error
    except PermissionError as error:
        raise _failure(f"{error.filename}: {error.strerror}. Check who may read and write there", EXIT_PERMISSION) from error
    except OSError as error:
        raise _failure(f"{error.filename}: {error.strerror}. Check the disk", EXIT_IO) from error


def _failure(text: str, code: int) -> typer.Exit:
    typer.echo(f"atmsd targets: {text}", err=True)
    return typer.Exit(code)


def _head(read: TargetFile) -> Table:
    table = Table(title=escape(read.file), show_header=False)
    table.add_column("what")
    table.add_column("value", overflow="fold")
    version = "" if read.version is None else f" version {read.version}"
    rows = (
        ("format", f"{read.format}{version}{f' ({read.variant})' if read.variant else ''}"),
        ("declared space", read.space),
        ("image", _image_words(read)),
        *((("coordinate system", f"{read.sidecar}, SHA-256 {read.sidecar_sha256}"),) if read.sidecar else ()),
        ("SHA-256", read.sha256),
    )
    for what, value in rows:
        table.add_row(what, escape(value))
    return table


def _image_words(read: TargetFile) -> str:
    named = read.image.named or ("by numbers of its header" if read.image.numbers else "not named")
    return f"{named}; {'the given T1 agrees' if read.image.verified else 'not checked against a T1'}"


def _targets(read: TargetFile) -> Table:
    table = Table(title="places in RAS mm of the T1")
    for heading in ("name", "kind", "group", "place", "handle points to", "aims at or enters", "more"):
        table.add_column(heading, overflow="fold")
    for target in read.targets:
        table.add_row(*(escape(cell) for cell in _cells(target)))
    return table


def _cells(target: FileTarget) -> tuple[str, ...]:
    pose = target.pose
    place = target.position_in_mri_mm if pose is None else _xyz(pose.translation_mm.tolist())
    handle = "" if pose is None else "({:.2f}, {:.2f}, {:.2f})".format(*(-pose.rotation[:, 1] + 0.0))
    ends = (("cortex", target.cortex_in_mri_mm), ("entry", target.entry_in_mri_mm))
    return (
        target.name or "(no name)",
        str(target.kind),
        str(target.group),
        "" if place is None else _mm(place),
        handle,
        "; ".join(f"{what} {_mm(end)}" for what, end in ends if end is not None),
        "; ".join(_more(target)),
    )


def _more(target: FileTarget) -> Iterator[str]:
    facts = (
        ("of", target.associated_target, ""),
        ("at", target.recorded_ms, " ms"),
        ("at", target.recorded_local, ""),
        ("output", target.amplitude_pct_mso, " %"),
        ("di/dt", target.didt_a_per_us, " A/us"),
        ("handle angle", target.handle_angle_deg, " degrees"),
        ("distance", target.coil_distance_mm, " mm"),
        ("coil", target.coil_file, ""),
    )
    if target.is_chosen:
        yield "chosen"
    for what, value, unit in facts:
        if value is not None:
            yield f"{what} {value:g}{unit}" if isinstance(value, float) else f"{what} {value}{unit}"


def _tell(read: TargetFile) -> None:
    """Every doubt, on the error channel."""
    for code in read.warnings:
        typer.echo(f"warning [{code}] {WARNING_TEXTS.get(code, '')}".rstrip(), err=True)
    for code in read.assumptions:
        typer.echo(f"assumption [{code}] {ASSUMPTION_TEXTS.get(code, '')}".rstrip(), err=True)
    _tell_skipped(read.skipped, "skipped")
    for text in read.remarks:
        typer.echo(f"note: {text}", err=True)
    typer.echo(f"note: {LOOK}", err=True)


def _tell_skipped(skipped: tuple[Skipped, ...], how: str) -> None:
    for each in skipped:
        shown = repr(each.name) if each.name else f"number {each.index + 1}"
        typer.echo(f"{how} {shown} [{each.reason}]: {SKIP_TEXTS.get(each.reason, '')}", err=True)


def _xyz(values: list[float]) -> Xyz:
    x, y, z = values
    return x, y, z


def _mm(place: Xyz) -> str:
    return "({:.2f}, {:.2f}, {:.2f})".format(*place)
