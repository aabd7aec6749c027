"""The command line of `atmsd sim camera`: a Polaris Vega, Spectra or Vicra on TCP, on a pseudo terminal, or on both."""

import argparse
import contextlib
import json
import signal
import sys
from pathlib import Path

from drivers.ndi_wire import TCP_PORT
from drivers.rom_wire import RomFile, parse_rom
from drivers.values import WireError
from sim.ndi_models import HIGHEST_HZ, ILLUMINATED_HZ, LOWEST_HZ, MODELS, Model
from sim.ndi_poses import SlowMotion
from sim.ndi_room_tools import ROOM_BODIES
from sim.ndi_sim import NOISE_MM, CameraSim
from sim.pty_port import PtyPort

USAGE, BAD_DATA, UNAVAILABLE, CANNOT_CREATE = 64, 65, 69, 73
HERE = f"127.0.0.1:{TCP_PORT}"
LAST_PORT = 65535
NO_LINK = "-"  # of --pty without a name


class BadOption(Exception):
    """What is wrong, and the exit code."""

    def __init__(self, code: int, what: str) -> None:
        super().__init__(what)
        self.code = code


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `sim camera`; every one has a default."""
    parser.add_argument("--model", choices=MODELS, default="vega", help="default: %(default)s")
    parser.add_argument(
        "--tcp",
        metavar="PORT|HOST:PORT",
        nargs="?",
        const=HERE,
        help=f"where to listen; port 0 takes any free one (default {HERE}, unless --pty is given alone)",
    )
    parser.add_argument("--pty", metavar="LINK", nargs="?", const=NO_LINK, help="also a serial port, with a link to it (default: none)")
    parser.add_argument(
        "--rate",
        metavar="HZ",
        type=int,
        help=f"frames per second at the start: {LOWEST_HZ} to {HIGHEST_HZ}, 20, 30 or 60 of the older models (default: Vega 60, others 20)",
    )
    parser.add_argument("--latency", metavar="MS", type=float, help="exposure until readable (default 14 up to 100 Hz, 3 above)")
    parser.add_argument("--tool", metavar="FILE.rom", type=Path, action="append", default=[], help="a tool that stands in the room")
    parser.add_argument("--noise-mm", type=float, default=NOISE_MM, help="of each marker, per axis (default: %(default)s)")
    parser.add_argument("--drift-ppm", type=float, default=0.0, help="its clock is so much faster than it says (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default: %(default)s)")
    parser.add_argument("--first-frame", type=int, default=1, help="frame number at the start (default: %(default)s)")
    parser.add_argument("--freeze-tag", metavar="TAG", help="what VER says; clients choose TX or BX by it (default: one of TX)")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[=VALUE][@SECONDS]",
        help="turn a fault on, at once or after a while; may be repeated (sim/ndi_faults.py names them)",
    )


def main(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT. Exit codes: 0, 64 (a bad option), 65 (a bad tool file), 69 (no such port), 73 (no such link)."""
    try:
        return _serve(args)
    except BadOption as error:
        print(error, file=sys.stderr)
        return error.code


def _serve(args: argparse.Namespace) -> int:
    model = MODELS[args.model]
    rate_hz = _rate(args.rate, model)
    address = _address(args)
    bodies = _bodies(args.tool)
    with contextlib.ExitStack() as open_things:
        pty = None if args.pty is None else open_things.enter_context(_pty(args.pty))
        camera = _camera(args, address, pty, model, rate_hz, bodies)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: camera.stop())
        if pty is not None:
            pty.announce()
        told = {"ready": True, "endpoints": _endpoints(camera, address, pty), "model": args.model, "rate_hz": rate_hz}
        print(json.dumps(told), flush=True)
        camera.run_forever()
    return 0


def _camera(
    args: argparse.Namespace, address: tuple[str, int] | None, pty: PtyPort | None, model: Model, rate_hz: int, bodies: dict[str, RomFile]
) -> CameraSim:
    host, port = (None, 0) if address is None else address
    try:
        camera = CameraSim(
            host,
            port,
            rate_hz,
            SlowMotion(bodies),
            pty=pty,
            model=model,
            latency_ms=args.latency,
            noise_mm=args.noise_mm,
            seed=args.seed,
            first_frame=args.first_frame,
            freeze_tag=args.freeze_tag,
        )
    except (OSError, OverflowError) as error:
        raise BadOption(UNAVAILABLE, f"--tcp {host}:{port}: cannot listen there ({error}); choose a free port") from error
    camera.faults.drift_ppm = args.drift_ppm
    for text in args.fault:
        fault, _, after_s = text.partition("@")
        try:
            camera.switch_later(fault, float(after_s or 0))
        except ValueError as error:
            camera.stop()
            camera.run_forever()
            raise BadOption(USAGE, f"--fault {text}: {error}") from error
    return camera


def _rate(rate_hz: int | None, model: Model) -> int:
    if rate_hz is None:
        return model.rate_hz
    if model.illuminated and rate_hz not in ILLUMINATED_HZ:
        raise BadOption(USAGE, f"--rate {rate_hz}: a {model.title} runs at 20, 30 or 60 Hz")
    if not LOWEST_HZ <= rate_hz <= HIGHEST_HZ:
        raise BadOption(USAGE, f"--rate {rate_hz}: {LOWEST_HZ} to {HIGHEST_HZ} Hz")
    return rate_hz


def _address(args: argparse.Namespace) -> tuple[str, int] | None:
    """Where to listen; None for nowhere on TCP."""
    if args.tcp is None and args.pty is not None:
        return None
    text = HERE if args.tcp is None else args.tcp
    host, colon, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > LAST_PORT or (colon and not host):
        raise BadOption(USAGE, f"--tcp {text}: PORT or HOST:PORT is needed, as in {HERE}")
    return host or "127.0.0.1", int(port)


def _bodies(files: list[Path]) -> dict[str, RomFile]:
    bodies = dict(ROOM_BODIES)
    for path in files:
        try:
            bodies[path.stem] = parse_rom(path.read_bytes())
        except (OSError, WireError) as error:
            raise BadOption(BAD_DATA, f"--tool {path}: {error}") from error
    return bodies


def _pty(link: str) -> PtyPort:
    try:
        return PtyPort(None if link == NO_LINK else Path(link))
    except OSError as error:
        raise BadOption(CANNOT_CREATE, f"--pty {link}: {error}") from error


def _endpoints(camera: CameraSim, address: tuple[str, int] | None, pty: PtyPort | None) -> dict[str, str]:
    """`camera` is what a chair's file calls the endpoint."""
    endpoints = {}
    if address is not None:
        endpoints["tcp"] = "tcp://{}:{}".format(*camera.endpoint)
    if pty is not None:
        endpoints["pty"] = str(pty.endpoint)
    return {"camera": endpoints.get("tcp") or f"serial:{endpoints['pty']}"} | endpoints
