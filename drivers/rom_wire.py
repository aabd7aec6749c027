"""Tool definition files (.rom) of NDI trackers: bytes and values, both directions. No device, no geometry of ours.

Layout read from two real 752-byte files, little-endian; the checksum rule held on both. Files for a real camera come from
NDI 6D Architect, never from here.
"""

import math
import struct
from collections.abc import Sequence

import msgspec

from drivers.values import WireError

Marker = tuple[float, float, float]

ROM_BYTES = 752
MAX_ROM_BYTES = 1024  # sixteen chunks of 64: what the camera's virtual memory chip takes
MAX_MARKERS = 20

MAGIC = b"NDI\0"
_CHECKSUM = struct.Struct("<H")  # at 4: sum of every byte from 6 on, modulo 65536
_CHECKSUM_AT = 4
_SUMMED_FROM = 6
_MAIN_TYPE_AT = 0x0F
_COUNTS = struct.Struct("<IIIf")  # at 0x18: largest marker angle, marker count, fewest markers, largest 3D error
_COUNTS_AT = 0x18
_SPREAD = struct.Struct("<f")
_SPREAD_AT = 0x40
_POINTS = struct.Struct(f"<{3 * MAX_MARKERS}f")
_MARKERS_AT = 0x48
_NORMALS_AT = 0x138
_ORDER_AT = 0x228
_FACES_AT = 0x23C
_ALL_FACES = 0x1F
_MARKER_TYPE_AT = 0x240
_MANUFACTURER = slice(0x244, 0x250)
_PART_NUMBER = slice(0x250, 0x264)

SPHERES_850_NM = 0x29  # wavelength 850 nm, passive, sphere
MAIN_TYPE_REFERENCE = 0x01
MAIN_TYPE_PROBE = 0x02

_WHERE = "tool definition file"
_REMEDY = "Export it again from NDI 6D Architect."


class RomFile(msgspec.Struct, frozen=True, kw_only=True):
    """One tool: markers in its own frame (mm), and the limits inside which the camera accepts a fit."""

    markers_mm: tuple[Marker, ...]
    part_number: str
    manufacturer: str
    main_type: int
    min_markers: int
    max_angle_deg: int
    max_error_mm: float
    min_spread_mm: float


def build_rom(
    markers_mm: Sequence[Marker],
    part_number: str,
    *,
    manufacturer: str = "ATMSD",
    main_type: int = MAIN_TYPE_REFERENCE,
    min_markers: int = 3,
    max_angle_deg: int = 90,
    max_error_mm: float = 0.75,
    min_spread_mm: float = 10.0,
) -> bytes:
    """A synthetic definition of 752 bytes for simulators and tests; markers (N, 3), 3 <= N <= 20, mm, normals along z.

    Raises WireError when it cannot hold the markers or the names.
    """
    if not 3 <= len(markers_mm) <= MAX_MARKERS:
        raise WireError(f"{len(markers_mm)} markers, where 3 to {MAX_MARKERS} are allowed", _WHERE, "Give each tool 3 to 20 markers.")
    data = bytearray(ROM_BYTES)
    data[:4] = MAGIC
    data[_MAIN_TYPE_AT] = main_type
    _COUNTS.pack_into(data, _COUNTS_AT, max_angle_deg, len(markers_mm), min_markers, max_error_mm)
    _SPREAD.pack_into(data, _SPREAD_AT, min_spread_mm)
    _POINTS.pack_into(data, _MARKERS_AT, *_padded(markers_mm))
    _POINTS.pack_into(data, _NORMALS_AT, *_padded([(0.0, 0.0, 1.0)] * len(markers_mm)))
    data[_ORDER_AT : _ORDER_AT + len(markers_mm)] = bytes(range(len(markers_mm)))
    data[_FACES_AT] = _ALL_FACES
    data[_MARKER_TYPE_AT] = SPHERES_850_NM
    data[_MANUFACTURER] = _field(manufacturer, _MANUFACTURER)
    data[_PART_NUMBER] = _field(part_number, _PART_NUMBER)
    _CHECKSUM.pack_into(data, _CHECKSUM_AT, rom_checksum(data))
    return bytes(data)


def parse_rom(data: bytes) -> RomFile:
    """The tool in a definition file; zero padding after the 752 bytes is allowed. Raises WireError (length, mark, checksum, numbers)."""
    if not ROM_BYTES <= len(data) <= MAX_ROM_BYTES:
        raise WireError(f"{len(data)} bytes, where {ROM_BYTES} to {MAX_ROM_BYTES} are expected", _WHERE, _REMEDY)
    if data[:4] != MAGIC:
        raise WireError("it does not begin with NDI", _WHERE, "Give a .rom file.")
    stated = _CHECKSUM.unpack_from(data, _CHECKSUM_AT)[0]
    if stated != rom_checksum(data):
        raise WireError(f"checksum {stated:04X}, computed {rom_checksum(data):04X}", _WHERE, _REMEDY)
    max_angle_deg, count, min_markers, max_error_mm = _COUNTS.unpack_from(data, _COUNTS_AT)
    if not 0 < count <= MAX_MARKERS:
        raise WireError(f"{count} markers, where 1 to {MAX_MARKERS} are allowed", _WHERE, _REMEDY)
    flat = _POINTS.unpack_from(data, _MARKERS_AT)[: 3 * count]
    spread_mm = _SPREAD.unpack_from(data, _SPREAD_AT)[0]
    if not all(map(math.isfinite, (*flat, max_error_mm, spread_mm))):
        raise WireError("a number in it is not finite", _WHERE, _REMEDY)
    return RomFile(
        markers_mm=tuple((flat[i], flat[i + 1], flat[i + 2]) for i in range(0, 3 * count, 3)),
        part_number=_text(data[_PART_NUMBER]),
        manufacturer=_text(data[_MANUFACTURER]),
        main_type=data[_MAIN_TYPE_AT],
        min_markers=min_markers,
        max_angle_deg=max_angle_deg,
        max_error_mm=max_error_mm,
        min_spread_mm=spread_mm,
    )


def rom_checksum(data: bytes | bytearray) -> int:
    return sum(memoryview(data)[_SUMMED_FROM:]) & 0xFFFF


def _padded(points: Sequence[Marker]) -> list[float]:
    flat = [coordinate for point in points for coordinate in point]
    return flat + [0.0] * (3 * MAX_MARKERS - len(flat))


def _field(text: str, place: slice) -> bytes:
    size = place.stop - place.start
    if len(text) > size or not text.isascii():
        raise WireError(f"{text!r} does not fit into {size} ASCII characters", _WHERE, "Choose a shorter name.")
    return text.encode("ascii").ljust(size, b"\0")


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode("latin-1").strip()
