"""`atmsd sim muscle`: the simulated patient's thumb as an EMG stream of LSL beside the simulated room.

Follows the room's own log of pulses; the stream is all that anybody learns of the thumb. Needs pylsl.
"""

import argparse
import json
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from sim.thumb import Thumb, Twitch, wave_uv

OK, UNAVAILABLE = 0, 69
RATE_HZ = 2000
CHUNK_S = 0.01
BEHIND_S = 0.05  # the samples are this old when they go out, so that a pulse is known before they are due
NOISE_UV = 3.0
REMEMBERED = 3
THRESHOLD_MSO, SPREAD = 47.0, 0.07


class Log:
    """The room's truth log, followed from where it ends now."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, path.stat().st_size if path.exists() else 0

    def pulses(self) -> list[tuple[int, int]]:
        """New pulses as (monotonic ns, %MSO)."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._at)
            lines = file.read().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        self._at += sum(len(line) for line in whole)
        records = [json.loads(line) for line in whole]
        return [(record["mono_ns"], record["amplitude_pct"]) for record in records if record["kind"] == "pulse"]


class Leave(BaseException):
    """Somebody asked the stream to end."""


def add_thumb_arguments(parser: argparse.ArgumentParser) -> None:
    """The thumb's secret, the same for everybody who shows it."""
    parser.add_argument(
        "--threshold", type=float, default=THRESHOLD_MSO, metavar="MSO", help="the thumb's true threshold (default: %(default)s)"
    )
    parser.add_argument("--spread", type=float, default=SPREAD, help="of its response, relative (default: %(default)s)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--truth", type=Path, default=Path("room/truth.jsonl"), metavar="FILE", help="the room's log of pulses")
    parser.add_argument("--stream", default="atmsd-sim-emg", metavar="NAME", help="name of the LSL stream (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the room's own, so that eye and EMG agree (default: %(default)s)")
    add_thumb_arguments(parser)


def main(given: argparse.Namespace) -> int:
    """Stream until SIGTERM or SIGINT."""
    try:
        import pylsl  # noqa: PLC0415  # an extra
    except (ImportError, RuntimeError):
        print("muscle: pylsl cannot be loaded. Install atmsd[lsl].", file=sys.stderr)
        return UNAVAILABLE
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        info = pylsl.StreamInfo(given.stream, "EMG", 1, RATE_HZ, "float32", f"atmsd-sim-muscle-{given.seed}")
        outlet: Any = pylsl.StreamOutlet(info)
        thumb, log = Thumb(given.threshold, given.spread, given.seed), Log(given.truth)
        print(json.dumps({"ready": True, "stream": given.stream, "rate_hz": RATE_HZ, "endpoints": {}}), flush=True)
        for last_s, chunk in chunks(thumb, log, random.Random(given.seed)):
            outlet.push_chunk(chunk, timestamp=last_s + pylsl.local_clock() - time.monotonic())
    except Leave:
        return OK
    return OK


def chunks(thumb: Thumb, log: Log, noise: random.Random) -> Iterator[tuple[float, list[list[float]]]]:
    """Samples without end, in µV, each chunk with the monotonic time of its last one."""
    twitches: list[Twitch] = []
    sent, began_s = 0, time.monotonic()
    while True:
        time.sleep(CHUNK_S)
        twitches += [thumb.feel(at_ns, amplitude_mso) for at_ns, amplitude_mso in log.pulses()]
        del twitches[:-REMEMBERED]
        until = int((time.monotonic() - BEHIND_S - began_s) * RATE_HZ)
        times_s = [began_s + number / RATE_HZ for number in range(sent, until)]
        if times_s:
            values = (sum(wave_uv(twitch, at_s * 1e9) for twitch in twitches) + noise.gauss(0.0, NOISE_UV) for at_s in times_s)
            yield times_s[-1], [[value] for value in values]
            sent = until


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise Leave
