"""A chair for benches: exact calibrations (a bench must know the truth), devices wherever the bench put them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.units import Unit
from sim.ndi_room_tools import ROOM_ROMS
from sim.world_bodies import COIL_FROM_COILTOOL, TIP_IN_POINTER_MM
from sim.world_geometry import to_matrix

LATENCY_MS = {60: 14.0, 400: 3.0}
SLOWEST_LATENCY_MS = 14.0


def latency_ms(rate_hz: int) -> float:
    return LATENCY_MS.get(rate_hz, SLOWEST_LATENCY_MS)


def write_chair(folder: Path, camera: str, stimulator: Path, rate_hz: int, unit: Unit, mode: str = "bx") -> Path:
    """FOLDER/chair.toml and the files it names; returns its path. `mode`: by polling, which every camera can."""
    for name, rom in ROOM_ROMS.items():
        (folder / f"{name}.rom").write_bytes(rom)
    now = datetime.now(UTC).replace(microsecond=0)
    path = folder / "chair.toml"
    path.write_text(
        f"""[chair]
name = "bench"

[site]
timezone = "Etc/UTC"
basis = "simulation only"
signed_by = "bench"

[tracker]
kind = "ndi"
endpoint = "{camera}"
mode = "{mode}"
latency_ms = {latency_ms(rate_hz)}
frame_hz = {float(rate_hz)}

[tools.head]
rom = "head.rom"

[tools.pointer]
rom = "pointer.rom"
tip_in_pointer_mm = {list(TIP_IN_POINTER_MM)}

[tools.coil]
rom = "coil.rom"
coiltool_from_coil = {to_matrix(COIL_FROM_COILTOOL.inverse())}
calibrated_utc = "{now.isoformat()}"
valid_until_utc = "{(now + timedelta(days=1)).isoformat()}"

[stimulator]
port = "{stimulator}"
{unit.chair_lines(folder)}
""",
        encoding="utf-8",
    )
    return path
