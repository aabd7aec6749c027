"""The network face: telemetry on an XPUB socket with a last-value cache, commands on a ROUTER socket.

Owns the sockets, the newest value of every topic and the tasks of running commands. What a command does is `dispatch`'s affair.
All of it runs on one thread, the loop's.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
import structlog
import zmq

from daemon.bus_requests import READS, Call, Desk, Envelope, Refusal, Ticket, encode_reply, read_request
from daemon.bus_sockets import BusSockets, BusUnavailable, Socket, open_sockets
from daemon.config import NetworkSection
from daemon.messages import (
    ALARM_TOPIC,
    API_VERSION,
    TOPICS,
    AlarmBody,
    Error,
    ErrorCode,
    Header,
    HelloResult,
    Kept,
    Message,
    Priority,
    SnapshotResult,
)
from daemon.schema import schema_sha256

__all__ = ["Bus", "BusUnavailable", "Call", "Dispatch"]

Dispatch = Callable[[Call], Awaitable[Message | Error]]

BATCH = 64  # messages read before the loop's other tasks get their turn
ROLE = "operator"  # without keys every client may take the operator lease

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Kept:
    """A topic's newest value, as sent."""

    topic: bytes
    header: Header
    body: bytes


class Bus:
    """Publishes what it is given and answers commands, until its `run` is cancelled."""

    def __init__(
        self,
        network: NetworkSection,
        *,
        chair: str,
        version: str,
        epoch: int,
        clock: Callable[[], int],
        utc: Callable[[], str],
        state_rev: Callable[[], int],
        dispatch: Dispatch,
    ) -> None:
        """Starts nothing. `clock`: monotonic ns; `state_rev`: the session's present revision; `epoch`: new at every start."""
        self._network = network
        self._chair, self._version, self._epoch = chair, version, epoch
        self._clock, self._utc, self._state_rev, self._dispatch = clock, utc, state_rev, dispatch
        self._kept: dict[str, _Kept] = {}
        self._desk = Desk()
        self._schema_sha256 = schema_sha256()
        self._sockets: BusSockets | None = None
        self._wake = asyncio.Event()

    def bind(self) -> tuple[str, str]:
        """Open both sockets and say where (commands, telemetry). Once open, only the latter.

        Raises `BusUnavailable`; nothing is left open then.
        """
        sockets = self._opened()
        return sockets.commands_endpoint, sockets.telemetry_endpoint

    def _opened(self) -> BusSockets:
        if self._sockets is None:
            self._sockets = open_sockets(self._network)
        return self._sockets

    def close(self) -> None:
        """Close both sockets; what is unsent is dropped. For an app that ends between `bind` and `run`; `run` does it itself."""
        if self._sockets is not None:
            self._sockets.close()
            self._sockets = None

    def publish(self, topic: str, body: Message, *, severity: Priority = Priority.NONE, valid: bool = True) -> None:
        """Keep `body` as the topic's newest value and send it to who is subscribed; never waits, a slow subscriber loses messages.

        Before `bind` it is only kept. Raises ValueError for a topic that does not carry this body.
        """
        if type(body) is not TOPICS.get(topic) and not (isinstance(body, AlarmBody) and topic == ALARM_TOPIC + body.id):
            raise ValueError(f"topic {topic} does not carry this {type(body).__name__}")
        before = self._kept.get(topic)
        header = Header(
            seq=1 if before is None else before.header.seq + 1,
            mono_ns=self._clock(),
            utc=self._utc(),
            epoch=self._epoch,
            severity=severity,
            valid=valid,
        )
        kept = _Kept(topic.encode() if before is None else before.topic, header, msgspec.json.encode(body))
        self._kept[topic] = kept
        if self._sockets is not None:
            self._send(self._sockets.telemetry, (kept.topic, msgspec.json.encode(header), kept.body))

    async def run(self) -> None:
        """Serve until cancelled; binds first unless `bind` did. Raises `BusUnavailable`."""
        sockets = self._opened()
        loop = asyncio.get_running_loop()
        loop.add_reader(sockets.commands, self._wake.set)
        loop.add_reader(sockets.telemetry, self._wake.set)
        self._wake.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._serve(sockets, tasks)
        finally:
            loop.remove_reader(sockets.commands)
            loop.remove_reader(sockets.telemetry)
            self.close()

    async def _serve(self, sockets: BusSockets, tasks: asyncio.TaskGroup) -> None:
        """ZMQ's descriptor tells of *changes* only, and sending swallows them: hence the look at both sockets at every wake."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._resend_retained(sockets.telemetry, self._waiting(sockets.telemetry))
            for frames in self._waiting(sockets.commands):
                self._accept(sockets.commands, frames, tasks)
            await asyncio.sleep(0)

    def _waiting(self, socket: Socket) -> list[list[bytes]]:
        messages: list[list[bytes]] = []
        while len(messages) < BATCH and _readable(socket):
            messages.append(socket.recv_multipart(zmq.NOBLOCK))
        if len(messages) == BATCH:
            self._wake.set()
        return messages

    def _send(self, socket: Socket, frames: tuple[bytes, ...]) -> None:
        """Both kinds of socket drop what a peer has no room for, so this never waits."""
        socket.send_multipart(frames, zmq.NOBLOCK)
        if _readable(socket):
            self._wake.set()

    def _resend_retained(self, telemetry: Socket, messages: list[list[bytes]]) -> None:
        wanted = tuple({frames[0][1:] for frames in messages if frames[0][:1] == b"\x01"})
        for kept in self._kept.values():
            if kept.topic.startswith(wanted):
                header = msgspec.structs.replace(kept.header, retained=True)
                self._send(telemetry, (kept.topic, msgspec.json.encode(header), kept.body))

    def _accept(self, commands: Socket, frames: list[bytes], tasks: asyncio.TaskGroup) -> None:
        """One message from a client: [identity, request] from a DEALER, [identity, empty, request] from a REQ."""
        if len(frames) != 2 and not (len(frames) == 3 and not frames[1]):
            return
        envelope = tuple(frames[:-1])
        request = read_request(frames[0].hex(), frames[-1])
        if isinstance(request, Refusal):
            return self._send(commands, (*envelope, encode_reply(request.request_id, request.error)))
        if request.method in READS:
            return self._send(commands, (*envelope, encode_reply(request.request_id, self._read(request.method))))
        admitted = self._desk.admit(request, envelope)
        if isinstance(admitted, Ticket):
            tasks.create_task(self._carry_out(commands, admitted))
        elif isinstance(admitted, Error):
            self._send(commands, (*envelope, encode_reply(request.request_id, admitted)))
        elif admitted is not None:
            self._send(commands, (*envelope, admitted))

    async def _carry_out(self, commands: Socket, ticket: Ticket) -> None:
        call, reply = ticket.call, None
        try:
            reply = encode_reply(call.request_id, await self._dispatch(call))
        except Exception:  # noqa: BLE001 (a fault in one command must not close the face through which stop comes)
            _log.exception("command_failed", method=call.method)
            reply = encode_reply(call.request_id, _internal(call.method))
        finally:
            envelopes: list[Envelope] = self._desk.finish(ticket, reply)
        for envelope in envelopes:
            self._send(commands, (*envelope, reply))

    def _read(self, method: str) -> Message:
        if method == "snapshot":
            values = {topic: Kept(header=kept.header, body=msgspec.Raw(kept.body)) for topic, kept in self._kept.items()}
            return SnapshotResult(state_rev=self._state_rev(), epoch=self._epoch, values=values)
        commands, telemetry = self.bind()
        return HelloResult(
            api=API_VERSION,
            schema_sha256=self._schema_sha256,
            version=self._version,
            chair=self._chair,
            epoch=self._epoch,
            mono_ns=self._clock(),
            utc=self._utc(),
            role=ROLE,
            telemetry=telemetry,
            commands=commands,
        )


def _internal(method: str) -> Error:
    return Error(
        code=ErrorCode.INTERNAL,
        message=f"{method} failed inside the daemon; it may have been done in part",
        remedy="Look at the state before you go on; the daemon's log has the cause.",
    )


def _readable(socket: Socket) -> bool:
    return bool(int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)
