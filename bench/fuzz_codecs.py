"""The codecs of the three device languages, each direction, as something that bytes can be thrown at: what is read, what is refused.

A `Talk` feeds one reader and decodes what comes out of it, as driver and simulator do; frames to damage are those of simulated sessions.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from drivers import magventure_command_wire, magventure_wire, ndi_pose_wire, ndi_setup_wire, ndi_wire
from drivers.magstim_command_wire import BadCommand, Heard, UnknownLetter, encode_command
from drivers.magstim_command_wire import CommandReader as MagstimCommandReader
from drivers.magstim_frame_wire import Dialect
from drivers.magstim_reading import REST_OF_REPLY_NS, ReplyReader
from drivers.magstim_wire import Reply, encode_reply
from drivers.magventure_frame_wire import REST_OF_FRAME_NS, FrameReader, frame
from drivers.values import WireError
from sim.magstim_settings import dialect_of
from sim.ndi_camera import Camera
from sim.ndi_device import Device
from sim.ndi_poses import SlowMotion
from sim.ndi_room_tools import ROOM_BODIES
from tests.contract.stimulator_kit import Line, Model
from tests.contract.stimulator_models import MODELS
from tests.ndi_virtual import VirtualRoom

Codecs = dict[str, tuple[Callable[[], "Talk"], Sequence[bytes]]]  # by name: a new talk, and the valid frames of a session
Said = TypeVar("Said", str, bytes)
SESSION_MS = 3000
NDI_S = 2.0


class Talk(Protocol):
    """One direction of one language."""

    @property
    def refused(self) -> int:
        """WireErrors so far, and whatever the reader gave up."""

    def feed(self, data: bytes, now_ns: int) -> list[object]:
        """Values read from bytes that arrived now."""

    def quiet(self, now_ns: int) -> list[object]:
        """Nothing has come for so long that whatever was begun is given up; values hidden behind it."""


class MagVentureTalk:
    def __init__(self, decode: Callable[[bytes], object]) -> None:
        self._reader, self._decode = FrameReader(), decode
        self.refused = 0

    def feed(self, data: bytes, now_ns: int) -> list[object]:
        return self._decoded(self._reader.feed(data, now_ns))

    def quiet(self, now_ns: int) -> list[object]:
        return self._decoded(self._reader.expire(now_ns + REST_OF_FRAME_NS))

    def _decoded(self, bodies: list[bytes]) -> list[object]:
        values = []
        for body in bodies:
            try:
                values.append(self._decode(body))
            except WireError:
                self.refused += 1
        return values


class MagstimReplies:
    def __init__(self, dialect: Dialect) -> None:
        self._reader = ReplyReader(dialect)

    @property
    def refused(self) -> int:
        return self._reader.dropped

    def feed(self, data: bytes, now_ns: int) -> list[object]:
        return [*self._reader.feed(data, now_ns)]

    def quiet(self, now_ns: int) -> list[object]:
        return [*self._reader.expire(now_ns + REST_OF_REPLY_NS)]


class MagstimCommands:
    def __init__(self, dialect: Dialect) -> None:
        self._reader = MagstimCommandReader(dialect)
        self.refused = 0
        self._silence_ns = 0

    def feed(self, data: bytes, now_ns: int) -> list[object]:
        heard: list[Heard] = self._reader.feed(data, now_ns + self._silence_ns)
        good = [each for each in heard if not isinstance(each, BadCommand | UnknownLetter)]
        self.refused += len(heard) - len(good)
        return [*good]

    def quiet(self, _now_ns: int) -> list[object]:
        self._silence_ns += 10 * REST_OF_REPLY_NS
        return []


class NdiReplies:
    """Every reply is given to each of the decoders of its kind, for the reader cannot know which command it answers."""

    TEXTS: tuple[Callable[[str], object], ...] = (
        ndi_pose_wire.decode_tx,
        ndi_setup_wire.decode_ports,
        ndi_setup_wire.decode_handle,
        ndi_setup_wire.decode_version,
        ndi_setup_wire.decode_parameters,
        lambda text: ndi_setup_wire.decode_port_info(text, 0x0025),
    )

    def __init__(self) -> None:
        self._reader = ndi_wire.ReplyReader()
        self.refused = 0

    def feed(self, data: bytes, _now_ns: int) -> list[object]:
        self._reader.push(data)
        values: list[object] = []
        while True:
            try:
                reply = self._reader.pull()
            except WireError:
                self.refused += 1
                continue
            if reply is None:
                return values
            values.append(reply)
            self._decode(reply)

    def quiet(self, _now_ns: int) -> list[object]:
        self._reader.reset()
        return []

    def _decode(self, reply: ndi_wire.Reply) -> None:
        match reply:
            case ndi_wire.StreamedReply(reply=inner):
                self._decode(inner)
            case ndi_wire.BinaryReply(body=body):
                self._try(ndi_pose_wire.decode_bx, body)
            case ndi_wire.TextReply(text=text):
                for decode in self.TEXTS:
                    self._try(decode, text)

    def _try(self, decode: Callable[[Said], object], said: Said) -> None:
        try:
            decode(said)
        except WireError:
            self.refused += 1


class NdiCommands:
    def __init__(self) -> None:
        self._reader = ndi_wire.CommandReader()
        self.refused = 0

    def feed(self, data: bytes, _now_ns: int) -> list[object]:
        values: list[object] = []
        for line in self._reader.push(data):
            try:
                values.append(ndi_wire.decode_command(line))
            except WireError:
                self.refused += 1
        return values

    def quiet(self, _now_ns: int) -> list[object]:
        return []


# ---- frames of simulated sessions -----------------------------------------------------------------------------------


def _session(model: Model) -> tuple[bytes, bytes]:
    """All that a unit said, and all that it was sent, from the first byte to the stop in mid-train."""
    line = Line(model)
    said: list[bytes] = []
    real = line.unit.say

    def say(now_ns: int) -> bytes:
        said.append(real(now_ns))
        return said[-1]

    line.unit.say = say  # type: ignore[method-assign]  # an ear at the line
    line.make_ready()
    line.start()
    line.run(SESSION_MS)
    line.stop()
    return b"".join(said), b"".join(data for _, data in line.sent)


def _distinct(frames: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(frames))


def _magventure() -> Codecs:
    sessions = [_session(model) for model in MODELS if model.name.startswith("magventure")]
    events = _distinct(frame(body) for said, _ in sessions for body in FrameReader().feed(said, 0))
    commands = _distinct(frame(body) for _, sent in sessions for body in FrameReader().feed(sent, 0))
    return {
        "MagVenture events": (lambda: MagVentureTalk(magventure_wire.decode_event), events),
        "MagVenture commands": (lambda: MagVentureTalk(magventure_command_wire.decode_command), commands),
    }


def _magstim(software: str) -> Codecs:
    model = next(model for model in MODELS if model.name.startswith("magstim") and model.name.endswith(f"v{software}"))
    dialect = dialect_of("rapid", software)
    said, sent = _session(model)
    replies: list[Reply] = ReplyReader(dialect).feed(said, 0)
    heard = MagstimCommandReader(dialect).feed(sent, 0)
    commands = [each for each in heard if not isinstance(each, BadCommand | UnknownLetter)]
    return {
        f"Magstim replies, software {software}": (
            lambda: MagstimReplies(dialect),
            _distinct(encode_reply(reply, dialect) for reply in replies),
        ),
        f"Magstim commands, software {software}": (
            lambda: MagstimCommands(dialect),
            _distinct(encode_command(command, dialect) for command in commands),
        ),
    }


def _ndi() -> Codecs:
    room = VirtualRoom().run(NDI_S)
    lines = [line for _, line in room.sent]
    now_ns = time.monotonic_ns()

    def clock() -> int:
        return now_ns

    camera = Camera(Device(SlowMotion(ROOM_BODIES), 200, clock, latency_ms=3.0), clock)
    replies = []
    for line in lines:
        now_ns += 5_000_000
        replies.append(camera.answer(1, line))
    return {
        "NDI replies": (NdiReplies, _distinct(reply for reply in replies if reply)),
        "NDI commands": (NdiCommands, _distinct(line + b"\r" for line in lines)),
    }


def codecs() -> dict[str, Codecs]:
    """By language and direction."""
    return {"MagVenture": _magventure(), "Magstim": _magstim("9.0") | _magstim("5.0"), "NDI": _ndi()}
