"""A bus on a thread and loop of its own, for tests that talk to it over real sockets. Knows no session: `dispatch` is the test's."""

import asyncio
import concurrent.futures
import contextlib
import json
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import zmq

from daemon.bus import Bus, BusUnavailable, Call, Dispatch
from daemon.config import NetworkSection
from daemon.messages import Done, Error, Message, Priority

DEADLINE_S = 10.0
ANYWHERE = NetworkSection(commands="tcp://127.0.0.1:0", telemetry="tcp://127.0.0.1:0")


class RunningBus:
    """Bound and serving between enter and exit. `calls`: what reached dispatch; `state_rev` may be set by the test."""

    def __init__(
        self,
        dispatch: Dispatch | None = None,
        *,
        network: NetworkSection = ANYWHERE,
        epoch: int = 7,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.calls: list[Call] = []
        self.state_rev = 1
        self._answer = dispatch
        self._network, self._epoch, self._clock = network, epoch, clock
        self._bound: concurrent.futures.Future[tuple[str, str]] = concurrent.futures.Future()
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "bus")

    def __enter__(self) -> Self:
        self._run = self._thread.submit(asyncio.run, self._serve())
        self.commands, self.telemetry = self._bound.result(DEADLINE_S)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.loop.call_soon_threadsafe(self._task.cancel)
        with self._thread, contextlib.suppress(asyncio.CancelledError):
            self._run.result(DEADLINE_S)

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.bus = Bus(
            self._network,
            chair="test",
            version="0",
            epoch=self._epoch,
            clock=self._clock,
            utc=lambda: "2026-01-01T00:00:00Z",
            state_rev=lambda: self.state_rev,
            dispatch=self._dispatch,
        )
        self._task = asyncio.create_task(self.bus.run())
        try:
            self._bound.set_result(self.bus.bind())
        except BusUnavailable as failure:
            self._bound.set_exception(failure)
        await self._task

    async def _dispatch(self, call: Call) -> Message | Error:
        self.calls.append(call)
        return Done(state_rev=self.state_rev) if self._answer is None else await self._answer(call)

    def on_loop(self, act: Callable[[], object]) -> None:
        """Run `act` on the bus' thread and wait until it has."""

        async def acted() -> None:
            act()

        asyncio.run_coroutine_threadsafe(acted(), self.loop).result(DEADLINE_S)

    def publish(self, topic: str, body: Message, *, severity: Priority = Priority.NONE, valid: bool = True) -> None:
        self.on_loop(lambda: self.bus.publish(topic, body, severity=severity, valid=valid))

    def publish_all(self, topic: str, bodies: Sequence[Message]) -> None:
        """One after the other, without the loop's other tasks getting a turn."""

        def act() -> None:
            for body in bodies:
                self.bus.publish(topic, body)

        self.on_loop(act)


class RawClient:
    """A client without any of our code in it: JSON over bare sockets, as a stranger would write it."""

    def __init__(
        self, commands: str, telemetry: str = "", topics: tuple[bytes, ...] = (), kind: int = zmq.DEALER, identity: bytes = b""
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.commands = self._context.socket(kind)
        self.updates = self._context.socket(zmq.SUB)
        for socket in (self.commands, self.updates):
            socket.setsockopt(zmq.RCVTIMEO, round(DEADLINE_S * 1000))
            socket.setsockopt(zmq.SNDTIMEO, round(DEADLINE_S * 1000))
            socket.setsockopt(zmq.LINGER, 0)
        if identity:
            self.commands.setsockopt(zmq.ROUTING_ID, identity)
        self.commands.connect(commands)
        if telemetry:
            self.updates.connect(telemetry)
        for topic in topics:
            self.updates.setsockopt(zmq.SUBSCRIBE, topic)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._context.destroy(linger=0)

    def send(self, method: str, request_id: str = "1", **fields: Any) -> None:
        self.commands.send(json.dumps({"id": request_id, "method": method, "api": 1} | fields).encode())

    def reply(self) -> Any:
        return json.loads(self.commands.recv())

    def ask(self, method: str, request_id: str = "1", **fields: Any) -> Any:
        self.send(method, request_id, **fields)
        return self.reply()

    def update(self) -> tuple[str, Any, Any]:
        topic, header, body = self.updates.recv_multipart()
        return topic.decode(), json.loads(header), json.loads(body)
