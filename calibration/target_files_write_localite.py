"""Localite's XML written: instrument markers for targets, trigger markers for delivered pulses, entry-target pairs for lines.

RAS unless LPS is asked for: the program's session follows the image it was loaded from (NIfTI RAS, DICOM LPS).
"""

from collections.abc import Iterable, Sequence
from typing import Final
from xml.sax.saxutils import quoteattr

import numpy as np

from calibration.coil_axes import CoilAxes, flip_lps, to_axes
from calibration.frames import FloatArray, Xyz
from calibration.target_files_values import FileTarget, Matrix, TargetKind
from calibration.target_files_written import Writing, Written, array_of, is_sample, plain

HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>'
RESPONSES: Final = (
    '        <responseDescription id="response" maxValue="51200.0" minValue="-51200.0" name="Response" unit="uV"/>',
    '        <responseDescription id="valueA" maxValue="200.0" minValue="0.0" name="Value A (di/dt)" unit="A/us"/>',
    '        <responseDescription id="amplitudeA" maxValue="100.0" minValue="0.0" name="Amplitude A" unit="%"/>',
)


def write_instrument_markers(writing: Writing) -> Written:
    """Planned coil poses."""
    fitting, left_out = writing.parted(lambda target: target.mri_from_coil is not None and not is_sample(target))
    lines = [line for index, target in enumerate(fitting) for line in _instrument(target, index, writing)]
    return Written(content=_document("InstrumentMarkerList", writing, lines), left_out=left_out)


def write_trigger_markers(writing: Writing) -> Written:
    """Poses at pulses, with time, amplitude and di/dt; a pulse at which the coil was not seen is an identity that is not set."""
    fitting, left_out = writing.parted(is_sample)
    lines = [line for target in fitting for line in _trigger(target, writing)]
    parameters = ['    <ResponseParameters selectedResponseChannel="0">', *RESPONSES, "    </ResponseParameters>"]
    return Written(content=_document("TriggerMarkerList", writing, [*parameters, *lines], ' isOnlineReading="false"'), left_out=left_out)


def write_entry_targets(writing: Writing) -> Written:
    """Lines from the scalp into the brain."""
    fitting, left_out = writing.parted(lambda target: target.kind is TargetKind.ENTRY_TARGET)
    lines = [line for index, target in enumerate(fitting) for line in _pair(target, index, writing)]
    return Written(content=_document("EntryTargetList", writing, lines), left_out=left_out)


def _document(root: str, writing: Writing, lines: Iterable[str], more: str = "") -> bytes:
    space = "LPS" if writing.in_lps else "RAS"
    return "\n".join((HEAD, f'<{root} coordinateSpace="{space}"{more}>', *lines, f"</{root}>", "")).encode()


def _instrument(target: FileTarget, index: int, writing: Writing) -> Sequence[str]:
    chosen = "true" if target.is_chosen else "false"
    return (
        f'    <InstrumentMarker alwaysVisible="false" index="{index}" selected="{chosen}">',
        f'        <Marker additionalInformation="" color="#00ff00" description={quoteattr(target.name)} set="true">',
        f"            {_matrix(target.mri_from_coil, writing)}",
        "        </Marker>",
        "    </InstrumentMarker>",
    )


def _trigger(target: FileTarget, writing: Writing) -> Sequence[str]:
    is_set = "false" if target.mri_from_coil is None else "true"
    time = "" if target.recorded_ms is None else f' recordingTime="{target.recorded_ms:.0f}"'
    values = {"valueA": target.didt_a_per_us, "response": target.response_uv, "amplitudeA": target.amplitude_pct_mso}
    words = {key: "NaN" if value is None else plain(value) for key, value in values.items()}
    rows = [f'            <Value key="{key}" response="{word}"/>' for key, word in words.items()]
    return (
        f'    <TriggerMarker color="#ffafaf" description={quoteattr(target.name)}{time} selected="false" set="{is_set}" visibility="true">',
        "        <ResponseValues>",
        *rows,
        "        </ResponseValues>",
        f"        {_matrix(target.mri_from_coil, writing)}",
        "    </TriggerMarker>",
    )


def _pair(target: FileTarget, index: int, writing: Writing) -> Iterable[str]:
    for tag, name, place in (("Entry", "", target.entry_in_mri_mm), ("Target", target.name, target.position_in_mri_mm)):
        yield f'    <{tag} alwaysVisible="false" index="{index}" selected="false">'
        yield f'        <Marker color="#00ffff" description={quoteattr(name)} drawAura="true" radius="4.0" set="true">'
        yield f"            {_vector(place, writing)}"
        yield "        </Marker>"
        yield f"    </{tag}>"


def _matrix(matrix: Matrix | None, writing: Writing) -> str:
    """The pose in the program's axes; an identity, never flipped, where there is none."""
    theirs = np.eye(4) if matrix is None else _spaced(to_axes(array_of(matrix), CoilAxes.LOCALITE), writing)
    numbers = (f'data{row}{column}="{plain(theirs[row, column])}"' for row in range(4) for column in range(4))
    return f"<Matrix4D {' '.join(numbers)}/>"


def _vector(place: Xyz | None, writing: Writing) -> str:
    theirs = _spaced(np.array(place), writing)
    numbers = (f'data{index}="{plain(value)}"' for index, value in enumerate(theirs))
    return f"<ColVec3D {' '.join(numbers)}/>"


def _spaced(ras: FloatArray, writing: Writing) -> FloatArray:
    return flip_lps(ras) if writing.in_lps else ras
