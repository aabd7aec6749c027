"""MATLAB 5 files as plain values: numbers, texts, cells and structs, bounded in bytes, depth and claims.

Layout: MathWorks, "MAT-File Format" (R2015b), Level 5. Objects, functions, sparse and complex arrays are refused, and so are
HDF5 files (version 7.3). Nothing is executed or unpickled.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

MOST_BYTES: Final = 2**24  # unpacked; a session of a thousand poses takes 1 MB
MOST_ELEMENTS: Final = 400_000  # a pose takes about fifty
DEEPEST: Final = 16  # a session nests five deep
HEADER_BYTES: Final = 128
VERSION_5: Final = 0x0100
VERSION_7_3: Final = 0x0200
HDF5: Final = b"\x89HDF\r\n\x1a\n"
MI_MATRIX, MI_COMPRESSED, MI_INT8, MI_INT32, MI_UINT32 = 14, 15, 1, 5, 6
NUMBER_TYPES: Final = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TEXT_TYPES: Final = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
MX_CELL, MX_STRUCT, MX_CHAR, MX_DOUBLE, MX_LAST_NUMBER = 1, 2, 4, 6, 15
REFUSED_CLASSES: Final = {3: "objects", 5: "sparse arrays", 16: "functions", 17: "objects", 18: "objects"}
COMPLEX_FLAG: Final = 0x0800

Numbers = NDArray[np.float64]
Part = tuple[int, memoryview]  # an element's type and data
EMPTY: Final[Numbers] = np.empty((0, 0))


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell array's values in storage order."""

    values: "list[MatValue]"


@dataclass(frozen=True, slots=True)
class Structs:
    """A struct array's members in storage order, each by field name."""

    members: "list[dict[str, MatValue]]"


MatValue = Numbers | str | Cell | Structs


class MatError(ValueError):
    """Bytes that are no usable MATLAB 5 file; `is_other_version` for MATLAB files of versions that are not read."""

    def __init__(self, what: str, *, is_other_version: bool = False) -> None:
        super().__init__(what)
        self.is_other_version = is_other_version


def is_mat(content: bytes) -> bool:
    """It begins as a MATLAB file of version 5 or later, or as HDF5."""
    return content.startswith((b"MATLAB ", HDF5)) or content[512:520] == HDF5


def read_mat5(content: bytes) -> dict[str, MatValue]:
    """Every variable by name. Raises MatError."""
    reader = _Reader(_byte_order(content))
    variables: dict[str, MatValue] = {}
    for kind, body in reader.elements(memoryview(content)[HEADER_BYTES:]):
        for inner_kind, inner in reader.elements(reader.inflated(body)) if kind == MI_COMPRESSED else ((kind, body),):
            if inner_kind == MI_MATRIX:
                name, value = reader.matrix(inner, 0)
                variables[name] = value
    return variables


def _byte_order(content: bytes) -> str:
    """`<` or `>`. Raises MatError for what is not version 5."""
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    version = None if order is None else struct.unpack(f"{order}H", content[124:126])[0]
    if content.startswith(HDF5) or content[512:520] == HDF5 or version == VERSION_7_3:
        raise MatError("it is MATLAB 7.3 (HDF5); save it with -v7", is_other_version=True)
    if order is None or version != VERSION_5:
        raise MatError("its header is not that of MATLAB 5")
    return order


