"""`atmsd sim room`: camera, stimulator, patient and hands in one process, and all the files a chair needs beside them.

Owns the order in which the room comes to be and goes; what is in it stands in `world`, `ndi_sim` and `magventure_sim`.
"""

import argparse
import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from sim.bench_hands import BenchHands
from sim.magventure_settings import DEFAULT_MODEL
from sim.muscle import add_thumb_arguments
from sim.ndi_models import HIGHEST_HZ, LOWEST_HZ
from sim.ndi_shutter import FAST_LATENCY_MS, FASTEST_SLOW_HZ, SLOW_LATENCY_MS
from sim.ndi_sim import CameraSim
from sim.pty_port import PtyPort
from sim.room_door import DoorError, RoomDoor
from sim.room_files import SOCKET, STIMULATOR, TRUTH, BadRoom, Chair, ensure_roms, known_camera_port, write_chair
from sim.room_plan import NoPlan, ensure_plan, planned_target
from sim.room_stage import Patient, Stage
from sim.room_tracker import CAMERA, KINDS, NoTracker, name_tracker, streaming
from sim.room_unit import MODELS, RoomUnit, chair_lines, make_unit
from sim.thumb import Thumb
from sim.truth import TruthLog
from sim.world import World
from sim.world_people import People

OK, USAGE, BAD_DATA, UNAVAILABLE, CANNOT_CREATE = 0, 64, 65, 69, 73
DEFAULT_PROTOCOL = "demo_itbs90"


class Leave(BaseException):
    """Somebody asked the room to end. Not an error, so nothing on the way may catch it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dir", type=Path, default=Path("room"), metavar="DIR", help="where all its files go (default: room)")
    parser.add_argument("--seed", type=int, default=1, help="of everything that is left to chance (default: %(default)s)")
    parser.add_argument(
        "--rate", type=int, default=60, metavar="HZ", help=f"camera frames a second, {LOWEST_HZ} to {HIGHEST_HZ} (default: 60)"
    )
    parser.add_argument("--model", choices=MODELS, default=DEFAULT_MODEL, help="the stimulator (default: %(default)s)")
    parser.add_argument(
        "--uncalibrated", action="store_true", help="pointer and coil are yet to be calibrated: the chair's file names the bench instead"
    )
    parser.add_argument("--tracker", choices=KINDS, default=CAMERA, help="how the chair's tracker speaks (default: %(default)s)")
    add_thumb_arguments(parser)
    parser.add_argument("--protocol", action="append", metavar="NAME", help=f"make a plan for it; repeatable (default: {DEFAULT_PROTOCOL})")


def main(given: argparse.Namespace) -> int:
    """Be a room until SIGTERM or SIGINT; one JSON line on stdout when all of it can be reached."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    if not LOWEST_HZ <= given.rate <= HIGHEST_HZ:
        return _complain(USAGE, f"--rate {given.rate}: {LOWEST_HZ} to {HIGHEST_HZ} frames a second")
    try:
        given.dir.mkdir(parents=True, exist_ok=True)
        folder = given.dir.resolve()
        with RoomDoor(folder / SOCKET, time.monotonic_ns) as door:
            plans = [ensure_plan(folder, protocol) for protocol in given.protocol or [DEFAULT_PROTOCOL]]
            world = World(given.seed, time.monotonic_ns(), target=planned_target(plans[0]))
            patient = Patient(Thumb(given.threshold, given.spread, given.seed))
            with _devices(folder, world, patient, given) as (camera, stimulator, chair):
                people, bench = People(world, given.seed), BenchHands(world, given.seed)
                stage = Stage(world, people, bench, patient, camera, stimulator, time.monotonic_ns)
                with contextlib.ExitStack() as streams:
                    where = _endpoint(camera)
                    if given.tracker != CAMERA:
                        stream = streams.enter_context(streaming(given.tracker, folder, world, given.rate, given.seed))
                        name_tracker(chair, stream.section)
                        stage.tracker, where = stream.source, stream.endpoint
                    _tell(folder, chair, where, plans[0])
                    door.run_forever(stage.act)
    except Leave:
        return OK
    except (NoPlan, BadRoom) as error:
        return _complain(BAD_DATA, str(error))
    except (DoorError, NoTracker) as error:
        return _complain(UNAVAILABLE, str(error))
    except OSError as error:
        return _complain(CANNOT_CREATE, f"{given.dir}: {error}. Choose another --dir.")
    return OK


@contextlib.contextmanager
def _devices(folder: Path, world: World, patient: Patient, given: argparse.Namespace) -> Iterator[tuple[CameraSim, RoomUnit, Path]]:
    """Camera and stimulator running, and the chair's file that says where."""
    seed, rate_hz = given.seed, given.rate
    latency_ms = SLOW_LATENCY_MS if rate_hz <= FASTEST_SLOW_HZ else FAST_LATENCY_MS
    with contextlib.ExitStack() as open_things:
        camera = _camera(known_camera_port(folder), rate_hz, world, latency_ms, seed)
        open_things.callback(camera.stop)
        camera.start()
        truth = open_things.enter_context(TruthLog(folder / TRUTH, world.probe))
        truth.feel = patient.feel
        pty = open_things.enter_context(PtyPort(folder / STIMULATOR))
        stimulator = make_unit(given.model, pty, truth, seed)
        open_things.callback(stimulator.stop)
        stimulator.start()
        ensure_roms(folder)
        chair = Chair(
            camera=_endpoint(camera),
            rate_hz=rate_hz,
            latency_ms=latency_ms,
            stimulator=chair_lines(given.model, folder),
            is_calibrated=not given.uncalibrated,
        )
        yield camera, stimulator, write_chair(folder, seed, chair)


def _camera(port: int | None, rate_hz: int, world: World, latency_ms: float, seed: int) -> CameraSim:
    """At the port it had before, if nobody else took it meanwhile."""
    if port is not None:
        with contextlib.suppress(OSError):
            return CameraSim("127.0.0.1", port, rate_hz, world, latency_ms=latency_ms, seed=seed)
    return CameraSim("127.0.0.1", 0, rate_hz, world, latency_ms=latency_ms, seed=seed)


def _endpoint(camera: CameraSim) -> str:
    return "tcp://{}:{}".format(*camera.endpoint)


def _tell(folder: Path, chair: Path, tracker: str, plan: Path) -> None:
    line = {
        "ready": True,
        "dir": str(folder),
        "config": str(chair),
        "camera": tracker,
        "stimulator": str(folder / STIMULATOR),
        "truth": str(folder / TRUTH),
        "room": str(folder / SOCKET),
        "plan": str(plan),
    }
    print(json.dumps(line), flush=True)


def _leave(_number: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # once is enough: what ends must not be interrupted
    raise Leave


def _complain(code: int, what: str) -> int:
    print(f"room: {what}", file=sys.stderr)
    return code
