"""Targets, and the poses at the pulses given, written for other programs. What a format cannot hold is left out and said so.

Owns which writer is called and what may be written at all. Nothing is written to disk here.
"""

import enum
from collections.abc import Callable, Mapping
from typing import Final

from calibration.target_files_values import TargetFileError
from calibration.target_files_write_bids import write_bids
from calibration.target_files_write_brainsight import write_brainsight
from calibration.target_files_write_localite import write_entry_targets, write_instrument_markers, write_trigger_markers
from calibration.target_files_write_simnibs import write_simnibs
from calibration.target_files_write_slicer import write_slicer
from calibration.target_files_written import Writing, Written, refuse_bad_names


class ExportFormat(enum.StrEnum):
    """What is written, by the word used for it."""

    BRAINSIGHT = "brainsight"
    LOCALITE = "localite"
    LOCALITE_TRIGGERS = "localite-triggers"
    LOCALITE_ENTRY_TARGETS = "localite-entry-targets"
    SIMNIBS = "simnibs"
    SLICER = "slicer"
    NIBS_BIDS = "nibs-bids"


WRITERS: Final[Mapping[ExportFormat, Callable[[Writing], Written]]] = {
    ExportFormat.BRAINSIGHT: write_brainsight,
    ExportFormat.LOCALITE: write_instrument_markers,
    ExportFormat.LOCALITE_TRIGGERS: write_trigger_markers,
    ExportFormat.LOCALITE_ENTRY_TARGETS: write_entry_targets,
    ExportFormat.SIMNIBS: write_simnibs,
    ExportFormat.SLICER: write_slicer,
    ExportFormat.NIBS_BIDS: write_bids,
}


def write_targets(writing: Writing, to: ExportFormat) -> Written:
    """The bytes of a file of that format.

    Raises TargetFileError: bad_name, image_needed, template_space_needs_transform, nothing_to_write.
    """
    refuse_bad_names(writing)
    written = WRITERS[to](writing)
    if len(written.left_out) == len(writing.targets):
        what = f"none of its {len(writing.targets)} targets fits"
        raise TargetFileError("nothing_to_write", what, f"format {to}", "Choose another format; the guide lists what each one holds.")
    return written
