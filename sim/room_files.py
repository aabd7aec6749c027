"""The files of a simulated chair: tool definitions, the chair's TOML with the room's calibrations, free ports.

Calibrations are the truth with a small error, as a person at a bench makes it. An existing chair file is kept; of it only
what has changed with this start (where the camera and the stimulator are) is written anew.
"""

import json
import random
import re
import socket
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sim.bench_files import DRAWING, bench_lines, write_bench
from sim.ndi_room_tools import ROOM_ROMS
from sim.world_bodies import COIL_FROM_COILTOOL, TIP_IN_POINTER_MM
from sim.world_geometry import Vector, added, to_matrix

CHAIR, TRUTH, SOCKET, STIMULATOR = "chair.toml", "truth.jsonl", "room.sock", "stimulator"
TIP_ERROR_MM = 0.12  # per axis, as a pivot of a minute leaves it
COIL_ERROR_MM, COIL_ERROR_DEG = 0.15, 0.1
CALIBRATION_DAYS = 180


class BadRoom(Exception):
    """The room's folder cannot be used: what, where, what to do."""


def ensure_roms(folder: Path) -> None:
    for name, rom in ROOM_ROMS.items():
        (folder / f"{name}.rom").write_bytes(rom)


def known_camera_port(folder: Path) -> int | None:
    """Where the camera was when this room last ran, so that a daemon that is still there finds it again."""
    path = folder / CHAIR
    if not path.exists():
        return None
    try:
        tracker = tomllib.loads(path.read_text(encoding="utf-8"))["tracker"]
        return int(str(tracker["endpoint"]).rpartition(":")[2]) if tracker["kind"] == "ndi" else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadRoom(f"{path}: not a chair file of a simulated room ({error}). Remove it or name another --dir.") from error


@dataclass(frozen=True, slots=True)
class Chair:
    """What the room's devices are, as the chair's file has to say it."""

    camera: str
    rate_hz: float
    latency_ms: float
    stimulator: str  # its own lines
    is_calibrated: bool = True  # else its file leaves pointer and coil to the calibration history


def write_chair(folder: Path, seed: int, chair: Chair) -> Path:
    """DIR/chair.toml, anew or brought up to date; returns its path."""
    path = folder / CHAIR
    if path.exists():
        text = path.read_text(encoding="utf-8")
        _refuse_another_unit(path, text, chair)
        text = re.sub(r'(?m)^endpoint = ".*"$', f'endpoint = "{chair.camera}"', text)
        text = re.sub(r"(?m)^frame_hz = .*$", f"frame_hz = {chair.rate_hz:.1f}", text)
        text = re.sub(r"(?m)^latency_ms = .*$", f"latency_ms = {chair.latency_ms:.1f}", text)
    else:
        text = _text(seed, chair)
        if not chair.is_calibrated:
            write_bench(folder)
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
    return path


def _refuse_another_unit(path: Path, text: str, chair: Chair) -> None:
    """The file is kept as people changed it, but it must speak of the stimulator that stands in the room."""
    found, wanted = tomllib.loads(text).get("stimulator", {}).get("model"), tomllib.loads(chair.stimulator)["model"]
    if found != wanted:
        raise BadRoom(f"{path}: its stimulator is a {found}, the room's a {wanted}. Name another --dir, or that --model.")


def _text(seed: int, chair: Chair) -> str:
    rng = random.Random(seed)
    now = datetime.now(UTC).replace(microsecond=0)
    commands, telemetry = free_ports(2)
    calibrated = _calibrated(rng, now)
    pointer, coil, bench = calibrated if chair.is_calibrated else _uncalibrated()
    return f"""# A simulated chair, written by `atmsd sim room`. Nothing in it may be used with a real device.

[chair]
name = "simulated-chair"

[site]
timezone = "Etc/UTC"
basis = "simulation only"
signed_by = "atmsd sim room"

[tracker]
kind = "ndi"
endpoint = "{chair.camera}"
latency_ms = {chair.latency_ms:.1f}
frame_hz = {chair.rate_hz:.1f}

[tools.head]
rom = "head.rom"

[tools.pointer]
rom = "pointer.rom"
{pointer}

[tools.coil]
rom = "coil.rom"
{coil}
{bench}
[stimulator]
port = "{STIMULATOR}"
coil_class = "figure-8"
{chair.stimulator}

[network]
commands = "tcp://127.0.0.1:{commands}"
telemetry = "tcp://127.0.0.1:{telemetry}"

[ledger]
url = "sqlite:///ledger.sqlite"
"""


def _calibrated(rng: random.Random, now: datetime) -> tuple[str, str, str]:
    """What the file says of pointer and coil, as calibrations of a person at a bench leave it."""
    tip = added(TIP_IN_POINTER_MM, _gauss(rng, TIP_ERROR_MM))
    coiltool_from_coil = COIL_FROM_COILTOOL.inverse().moved(_gauss(rng, COIL_ERROR_MM), _gauss(rng, COIL_ERROR_DEG))
    rows = ",\n".join("  " + json.dumps([round(number, 6) for number in row]) for row in to_matrix(coiltool_from_coil))
    until = now + timedelta(days=CALIBRATION_DAYS)
    coil = f"""coiltool_from_coil = [
{rows},
]
calibrated_utc = "{now.isoformat().replace("+00:00", "Z")}"
valid_until_utc = "{until.isoformat().replace("+00:00", "Z")}"
"""
    return f"tip_in_pointer_mm = {json.dumps([round(number, 4) for number in tip])}", coil, ""


def _uncalibrated() -> tuple[str, str, str]:
    return 'calibration = "store"', f'calibration = "store"\ndrawing = "{DRAWING}"\n', bench_lines()


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _gauss(rng: random.Random, sigma: float) -> Vector:
    return (rng.gauss(0.0, sigma), rng.gauss(0.0, sigma), rng.gauss(0.0, sigma))