class _Reader:
    """Reads matrices of one file; counts what was unpacked."""

    def __init__(self, order: str) -> None:
        self._order = order
        self._left = MOST_BYTES
        self._elements_left = MOST_ELEMENTS

    def elements(self, data: memoryview) -> Iterator[Part]:
        """Type and data of each element one after another. Raises MatError where one is cut off."""
        at = 0
        while at < len(data):
            if len(data) - at < 8:
                raise MatError("an element is cut off")
            self._elements_left -= 1
            if self._elements_left < 0:
                raise MatError(f"it has more than {MOST_ELEMENTS} elements")
            kind, size = struct.unpack_from(f"{self._order}II", data, at)
            if kind >> 16:  # small format: size and type in one word, data in the next
                kind, size, begin, step = kind & 0xFFFF, kind >> 16, at + 4, 8
                if size > 4:
                    raise MatError("a small element claims more than 4 bytes")
            else:
                begin = at + 8
                step = 8 + size + (0 if kind == MI_COMPRESSED else -size % 8)
            if begin + size > len(data):
                raise MatError(f"an element claims {size} bytes and is cut off")
            yield kind, data[begin : begin + size]
            at += step

    def inflated(self, packed: memoryview) -> memoryview:
        """The unpacked bytes, within what is left of the limit."""
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(packed, self._left + 1)
        except zlib.error as error:
            raise MatError(f"a packed element is broken ({error})") from error
        if len(data) > self._left:
            raise MatError(f"it unpacks to more than {MOST_BYTES >> 20} MB")
        if not unpacker.eof:
            raise MatError("a packed element is cut off")
        self._left -= len(data)
        return memoryview(data)

    def matrix(self, body: memoryview, depth: int) -> tuple[str, MatValue]:
        """Name and value of one array."""
        if depth > DEEPEST:
            raise MatError(f"its arrays lie more than {DEEPEST} deep in each other")
        if not body:
            return "", EMPTY
        parts = list(self.elements(body))
        if [kind for kind, _ in parts[:3]] != [MI_UINT32, MI_INT32, MI_INT8] or len(parts[0][1]) != 8:
            raise MatError("an array has no flags, dimensions and name")
        flags = struct.unpack(f"{self._order}I", parts[0][1][:4])[0]
        kind, shape = flags & 0xFF, self._shape(parts[1][1])
        if kind in REFUSED_CLASSES or flags & COMPLEX_FLAG:
            raise MatError(f"it holds {REFUSED_CLASSES.get(kind, 'complex numbers')}, which no session of SimNIBS does")
        return str(parts[2][1], "latin-1"), self._value(kind, shape, parts[3:], depth)

    def _value(self, kind: int, shape: tuple[int, ...], parts: list[Part], depth: int) -> MatValue:
        if kind == MX_CELL:
            return Cell(self._matrices(parts, math.prod(shape), depth))
        if kind == MX_STRUCT:
            return self._structs(parts, math.prod(shape), depth)
        if kind == MX_CHAR:
            return self._text(parts, shape)
        if MX_DOUBLE <= kind <= MX_LAST_NUMBER:
            return self._numbers(parts, shape)
        raise MatError(f"array class {kind} is not known")

    def _shape(self, data: memoryview) -> tuple[int, ...]:
        shape = tuple(np.frombuffer(data[: len(data) // 4 * 4], f"{self._order}i4").tolist())
        if len(shape) < 2 or len(shape) > 8 or min(shape) < 0:
            raise MatError("an array has no usable dimensions")
        return shape

    def _matrices(self, parts: list[Part], count: int, depth: int) -> list[MatValue]:
        if len(parts) != count or any(kind != MI_MATRIX for kind, _ in parts):
            raise MatError(f"an array claims {count} values and holds {len(parts)}")
        return [self.matrix(body, depth + 1)[1] for _, body in parts]

    def _structs(self, parts: list[Part], count: int, depth: int) -> Structs:
        if len(parts) < 2 or parts[0][0] != MI_INT32 or len(parts[0][1]) != 4 or parts[1][0] != MI_INT8:
            raise MatError("a struct has no field names")
        length = struct.unpack(f"{self._order}i", parts[0][1])[0]
        block = bytes(parts[1][1])
        if length < 1 or len(block) % length:
            raise MatError("a struct's field names are broken")
        names = [block[at : at + length].split(b"\0")[0].decode("latin-1") for at in range(0, len(block), length)]
        if not names:
            return Structs([])
        values = self._matrices(parts[2:], count * len(names), depth)
        return Structs([dict(zip(names, values[at : at + len(names)], strict=True)) for at in range(0, len(values), len(names))])

    def _text(self, parts: list[Part], shape: tuple[int, ...]) -> str:
        if len(parts) != 1 or parts[0][0] not in TEXT_TYPES:
            raise MatError("a text is broken")
        kind, data = parts[0]
        encoding = TEXT_TYPES[kind]
        wide = {"<": "-le", ">": "-be"}[self._order] if encoding in ("utf-16", "utf-32") else ""
        try:
            text = str(data, encoding + wide)
        except UnicodeDecodeError as error:
            raise MatError(f"a text is broken ({error.reason})") from error
        rows = shape[0]
        return text if rows <= 1 else "\n".join(text[row::rows] for row in range(rows))

    def _numbers(self, parts: list[Part], shape: tuple[int, ...]) -> Numbers:
        if len(parts) != 1 or parts[0][0] not in NUMBER_TYPES:
            raise MatError("an array of numbers is broken")
        kind, data = parts[0]
        stored = np.dtype(f"{self._order}{NUMBER_TYPES[kind]}")
        if len(data) != math.prod(shape) * stored.itemsize:
            raise MatError(f"an array claims {' x '.join(map(str, shape))} numbers and holds {len(data)} bytes")
        return np.frombuffer(data, stored).astype(np.float64).reshape(shape, order="F")
