"""The room's tracker where it is not the camera: the same world as a stream of LSL or as transforms, and how the chair's file names it."""

import contextlib
import re
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sim.igtl_tracker import IgtlServer, device_name
from sim.lsl_tracker import LslSource
from sim.stream_source import NOISE_DEG, NOISE_MM, StreamSource
from sim.world import World

CAMERA, LSL, IGTL = "ndi", "lsl", "igtl"
KINDS = (CAMERA, LSL, IGTL)
LATENCY_MS = 8.0  # exposure until it is sent
WORST_LATENCY_MS = {LSL: LATENCY_MS, IGTL: 15.0}  # to the stamp, which is the exposure; to the arrival of a message that did not wait
STATED_RMS_MM = 0.2  # what the site found: the room's noise and some reserve


class NoTracker(Exception):
    """The stream cannot be made on this machine: what, and what to do."""


@dataclass(frozen=True, slots=True)
class Streaming:
    """A running source, where it is, and its section of the chair's file."""

    source: LslSource | IgtlServer
    endpoint: str
    section: str


@contextlib.contextmanager
def streaming(kind: str, folder: Path, world: World, rate_hz: float, seed: int) -> Iterator[Streaming]:
    """The world's tools by `kind`, LSL or IGTL, for as long as the context lasts. Raises NoTracker without pylsl."""
    frames = StreamSource(
        world, rate_hz, time.monotonic_ns(), latency_ms=LATENCY_MS, noise_mm=NOISE_MM, noise_deg=NOISE_DEG, seed=seed
    )
    source = _lsl_source(stream_name(folder), frames) if kind == LSL else IgtlServer("127.0.0.1", 0, frames)
    source.start()
    try:
        yield _described(source, rate_hz)
    finally:
        source.stop()


def stream_name(folder: Path) -> str:
    """One for each room of this machine, the same when it is started again."""
    return f"atmsd-sim-{zlib.crc32(str(folder.resolve()).encode()):08x}"


def name_tracker(chair: Path, section: str) -> None:
    """Put another [tracker] into a chair's file; tool definitions may stay where they are."""
    text = chair.read_text(encoding="utf-8")
    text = re.sub(r"(?ms)^\[tracker\.tools\]$.*?(?=^\[)", "", text)
    text = re.sub(r"(?ms)^\[tracker\]$.*?(?=^\[)", lambda _: section, text)
    fresh = chair.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(chair)


def _lsl_source(name: str, frames: StreamSource) -> LslSource:
    try:
        import pylsl  # noqa: PLC0415  # an extra
    except (ImportError, RuntimeError) as error:
        raise NoTracker("pylsl cannot be loaded. Install atmsd[lsl].") from error
    return LslSource(name, frames, pylsl)


def _described(source: LslSource | IgtlServer, rate_hz: float) -> Streaming:
    if isinstance(source, LslSource):
        where, names = f'kind = "lsl"\nstream = "{source.stream}"', {body: body for body in source.source.bodies}
        kind, endpoint = LSL, f"lsl:{source.stream}"
    else:
        endpoint = "tcp://{}:{}".format(*source.endpoint)
        where, names = f'kind = "igtl"\nendpoint = "{endpoint}"', {body: device_name(body) for body in source.source.bodies}
        kind = IGTL
    tools = "\n".join(f'{body} = "{name}"' for body, name in names.items())
    section = f"""[tracker]
{where}
frame_hz = {rate_hz:.1f}
worst_latency_ms = {WORST_LATENCY_MS[kind]:.1f}
stated_rms_mm = {STATED_RMS_MM}

[tracker.tools]
{tools}

"""
    return Streaming(source, endpoint, section)
