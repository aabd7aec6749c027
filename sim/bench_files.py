"""The bench's papers beside a chair's file: the coil's drawing, the block's distances, and the lines of the chair file that name them."""

import json
from pathlib import Path

from sim.world_bench import COIL_POINTS_MM, PLATE_FROM_COIL, PLATE_ROM, known_distances_mm
from sim.world_geometry import to_matrix

DRAWING, BLOCK, PLATE_FILE = "coil_points.toml", "block.toml", "plate.rom"


def write_bench(folder: Path) -> None:
    """Drawing, block and the plate's tool definition."""
    points = "\n".join(f"{name} = {json.dumps(point)}" for name, point in COIL_POINTS_MM.items())
    (folder / DRAWING).write_text(f'coil = "simulated figure-of-eight"\n\n[points_mm]\n{points}\n', encoding="utf-8")
    distances = "\n".join(f'"{a}-{b}" = {length}' for (a, b), length in known_distances_mm().items())
    (folder / BLOCK).write_text(f'block = "simulated block"\n\n[distances_mm]\n{distances}\n', encoding="utf-8")
    (folder / PLATE_FILE).write_bytes(PLATE_ROM)


def bench_lines() -> str:
    """What the chair's file says of the bench besides its tools' calibrations."""
    rows = ",\n".join("  " + json.dumps([round(number, 6) for number in row]) for row in to_matrix(PLATE_FROM_COIL))
    return f"""
[tools.plate]
rom = "{PLATE_FILE}"
plate_from_coil = [
{rows},
]

[qa]
block = "{BLOCK}"
"""
