"""NIBS-BIDS written with the columns of 6.3: a table of markers, its coordinate system, and what its own columns mean.

BEP037 is a moving draft: the table below is all that ties this to one state of it, and the files name that state.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from calibration.frames import Xyz
from calibration.target_files_bids import INDIVIDUAL
from calibration.target_files_values import FileTarget, TargetKind
from calibration.target_files_written import Writing, Written, array_of, plain

DRAFT: Final = "BEP037, column names of draft 6.3"
MISSING: Final = "n/a"
SENSES: Final = "World (RAS) of the T1w image. Axes right-handed, xdir = ydir x zdir; zdir points into the head, ydir away from the handle."


def _axis(column: int, part: int) -> Callable[[FileTarget], float | None]:
    return lambda target: None if target.mri_from_coil is None else float(array_of(target.mri_from_coil)[part, column])


def _part(place: Callable[[FileTarget], Xyz | None], part: int) -> Callable[[FileTarget], float | None]:
    def read(target: FileTarget) -> float | None:
        found = place(target)
        return None if found is None else found[part]

    return read


def _deep_end(target: FileTarget) -> Xyz | None:
    return target.position_in_mri_mm if target.cortex_in_mri_mm is None else target.cortex_in_mri_mm


NUMBERS: Final[Mapping[str, Callable[[FileTarget], float | None]]] = {
    **{f"element_centre_{name}": _axis(3, part) for part, name in enumerate("xyz")},
    **{f"element_{axis}dir_{name}": _axis(column, part) for column, axis in enumerate("xyz") for part, name in enumerate("xyz")},
    **{f"target_{name}": _part(_deep_end, part) for part, name in enumerate("xyz")},
    **{f"entry_{name}": _part(lambda target: target.entry_in_mri_mm, part) for part, name in enumerate("xyz")},
    "recorded_ms": lambda target: target.recorded_ms,
    "amplitude_pct_mso": lambda target: target.amplitude_pct_mso,
}
OWN_COLUMNS: Final[Mapping[str, str]] = {
    "entry_x": "Where a line to the target enters the scalp, x; likewise y and z.",
    "group": "target: planned. sample: where the coil was at a pulse.",
    "associated_target": "The target that the pulse belongs to.",
    "recorded_ms": "Milliseconds from the start of the recording.",
    "amplitude_pct_mso": "Percent of the stimulator's maximum output.",
}


def write_bids(writing: Writing) -> Written:
    """Every target that has a pose or a point. The files beside it end in `_coordsystem.json` and `_markers.json`."""
    fitting, left_out = writing.parted(lambda target: target.mri_from_coil is not None or _deep_end(target) is not None)
    columns = ("nibs_position_id", "nibs_element_id", "position_label", *NUMBERS, "group", "associated_target")
    rows = [_row(target, number) for number, target in enumerate(fitting, 1)]
    system = {
        **({} if writing.image_name is None else {"IntendedFor": writing.image_name}),
        "NIBSCoordinateSystem": INDIVIDUAL,
        "NIBSCoordinateUnits": "mm",
        "NIBSCoordinateSystemDescription": SENSES,
        "NIBSDraft": DRAFT,
    }
    words = {"NIBSDraft": DRAFT, **{column: {"Description": text} for column, text in OWN_COLUMNS.items()}}
    return Written(
        content="\n".join(("\t".join(columns), *rows, "")).encode(),
        beside={"_coordsystem.json": _json(system), "_markers.json": _json(words)},
        left_out=left_out,
    )


def _row(target: FileTarget, number: int) -> str:
    numbers = (read(target) for read in NUMBERS.values())
    has_coil = target.kind is TargetKind.COIL_POSE
    words = (f"position-{number:03d}", "coil-1" if has_coil else MISSING, target.name or MISSING)
    return "\t".join(
        (*words, *(MISSING if value is None else plain(value) for value in numbers), str(target.group), target.associated_target or MISSING)
    )


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
