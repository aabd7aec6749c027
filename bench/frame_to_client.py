"""`frame_to_client`: from a frame's leaving the camera to its numbers in a client's hands, through the hot and the daemon process.

The whole room runs and a session is given meanwhile: `atmsd run`, simulated devices, the simulated operator, who is a client too.
Measured is one client in this process: a plain subscriber, alone and among fifty, and the Python client.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.floors import Floor
from bench.load import process
from bench.options import Options
from bench.running import running
from bench.stamped_room import read_stamps
from bench.subscriber import Subscriber
from bench.table import Row, ms, print_rows
from clients.endpoints import read_endpoints
from clients.link import Link
from clients.telemetry import Received
from daemon.messages import CoilErrorBody

SECONDS = 7.0
OTHERS = 49
READY_S, STEP_S, SETTLE_S, PUMP_S = 60.0, 60.0, 1.5, 0.1
TOPIC = "v1/coil/error"
BUDGET = (("p50", 1.0), ("p99", 5.0))


@dataclass(slots=True)
class Heard:
    """What one client heard. `frames`: number, when published, when in hand (monotonic ns)."""

    what: str
    frames: list[tuple[int, int, int]] = field(default_factory=list)
    with_numbers: int = 0
    missed: int = 0

    def take(self, update: Received, now_ns: int) -> None:
        if isinstance(update.body, CoilErrorBody) and update.body.frame_number is not None:
            self.frames.append((update.body.frame_number, update.header.mono_ns, now_ns))
            self.with_numbers += update.body.target_error_mm is not None
            self.missed += update.missed


def run(options: Options) -> None:
    seconds = options.seconds_or(SECONDS)
    with tempfile.TemporaryDirectory(prefix="atmsd-bench-") as name:
        folder = Path(name)
        with _session(folder) as config, Floor("sleep") as sleep, Floor("zmq") as bare:
            endpoint = read_endpoints(config)[1]
            heard = [_listen(endpoint, "1 subscriber", seconds), _listen_by_link(config, "1 clients.link.Link", seconds)]
            with process(["-m", "bench.crowd", endpoint, str(OTHERS)]):
                heard.append(_listen(endpoint, f"{OTHERS + 1} subscribers, one stalled", seconds))
        stamps = read_stamps(folder)
    rows = [row for each in heard for row in _rows(each, stamps)]
    rows += [Row(floor.name, floor.took_ms) for floor in (bare, sleep)]
    notes = [f"{each.what}: {each.with_numbers} of {len(each.frames)} frames with numbers, {each.missed} missed" for each in heard]
    print_rows("frame_to_client: frame sent by the camera -> numbers at a ZMQ client, 60 Hz, a session under way", rows, notes)


@contextlib.contextmanager
def _session(folder: Path) -> Iterator[Path]:
    """A patient registered, aimed at and treated; yields the chair's file once the coil is on its target."""
    with running(folder, "room", "bench.stamped_room", "--dir", str(folder)) as room:
        config = str(room.facts(READY_S)["config"])
        daemon = running(folder, "daemon", "daemon", "run", "--config", config)
        with daemon, running(folder, "operator", "sim", "operator", "--config", config) as operator:
            operator.await_event("aimed", STEP_S)
            yield Path(config)


def _listen(endpoint: str, what: str, seconds: float) -> Heard:
    heard = Heard(what)
    with Subscriber(endpoint, TOPIC) as subscriber:
        _skip_s(SETTLE_S, lambda: subscriber.read(PUMP_S))
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            update = subscriber.read(PUMP_S)
            if update is not None:
                heard.take(update, time.monotonic_ns())
    return heard


def _listen_by_link(config: Path, what: str, seconds: float) -> Heard:
    heard = Heard(what)
    with Link.from_config(config, topics=(TOPIC,)) as link:
        _skip_s(SETTLE_S, lambda: link.pump(PUMP_S))
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            updates = link.pump(PUMP_S)
            now_ns = time.monotonic_ns()
            for update in updates:
                heard.take(update, now_ns)
    return heard


def _skip_s(seconds: float, read: Callable[[], object]) -> None:
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        read()


def _rows(heard: Heard, stamps: dict[int, int]) -> list[Row]:
    known = [(stamps[number], published_ns, read_ns) for number, published_ns, read_ns in heard.frames if number in stamps]
    return [
        Row(heard.what, ms(read_ns - sent_ns for sent_ns, _, read_ns in known), budget=BUDGET),
        Row(f"{heard.what}: sent -> published", ms(published_ns - sent_ns for sent_ns, published_ns, _ in known)),
        Row(f"{heard.what}: published -> in hand", ms(read_ns - published_ns for _, published_ns, read_ns in known)),
    ]
