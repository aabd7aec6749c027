"""Localite's XML: instrument markers, trigger markers, entry-target pairs. Its space is the root's own word, RAS or LPS."""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from calibration.bounded_xml import Element
from calibration.coil_axes import CoilAxes, flip_lps, from_axes
from calibration.frames import FloatArray
from calibration.target_files_source import DECIMAL, Entries, Source, is_template, quoted, rows_of
from calibration.target_files_values import FileTarget, Matrix, Skipped, TargetFile, TargetGroup, TargetKind

MATRIX: Final = tuple(f"data{row}{column}" for row in range(4) for column in range(4))
VECTOR: Final = ("data0", "data1", "data2")
SPACES: Final = frozenset({"RAS", "LPS"})


def read_instrument_markers(root: Element, source: Source) -> TargetFile:
    """Each marker as a coil pose. Raises TargetFileError."""
    space = _space(root, source)
    return _file(source, space, [_instrument(each, index, space, source) for index, each in enumerate(root.every("InstrumentMarker"))])


def read_trigger_markers(root: Element, source: Source) -> TargetFile:
    """The pose at each pulse. Raises TargetFileError."""
    space = _space(root, source)
    return _file(source, space, [_trigger(each, index, space, source) for index, each in enumerate(root.every("TriggerMarker"))])


def read_entry_targets(root: Element, source: Source) -> TargetFile:
    """Each pair as a line from the scalp to a point in the brain. Raises TargetFileError."""
    space = _space(root, source)
    return _file(source, space, list(_pairs(root, space, source)))


def _file(source: Source, space: str, found: list[FileTarget | Skipped]) -> TargetFile:
    if not found:
        raise source.refusal("no_targets", "it holds no markers")
    entries = Entries.sorted(found)
    return TargetFile(
        file=source.name, sha256=source.sha256, format=source.format, space=space, targets=entries.targets, skipped=entries.skipped
    )


def _space(root: Element, source: Source) -> str:
    space = root.attributes.get("coordinateSpace", "").strip()
    if not space:
        raise source.refusal("missing_coordinate_space", "it does not state its coordinateSpace")
    if is_template(space):
        raise source.refusal("template_space_needs_transform", f"its places are in {space}")
    if space not in SPACES:
        raise source.refusal("unsupported_coordinate_system", f"its coordinateSpace is {quoted(space)}")
    return space


def _instrument(element: Element, index: int, space: str, source: Source) -> FileTarget | Skipped:
    entry = f"InstrumentMarker {index}"
    marker = element.only("Marker")
    if marker is None:
        raise source.refusal("unreadable_target_file", "it holds no Marker, or several", entry)
    name = marker.attributes.get("description", "").strip()
    if not _is_set(marker):
        return Skipped(name=name, index=index, reason="not_set")
    raw = _matrix(marker, source, entry)
    if _is_identity(raw):
        return Skipped(name=name, index=index, reason="untracked")
    return FileTarget(
        name=name,
        kind=TargetKind.COIL_POSE,
        mri_from_coil=_pose(raw, space, source, entry),
        is_chosen=_truth(element.attributes.get("selected")),
    )


def _trigger(element: Element, index: int, space: str, source: Source) -> FileTarget | Skipped:
    entry = f"TriggerMarker {index}"
    name = element.attributes.get("description", "").strip()
    raw = _matrix(element, source, entry)
    if _is_identity(raw):  # before any flip: in an LPS file it would no longer be one
        return Skipped(name=name, index=index, reason="untracked")
    if not _is_set(element):
        return Skipped(name=name, index=index, reason="not_set")
    responses = element.only("ResponseValues")
    values = {} if responses is None else {each.attributes.get("key"): each.attributes.get("response") for each in responses.every("Value")}
    return FileTarget(
        name=name,
        kind=TargetKind.COIL_POSE,
        group=TargetGroup.SAMPLE,
        mri_from_coil=_pose(raw, space, source, entry),
        recorded_ms=_known(element.attributes.get("recordingTime")),
        didt_a_per_us=_known(values.get("valueA")),
        amplitude_pct_mso=_known(values.get("amplitudeA")),
        response_uv=_known(values.get("response")),
    )


def _pairs(root: Element, space: str, source: Source) -> Iterator[FileTarget | Skipped]:
    """In the order in which an index is first named."""
    entries, targets = _by_index(root, "Entry", source), _by_index(root, "Target", source)
    for index, key in enumerate(dict.fromkeys(each.attributes.get("index") for each in root.children)):
        ends = [markers[key] for markers in (entries, targets) if key in markers]
        name = next((word for end in reversed(ends) if (word := end.attributes.get("description", "").strip())), "")
        if not ends:
            continue
        if len(ends) != 2:
            yield Skipped(name=name, index=index, reason="unpaired")
        elif not all(_is_set(end) for end in ends):
            yield Skipped(name=name, index=index, reason="not_set")
        else:
            entry_mm, target_mm = (_vector(end, space, source, f"pair {key}") for end in ends)
            yield FileTarget(
                name=name,
                kind=TargetKind.ENTRY_TARGET,
                entry_in_mri_mm=source.point(entry_mm, f"entry {key}"),
                position_in_mri_mm=source.point(target_mm, f"target {key}"),
            )


def _by_index(root: Element, tag: str, source: Source) -> dict[str | None, Element]:
    found: dict[str | None, Element] = {}
    for element in root.every(tag):
        key, marker = element.attributes.get("index"), element.only("Marker")
        if key is None or key in found or marker is None:
            raise source.refusal("unreadable_target_file", f"{tag} needs an index of its own and one Marker", f"{tag} {key}")
        found[key] = marker
    return found


def _is_set(element: Element) -> bool:
    return _truth(element.attributes.get("set")) is not False


def _truth(word: str | None) -> bool | None:
    return {"true": True, "false": False}.get((word or "").strip().casefold())


def _matrix(parent: Element, source: Source, entry: str) -> FloatArray:
    return np.array(_numbers(parent, "Matrix4D", MATRIX, source, entry)).reshape(4, 4)


def _vector(parent: Element, space: str, source: Source, entry: str) -> FloatArray:
    vector = np.array(_numbers(parent, "ColVec3D", VECTOR, source, entry))
    return flip_lps(vector) if space == "LPS" else vector


def _numbers(parent: Element, tag: str, names: tuple[str, ...], source: Source, entry: str) -> list[float]:
    element = parent.only(tag)
    if element is None or not all(name in element.attributes for name in names):
        raise source.refusal("unreadable_target_file", f"it holds no whole {tag}", entry)
    return [source.number(element.attributes[name], entry) for name in names]


def _is_identity(raw: FloatArray) -> bool:
    return bool(np.array_equal(raw, np.eye(4)))


def _pose(raw: FloatArray, space: str, source: Source, entry: str) -> Matrix:
    ras = flip_lps(raw) if space == "LPS" else raw
    return rows_of(source.rigid(from_axes(ras, CoilAxes.LOCALITE), entry))


def _known(word: str | None) -> float | None:
    """NaN stands for what was not measured; so does anything that is no number, for nothing rests on these."""
    number = float(word) if word is not None and DECIMAL.fullmatch(word.strip()) else None
    return number if number is not None and math.isfinite(number) else None
