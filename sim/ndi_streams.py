"""Streams of the simulated camera: commands that it carries out by itself, once per frame, and pushes to who ordered them."""

from collections.abc import Callable
from dataclasses import dataclass

from drivers.ndi_wire import Command, decode_command, encode_streamed
from drivers.values import WireError
from sim.ndi_device import Device, Mode
from sim.ndi_refusal import Refusal

WRONG_COUNT, OUT_OF_RANGE, UNKNOWN = 0x07, 0x23, 0x01
CATCH_UP_FRAMES = 400  # a simulator that was held up for longer has lost them


@dataclass(slots=True)
class _Stream:
    command: Command
    interval: int
    next_index: int  # of the frame that is pushed next


class Streams:
    """`carry_out` gives the whole reply to one command of a client, as if asked for; it may raise Refusal."""

    def __init__(self, device: Device, clock: Callable[[], int], carry_out: Callable[[int, Command], bytes]) -> None:
        self._device = device
        self._clock = clock
        self._carry_out = carry_out
        self._streams: dict[tuple[int, str], _Stream] = {}

    @property
    def clients(self) -> list[int]:
        return sorted({client for client, _ in self._streams})

    def order(self, client: int, arguments: str) -> None:
        """STREAM. Raises Refusal."""
        interval, name, text = 1, "", arguments.strip()
        while text.startswith("--"):
            option, _, text = text.partition(" ")
            key, _, value = option.partition("=")
            if key == "--interval" and value.isdecimal() and int(value) > 0:
                interval = int(value)
            elif key == "--id" and value:
                name = value
            else:
                raise Refusal(OUT_OF_RANGE)
        try:
            command = decode_command(text.encode("latin-1"))
        except WireError as error:
            raise Refusal(WRONG_COUNT) from error
        if command.name in ("STREAM", "USTREAM"):
            raise Refusal(UNKNOWN)
        self._streams[client, name or text] = _Stream(command, interval, self._device.shutter.index_at(self._clock()) + 1)

    def end(self, client: int, arguments: str) -> None:
        """USTREAM. Raises Refusal for a stream that there is not."""
        key, _, value = arguments.strip().partition("=")
        name = value if key == "--id" else arguments.strip()
        if self._streams.pop((client, name), None) is None:
            raise Refusal(OUT_OF_RANGE)

    def left(self, client: int) -> None:
        self._streams = {key: stream for key, stream in self._streams.items() if key[0] != client}

    def clear(self) -> None:
        self._streams.clear()

    def next_ns(self) -> int | None:
        """When a frame can be read that is to be pushed."""
        if not self._streams:
            return None
        return self._device.shutter.readable_ns(min(stream.next_index for stream in self._streams.values()))

    def due(self) -> list[tuple[int, bytes]]:
        """What is to be pushed now, frame by frame, and to whom."""
        if not self._streams:
            return []
        shutter, last = self._device.shutter, self._device.shutter.index_at(self._clock())
        pushed = []
        first = max(min(stream.next_index for stream in self._streams.values()), last - CATCH_UP_FRAMES)
        is_shown = self._device.mode is Mode.TRACKING and not self._device.faults.dumb_streams
        for index in range(first, last + 1):
            for (client, name), stream in self._streams.items():
                if index < stream.next_index:
                    continue
                stream.next_index = index + 1
                if is_shown and index % (self._device.every * stream.interval) == 0 and not shutter.is_lost(index):
                    pushed += self._push(client, name, stream.command, index)
        return pushed

    def _push(self, client: int, name: str, command: Command, index: int) -> list[tuple[int, bytes]]:
        device, shutter = self._device, self._device.shutter
        while shutter.is_repeated(index) and index > 0:
            index -= device.every
        device.shown = shutter.frame(index)
        try:
            return [(client, encode_streamed(name, self._carry_out(client, command)))]
        except Refusal:
            return []  # what a real unit does then is not known: nothing is the hardest for a host
        finally:
            device.shown = None
