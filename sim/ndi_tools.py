"""Port handles of the simulated camera: uploads, states, and which body of the room a definition stands for."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from drivers.ndi_setup_wire import PortBits
from drivers.rom_wire import MAGIC, MAX_ROM_BYTES, RomFile, parse_rom
from drivers.values import WireError
from sim.world_geometry import IDENTITY, Pose, from_matrix

Array = npt.NDArray[np.float64]

TOLERANCE_MM = 0.1  # markers nearer than this are the same
MAX_PERMUTED_MARKERS = 6  # beyond, the order of the file counts
LAST_HANDLE = 0xFF


@dataclass(slots=True)
class PortHandle:
    """One handle and what was loaded into it. `body` is the room's name, or the file's own part number for a stranger's tool."""

    number: int
    status: int = 0
    memory: bytearray = field(default_factory=lambda: bytearray(MAX_ROM_BYTES))
    rom: RomFile | None = None
    body: str = ""
    is_stranger: bool = False
    body_from_tool: Pose = IDENTITY

    @property
    def is_loaded(self) -> bool:
        return bool(self.status & PortBits.OCCUPIED)

    @property
    def is_initialised(self) -> bool:
        return bool(self.status & PortBits.INITIALISED)

    @property
    def is_enabled(self) -> bool:
        return bool(self.status & PortBits.ENABLED)

    def write(self, address: int, content: bytes) -> None:
        self.memory[address : address + len(content)] = content
        self.status |= PortBits.OCCUPIED


class ToolBay:
    """All handles of the camera, and the room's bodies that they can stand for."""

    def __init__(self, bodies: Mapping[str, RomFile]) -> None:
        self._bodies = bodies
        self.handles: dict[int, PortHandle] = {}
        self.to_free: set[int] = set()

    def in_order(self) -> list[PortHandle]:
        return [self.handles[number] for number in sorted(self.handles)]

    def allocate(self) -> PortHandle | None:
        """The lowest free number; None when all are given out."""
        number = next((n for n in range(1, LAST_HANDLE + 1) if n not in self.handles), None)
        if number is None:
            return None
        handle = self.handles[number] = PortHandle(number)
        return handle

    def free(self, handle: PortHandle) -> None:
        del self.handles[handle.number]
        self.to_free.discard(handle.number)

    def clear(self) -> None:
        self.handles.clear()
        self.to_free.clear()

    def unplug(self, handle: PortHandle) -> None:
        """The tool is gone: the host is to free the handle."""
        handle.status = 0
        self.to_free.add(handle.number)

    def initialise(self, handle: PortHandle) -> bool:
        """Read the definition and find its body; False when the file is damaged.

        A file that is no definition at all, or has no checksum, is a stranger's: it gets a tool of its own.
        """
        try:
            handle.rom = parse_rom(bytes(handle.memory))
        except WireError:
            if handle.memory[:4] == MAGIC and any(handle.memory[4:6]):
                return False
        self._recognise(handle)
        handle.status |= PortBits.INITIALISED
        return True

    def _recognise(self, handle: PortHandle) -> None:
        rom = handle.rom
        for name, body in self._bodies.items():
            found = None if rom is None else same_markers(body, rom)
            if found is not None:
                handle.body, handle.body_from_tool = name, found
                return
        part_number = rom.part_number if rom is not None else ""
        by_part = [name for name, body in self._bodies.items() if part_number and body.part_number == part_number]
        handle.is_stranger = not by_part
        handle.body = by_part[0] if by_part else part_number or f"tool {handle.number:02X}"


def same_markers(body: RomFile, tool: RomFile) -> Pose | None:
    """`body_from_tool` if both have the same markers in some order within 0.1 mm, also when their frames differ; else None."""
    ours, theirs = np.array(body.markers_mm), np.array(tool.markers_mm)
    if len(ours) != len(theirs):
        return None
    count = len(ours)
    orders = itertools.permutations(range(count)) if count <= MAX_PERMUTED_MARKERS else iter([tuple(range(count))])
    our_distances = _distances(ours)
    moved = None
    for order in orders:
        permuted = theirs[list(order)]
        if np.abs(permuted - ours).max() <= TOLERANCE_MM:
            return IDENTITY
        if moved is None and np.abs(_distances(permuted) - our_distances).max() <= 2.0 * TOLERANCE_MM:
            moved = _rigid(ours, permuted)
    return moved


def _distances(points: Array) -> Array:
    apart: Array = np.linalg.norm(points[:, None, :] - points[None, :, :], axis=2)
    return apart


def _rigid(ours: Array, theirs: Array) -> Pose | None:
    """The rigid motion (no mirror) that lays their points on ours, if within the tolerance. Kabsch 1976, Acta Cryst A32:922."""
    our_middle, their_middle = ours.mean(axis=0), theirs.mean(axis=0)
    u, _, vt = np.linalg.svd((ours - our_middle).T @ (theirs - their_middle))
    turn = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    shift = our_middle - turn @ their_middle
    if np.linalg.norm(theirs @ turn.T + shift - ours, axis=1).max() > TOLERANCE_MM:
        return None
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, shift
    return from_matrix(matrix.tolist())
