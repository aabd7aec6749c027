"""The chair file's sections about tools: what the camera tracks, where their calibrations come from, what is asked of them.

Part of `daemon.config`. Knows no calibration history; only whether the chair file says enough.
"""

from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np

from calibration.frames import NotRigid, rigid_from_file
from daemon.sections import Section

LONGEST_DAYS = 400  # a year and some weeks: by then a mount has been knocked


class HeadTool(Section, frozen=True, kw_only=True):
    """`rom`: its definition, which an NDI camera needs; trackers that stream know their tools themselves."""

    rom: Path | None = None


Source = Literal["chair", "store"]  # where a tool's calibration comes from: this file, or the accepted one of the calibration history
Row = tuple[float, float, float, float]
Rows = tuple[Row, Row, Row, Row]


class PointerTool(Section, frozen=True, kw_only=True):
    """`tip_in_pointer_mm` comes from pivot calibration; with `calibration = "store"` the history's counts and this one does not."""

    rom: Path | None = None
    calibration: Source = "chair"
    tip_in_pointer_mm: tuple[float, float, float] | None = None


class CoilTool(Section, frozen=True, kw_only=True):
    """`coiltool_from_coil`: 4 x 4, rows, mm, from coil calibration, valid until the date given; or `calibration = "store"`.

    `drawing`: the file of the coil's marked points, for calibration with the pointer.
    """

    rom: Path | None = None
    calibration: Source = "chair"
    coiltool_from_coil: Rows | None = None
    calibrated_utc: str | None = None
    valid_until_utc: str | None = None
    drawing: Path | None = None


class PlateTool(Section, frozen=True, kw_only=True):
    """The plate into which the coil is laid for calibration: a marker body and where the coil lies in it, 4 x 4, rows, mm."""

    rom: Path | None = None
    plate_from_coil: Rows


class ToolsSection(Section, frozen=True, kw_only=True):
    head: HeadTool
    pointer: PointerTool
    coil: CoilTool
    plate: PlateTool | None = None

    def by_name(self) -> dict[str, HeadTool | PointerTool | CoilTool | PlateTool]:
        """Every tool that the camera is to track."""
        tools: dict[str, HeadTool | PointerTool | CoilTool | PlateTool] = {"head": self.head, "pointer": self.pointer, "coil": self.coil}
        return tools if self.plate is None else tools | {"plate": self.plate}


class CalibrationSection(Section, frozen=True, kw_only=True):
    """How many days a calibration made here may be used."""

    pointer_valid_days: int = 180
    coil_valid_days: int = 180


class QualitySection(Section, frozen=True, kw_only=True):
    """What `atmsd qa` calls good, and the file of the block whose distances are known.

    Jitter of 0.10 mm and errors of points of 1.6 mm are what weekly checks of such cameras are held against (Comput Assist Surg 2023,
    10.1080/24699322.2023.2275522); 1 mm of spread of a pointer in its divot is usual for a pivot.
    """

    block: Path | None = None
    jitter_rms_mm: float = 0.10
    spread_p95_mm: float = 1.0
    repeat_p95_mm: float = 1.0
    distance_p95_mm: float = 1.6


def tool_faults(tools: ToolsSection) -> list[str]:
    """What a calibration written into the chair file lacks; what is wrong with the plate."""
    pointer, coil, plate = tools.pointer, tools.coil, tools.plate
    faults = []
    if pointer.calibration == "chair" and pointer.tip_in_pointer_mm is None:
        faults.append('[tools.pointer].tip_in_pointer_mm: missing; write it, or calibration = "store"')
    if coil.calibration == "chair":
        if coil.coiltool_from_coil is None:
            faults.append('[tools.coil].coiltool_from_coil: missing; write it, or calibration = "store"')
        for key in ("calibrated_utc", "valid_until_utc"):
            if not _is_moment(getattr(coil, key)):
                faults.append(f"[tools.coil].{key}: write a moment with its zone, such as 2026-01-31T12:00:00Z")
    if coil.drawing is not None and not coil.drawing.is_file():
        faults.append(f"[tools.coil].drawing: {coil.drawing} does not exist; write the coil's marked points there, or leave the key out")
    if plate is not None and not _is_rigid(plate.plate_from_coil):
        faults.append("[tools.plate].plate_from_coil: no pose; write 4 x 4 rows, mm, of a rigid motion")
    return faults


def bench_faults(calibration: CalibrationSection, qa: QualitySection) -> list[str]:
    faults = [
        f"[calibration].{key}: 1 to {LONGEST_DAYS} days"
        for key in ("pointer_valid_days", "coil_valid_days")
        if not 1 <= getattr(calibration, key) <= LONGEST_DAYS
    ]
    faults += [
        f"[qa].{key}: above 0, at most 5"
        for key in ("jitter_rms_mm", "spread_p95_mm", "repeat_p95_mm", "distance_p95_mm")
        if not 0.0 < getattr(qa, key) <= 5.0
    ]
    if qa.block is not None and not qa.block.is_file():
        faults.append(f"[qa].block: {qa.block} does not exist; write the block's distances there, or leave the key out")
    return faults


def _is_rigid(rows: Rows) -> bool:
    try:
        rigid_from_file("plate", "coil", np.array(rows, dtype=np.float64), "the plate")
    except NotRigid:
        return False
    return True


def _is_moment(text: str | None) -> bool:
    if text is None:
        return False
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
