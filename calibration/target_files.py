"""Files of targets from other programs: recognised by content, read whole within bounds, or refused with one error.

Owns which reader gets the bytes. What a format means is its reader's; where the places lie in the given image is `target_files_image`'s.
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from calibration.bounded_xml import XmlError, parse_xml
from calibration.mat5 import is_mat
from calibration.plain_json import JsonError, parse_json
from calibration.target_files_ant import read_ant
from calibration.target_files_bids import find_coordinate_system, is_markers_table, read_bids
from calibration.target_files_brainsight import read_brainsight
from calibration.target_files_image import SourceImage
from calibration.target_files_invesalius import MAGIC, read_invesalius
from calibration.target_files_localite import read_entry_targets, read_instrument_markers, read_trigger_markers
from calibration.target_files_navinibs import is_navinibs, read_navinibs
from calibration.target_files_simnibs import ROW_GROUPS, read_simnibs_csv, read_simnibs_mat
from calibration.target_files_slicer import FCSV_MAGIC, read_fcsv, read_mrk_json
from calibration.target_files_softaxic import read_softaxic
from calibration.target_files_source import Sidecar, Source, lines_of, quoted, refusal
from calibration.target_files_values import TargetFile, TargetFormat

MOST_BYTES: Final = 2**25  # a Brainsight export with the EMG of five thousand pulses takes 20 MB
BRAINSIGHT_KEYS: Final = ("# Version:", "# Coordinate system:", "# Created by:", "# Target Name\t", "# Sample Name\t")
MOST_LINES: Final = 100_000  # ten sessions of 1800 pulses, each with its row, are a fifth of it
LONGEST_LINE: Final = 2**20  # a row with the EMG of one pulse takes a tenth
HEAD_CHARACTERS: Final = 2**14  # within which a format tells itself
JSON_HALLMARKS: Final = (
    ("TargetMarkers", TargetFormat.ANT_MRK),
    ("markups", TargetFormat.SLICER_MRK),
    ("targets", TargetFormat.NAVINIBS_JSON),
)
TEXT_READERS: Final = {
    TargetFormat.INVESALIUS_MKSS: read_invesalius,
    TargetFormat.SLICER_FCSV: read_fcsv,
    TargetFormat.BRAINSIGHT: read_brainsight,
    TargetFormat.SIMNIBS_CSV: read_simnibs_csv,
}
XML_READERS: Final = {
    "InstrumentMarkerList": (TargetFormat.LOCALITE_INSTRUMENT, read_instrument_markers),
    "TriggerMarkerList": (TargetFormat.LOCALITE_TRIGGER, read_trigger_markers),
    "EntryTargetList": (TargetFormat.LOCALITE_ENTRYTARGET, read_entry_targets),
    "stmp": (TargetFormat.SOFTAXIC, read_softaxic),
}
ROOT_TAG: Final = re.compile(r"<([A-Za-z_][\w.-]*)")


def read_targets(
    given: Path | bytes, *, name: str | None = None, image: SourceImage | None = None, coordsystem: Path | Sidecar | None = None
) -> TargetFile:
    """Everything that a file of targets holds, as RAS mm of the T1 with the coil axes of SimNIBS.

    `name` is for messages where bytes are given. `image` is the image that the file speaks of: what the file says about it is
    checked, and InVesalius files without world coordinates need it. `coordsystem` is the JSON of a NIBS-BIDS table; left out, the
    one beside the table is taken. Raises TargetFileError; OSError as from reading.
    """
    content = _bounded(given) if isinstance(given, Path) else given
    shown = name or (given.name if isinstance(given, Path) else "the file")
    if len(content) > MOST_BYTES:
        raise refusal("too_large", f"it is longer than {MOST_BYTES >> 20} MB", shown)
    sha256 = hashlib.sha256(content).hexdigest()

    def source(file_format: TargetFormat, sidecar: Sidecar | None = None) -> Source:
        return Source(name=shown, sha256=sha256, format=file_format, image=image, sidecar=sidecar)

    if is_mat(content):
        return read_simnibs_mat(content, source(TargetFormat.SIMNIBS_MAT))
    text = _text(content, shown)
    if text.lstrip().startswith("<"):
        return _read_xml(text, shown, source)
    if text.lstrip().startswith(("{", "[")):
        return _read_json(text, shown, source)
    _refuse_endless(text, shown)
    file_format = _text_format(text)
    if file_format is None:
        raise refusal("unknown_format", f"it begins with {quoted(text)}, as no known file of targets does", shown)
    if file_format is TargetFormat.NIBS_BIDS:
        return read_bids(text, source(file_format, _sidecar(given, coordsystem)))
    return TEXT_READERS[file_format](text, source(file_format))


def _bounded(path: Path) -> bytes:
    """The bytes, and one more than is allowed where there are more."""
    if path.exists() and not path.is_file():
        raise refusal("unknown_format", "it is no plain file", path.name)
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


def _text(content: bytes, shown: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refusal("not_utf8", f"byte {error.start} is not UTF-8", shown) from error


def _refuse_endless(text: str, shown: str) -> None:
    lines = text.split("\n")
    if len(lines) > MOST_LINES:
        raise refusal("too_large", f"it has {len(lines)} lines, more than {MOST_LINES}", shown)
    if (longest := max(map(len, lines))) > LONGEST_LINE:
        raise refusal("too_large", f"a line is {longest} characters long, more than {LONGEST_LINE}", shown)


def _sidecar(given: Path | bytes, coordsystem: Path | Sidecar | None) -> Sidecar | None:
    if isinstance(coordsystem, Sidecar):
        return coordsystem
    path = coordsystem or (find_coordinate_system(given) if isinstance(given, Path) else None)
    return None if path is None else Sidecar(name=path.name, content=_bounded(path))


def _read_xml(text: str, shown: str, source: Callable[[TargetFormat], Source]) -> TargetFile:
    try:
        root = parse_xml(text.lstrip())
    except XmlError as error:
        first = ROOT_TAG.search(text)
        guessed, _ = XML_READERS.get(first.group(1) if first else "", (None, None))
        raise refusal("unreadable_target_file", f"it is no usable XML: {error}", shown, guessed) from error
    if root.tag not in XML_READERS:
        raise refusal("unknown_format", f"its root element is {quoted(root.tag)}", shown)
    file_format, read = XML_READERS[root.tag]
    return read(root, source(file_format))


def _read_json(text: str, shown: str, source: Callable[[TargetFormat], Source]) -> TargetFile:
    try:
        content = parse_json(text)
    except JsonError as error:
        guessed = next((file_format for hallmark, file_format in JSON_HALLMARKS if f'"{hallmark}"' in text), None)
        raise refusal("unreadable_target_file", f"it is no usable JSON: {error}", shown, guessed) from error
    if isinstance(content, dict) and "TargetMarkers" in content:
        return read_ant(content, source(TargetFormat.ANT_MRK))
    if isinstance(content, dict) and "markups" in content:
        return read_mrk_json(content, source(TargetFormat.SLICER_MRK))
    if is_navinibs(content):
        return read_navinibs(content, source(TargetFormat.NAVINIBS_JSON))
    raise refusal("unknown_format", "this JSON is that of no known program", shown)


def _text_format(text: str) -> TargetFormat | None:
    """By its first lines."""
    if text.startswith(MAGIC):
        return TargetFormat.INVESALIUS_MKSS
    head = [line for line in lines_of(text[:HEAD_CHARACTERS]) if line.strip()]
    if head and head[0].startswith((FCSV_MAGIC, "# CoordinateSystem =", "# columns =")):
        return TargetFormat.SLICER_FCSV
    if any(line.startswith(BRAINSIGHT_KEYS) for line in head):
        return TargetFormat.BRAINSIGHT
    if is_markers_table(text):
        return TargetFormat.NIBS_BIDS
    if any(line.partition(",")[0].strip() in ROW_GROUPS and "," in line for line in head):
        return TargetFormat.SIMNIBS_CSV
    return None
