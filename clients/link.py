"""The Python client: telemetry as typed values, commands as calls. One link belongs to one thread.

Draws nothing and decides nothing; what a command was answered is handed on as it came.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, overload

import msgspec
import zmq

from clients.endpoints import COMMANDS, TELEMETRY, BadChairFile, BadEndpoint, read_endpoints
from clients.telemetry import Received, Telemetry
from daemon.messages import (
    API_VERSION,
    METHODS,
    CalibrateDoneResult,
    CalibrateListResult,
    CalibrateShowResult,
    CalibrateStarted,
    CalibrateTouchResult,
    CheckResult,
    Done,
    Error,
    ErrorCode,
    Expect,
    HelloResult,
    Message,
    OpenPlanResult,
    QaReportResult,
    RegistrationResult,
    Request,
    SnapshotResult,
    StopResult,
    TouchResult,
)

TOPICS_ALL = ("v1/",)
HELLO_EVERY_S = 1.0
UNCONNECTED_RETRY_NS = 50_000_000
HEARTBEAT_IVL_MS, HEARTBEAT_TIMEOUT_MS = 1000, 5000
RECONNECT_IVL_MS, RECONNECT_IVL_MAX_MS = 50, 1000
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
BATCH = 10_000  # frames read at once before the caller gets its turn

Socket = zmq.Socket[bytes]
Plain = Literal[
    "keep_lease",
    "release_lease",
    "undo_touch",
    "start_sweep",
    "accept_registration",
    "reject_registration",
    "start_quick_registration",
    "test_hardware_stop",
    "arm",
    "start",
    "hold",
    "resume",
    "close",
    "calibrate_cancel",
    "mt_arm",
    "mt_hotspot",
    "mt_confirm",
    "mt_close",
]

__all__ = [
    "COMMANDS",
    "TELEMETRY",
    "BadChairFile",
    "BadEndpoint",
    "CommandRefused",
    "Link",
    "NoAnswer",
    "Received",
    "Telemetry",
    "read_endpoints",
]


class CommandRefused(Exception):
    """The daemon understood and said no: `error` has its code, message and remedy."""

    def __init__(self, method: str, error: Error) -> None:
        super().__init__(f"{method}: {error.code}: {error.message}. {error.remedy}")
        self.method, self.error = method, error


class NoAnswer(Exception):
    """No answer that can be read came in time. The command may have been carried out: look at the state before asking again."""

    def __init__(self, method: str, what: str, remedy: str) -> None:
        super().__init__(f"{method}: {what}. {remedy}")
        self.method, self.what, self.remedy = method, what, remedy


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A `Reply` as it is read: its result stays bytes (also the `null` beside an error) until it is known what it is."""

    id: str
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: Error | None = None


class _Chore:
    """A command that is sent again and again by `pump`, without anybody waiting for it."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.every_ns: int | None = None  # None: not now
        self.due_ns = 0
        self.request_id = ""

    def begin(self, every_s: float, now_ns: int) -> None:
        self.every_ns, self.due_ns = round(every_s * 1e9), now_ns

    def end(self) -> None:
        self.every_ns, self.request_id = None, ""


class Link:
    """A connection to one daemon, which need not be there yet: it connects, and reconnects, by itself."""

    def __init__(
        self,
        commands: str = COMMANDS,
        telemetry: str = TELEMETRY,
        *,
        topics: tuple[str, ...] = TOPICS_ALL,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`topics`: beginnings of the topics wanted; without v1/hb or v1/session no command that changes something can be sent.

        Raises `BadEndpoint`.
        """
        self.telemetry = Telemetry()
        self.hello: HelloResult | None = None  # of the present epoch, once it has come
        self.lease_lost = False  # the daemon no longer counts this link as the operator, although it was to be kept
        self._clock = clock
        self._hello, self._keep = _Chore("hello"), _Chore("keep_lease")
        self._hello.begin(HELLO_EVERY_S, clock())
        self._awaited: dict[str, _Answer | None] = {}
        self._context: zmq.Context[Socket] = zmq.Context()
        self._commands = self._connected(zmq.DEALER, commands)
        self._updates = self._connected(zmq.SUB, telemetry)
        for topic in topics:
            self._updates.setsockopt(zmq.SUBSCRIBE, topic.encode())
        self._poller = zmq.Poller()
        self._poller.register(self._commands, zmq.POLLIN)
        self._poller.register(self._updates, zmq.POLLIN)

    @classmethod
    def from_config(cls, path: Path, *, topics: tuple[str, ...] = TOPICS_ALL, clock: Callable[[], int] = time.monotonic_ns) -> Self:
        """A link to the daemon of a chair's TOML file, of which only [network] is read. Raises `BadChairFile`, `BadEndpoint`."""
        commands, telemetry = read_endpoints(path)
        return cls(commands, telemetry, topics=topics, clock=clock)

    def _connected(self, kind: int, endpoint: str) -> Socket:
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_IVL_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_IVL_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_IVL_MAX_MS)
        if kind == zmq.DEALER:
            socket.setsockopt(zmq.ROUTING_ID, uuid.uuid4().hex.encode())  # stays the same client across reconnects
            socket.setsockopt(zmq.IMMEDIATE, 1)  # no command waits for a daemon that comes later
        try:
            socket.connect(endpoint)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise BadEndpoint(f"{endpoint}: {error.strerror}. Write tcp://HOST:PORT or ipc://PATH.") from error
        return socket

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect; what is unsent is dropped."""
        self._commands.close(linger=0)
        self._updates.close(linger=0)
        self._context.term()

    # ---- telemetry --------------------------------------------------------------------------------------------------

    def pump(self, timeout_s: float = 0.0) -> tuple[Received, ...]:
        """Read all that has come, waiting at most `timeout_s` for something; keeps the lease. Returns the new values in order."""
        deadline_ns = self._clock() + round(timeout_s * 1e9)
        while True:
            now_ns = self._clock()
            self._do_chores(now_ns)
            dues = [chore.due_ns for chore in (self._hello, self._keep) if chore.every_ns is not None]
            self._poller.poll(_wait_ms(min([deadline_ns, *dues]) - now_ns))
            answered = self._read_replies()
            updates = self._read_updates()
            if updates or answered or self._clock() >= deadline_ns:
                return updates

    def updates(self) -> Iterator[Received]:
        """Every new value, in order, without end."""
        while True:
            yield from self.pump(HELLO_EVERY_S)

    def latest(self, topic: str) -> Received | None:
        """The topic's newest value pumped so far, however old; None if there was none since the daemon's start."""
        return self.telemetry.latest(topic)

    def age_s(self, topic: str) -> float | None:
        """How old the topic's newest value is now, in seconds; None if there is none. Beyond 0.25 s a pose is not to be shown."""
        return self.telemetry.age_s(topic, self._clock())

    def wait(self, predicate: Callable[["Link"], bool], timeout_s: float) -> bool:
        """Pump until `predicate(self)` is true; False when it was not within `timeout_s`."""
        deadline_ns = self._clock() + round(timeout_s * 1e9)
        while not predicate(self):
            remaining_ns = deadline_ns - self._clock()
            if remaining_ns <= 0:
                return False
            self.pump(remaining_ns / 1e9)
        return True

    # ---- commands ---------------------------------------------------------------------------------------------------

    @overload
    def call(self, method: Literal["hello"], timeout_s: float = ...) -> HelloResult: ...
    @overload
    def call(self, method: Literal["snapshot"], timeout_s: float = ...) -> SnapshotResult: ...
    @overload
    def call(self, method: Literal["stop"], timeout_s: float = ..., *, why: str = ...) -> StopResult: ...
    @overload
    def call(self, method: Literal["open_plan"], timeout_s: float = ..., *, path: str) -> OpenPlanResult: ...
    @overload
    def call(self, method: Literal["touch_landmark"], timeout_s: float = ..., *, landmark: str) -> TouchResult: ...
    @overload
    def call(self, method: Literal["touch_now"], timeout_s: float = ..., *, landmark: str | None = ...) -> TouchResult: ...
    @overload
    def call(self, method: Literal["retake_landmark"], timeout_s: float = ..., *, landmark: str) -> Done: ...
    @overload
    def call(
        self, method: Literal["check_touch"], timeout_s: float = ..., *, landmark: str | None = ..., now: bool = ...
    ) -> CheckResult: ...
    @overload
    def call(self, method: Literal["end_sweep"], timeout_s: float = ...) -> RegistrationResult: ...
    @overload
    def call(self, method: Literal["take_lease"], timeout_s: float = ..., *, name: str) -> Done: ...
    @overload
    def call(self, method: Literal["acknowledge_alarm"], timeout_s: float = ..., *, id: str, name: str) -> Done: ...
    @overload
    def call(self, method: Literal["calibrate_start"], timeout_s: float = ..., **params: object) -> CalibrateStarted: ...
    @overload
    def call(self, method: Literal["calibrate_touch"], timeout_s: float = ..., *, point: str) -> CalibrateTouchResult: ...
    @overload
    def call(self, method: Literal["calibrate_end"], timeout_s: float = ...) -> CalibrateDoneResult: ...
    @overload
    def call(self, method: Literal["calibrate_list"], timeout_s: float = ...) -> CalibrateListResult: ...
    @overload
    def call(self, method: Literal["calibrate_show"], timeout_s: float = ..., *, tool: str, version: int) -> CalibrateShowResult: ...
    @overload
    def call(self, method: Literal["qa_report"], timeout_s: float = ..., *, name: str) -> QaReportResult: ...
    @overload
    def call(self, method: Plain, timeout_s: float = ...) -> Done: ...
    @overload
    def call(self, method: str, timeout_s: float = ..., **params: object) -> Message: ...

    def call(self, method: str, timeout_s: float = 5.0, **params: object) -> Message:
        """Carry out one command and return its result, of the type METHODS names; telemetry is pumped meanwhile.

        Raises `CommandRefused`, `NoAnswer`, and ValueError for a method or parameters that do not exist.
        """
        if method not in METHODS:
            raise ValueError(f"there is no method {method!r}; known are {', '.join(METHODS)}")
        checked = msgspec.convert(params, METHODS[method].params)
        deadline_ns = self._clock() + round(timeout_s * 1e9)
        self.pump()
        expect = self._expectation(method, deadline_ns) if METHODS[method].changes else None
        request_id = self._send(method, msgspec.Raw(msgspec.json.encode(checked)), expect, deadline_ns)
        self._awaited[request_id] = None
        try:
            self.wait(lambda _: self._awaited[request_id] is not None, (deadline_ns - self._clock()) / 1e9)
        finally:
            reply = self._awaited.pop(request_id)
        if reply is None:
            raise NoAnswer(
                method, f"no answer within {timeout_s:g} s", "Check that the daemon runs; look at its state before asking again."
            )
        return self._result(method, reply)

    def _expectation(self, method: str, deadline_ns: int) -> Expect:
        self.wait(lambda _: self.telemetry.state_rev is not None, (deadline_ns - self._clock()) / 1e9)
        if self.telemetry.state_rev is None:
            raise NoAnswer(method, "no telemetry heard, so the state is unknown and nothing was sent", "Check that the daemon runs.")
        return Expect(state_rev=self.telemetry.state_rev)

    def _send(self, method: str, params: msgspec.Raw, expect: Expect | None, deadline_ns: int) -> str:
        """Hand over one request, waiting for a connection if there is none. Returns its id; raises `NoAnswer`."""
        if not self._commands.poll(_wait_ms(deadline_ns - self._clock()), zmq.POLLOUT):
            raise NoAnswer(method, "no connection to the daemon, nothing was sent", "Check that it runs and where it listens.")
        request = Request(id=uuid.uuid4().hex, method=method, api=API_VERSION, params=params, expect=expect)
        self._commands.send(msgspec.json.encode(request), zmq.NOBLOCK)
        return request.id

    def _result(self, method: str, reply: _Answer) -> Message:
        if reply.error is not None:
            raise CommandRefused(method, reply.error)
        try:
            result = msgspec.json.decode(reply.result, type=METHODS[method].result)
        except (ValueError, RecursionError) as error:
            raise NoAnswer(method, f"the answer cannot be read ({error})", "Client and daemon differ in version: update one.") from error
        if isinstance(result, Done | OpenPlanResult | TouchResult | CheckResult | RegistrationResult | StopResult):
            self.telemetry.learn_state_rev(result.state_rev)
        return result

    # ---- the operator lease -----------------------------------------------------------------------------------------

    def keep_lease_every(self, seconds: float | None) -> None:
        """From now on `pump` keeps the lease that `take_lease` got; None ends that. Pump more often than the lease's 3 s.

        When the daemon refuses or restarts, the keeping ends and `lease_lost` is true until this is called again.
        """
        self.lease_lost = False
        if seconds is None:
            self._keep.end()
        else:
            self._keep.begin(seconds, self._clock())

    # ---- reading ----------------------------------------------------------------------------------------------------

    def _do_chores(self, now_ns: int) -> None:
        for chore in (self._hello, self._keep):
            if chore.every_ns is None or now_ns < chore.due_ns:
                continue
            if self._commands.poll(0, zmq.POLLOUT):
                chore.request_id = self._send(chore.method, msgspec.Raw(b"{}"), None, now_ns)
                chore.due_ns = now_ns + chore.every_ns
            else:
                chore.due_ns = now_ns + min(UNCONNECTED_RETRY_NS, chore.every_ns)

    def _read_replies(self) -> bool:
        """True if any came: what somebody waits for may be true now."""
        came = False
        while self._commands.poll(0):
            came = True
            try:
                reply = msgspec.json.decode(self._commands.recv_multipart()[-1], type=_Answer)
            except (ValueError, RecursionError):
                continue
            if reply.id in self._awaited:
                self._awaited[reply.id] = reply
            elif reply.id == self._hello.request_id:
                self._take_hello(reply)
            elif reply.id == self._keep.request_id and reply.error is not None and reply.error.code == ErrorCode.NOT_OPERATOR:
                self._lose_lease()
        return came

    def _take_hello(self, reply: _Answer) -> None:
        try:
            hello = msgspec.json.decode(reply.result, type=HelloResult)
        except (ValueError, RecursionError):
            return
        if self.telemetry.epoch in (None, hello.epoch):
            self.hello = hello
            self._hello.end()

    def _lose_lease(self) -> None:
        self.lease_lost = True
        self._keep.end()

    def _read_updates(self) -> tuple[Received, ...]:
        updates: list[Received] = []
        for _ in range(BATCH):
            if not self._updates.poll(0):
                break
            restarts = self.telemetry.restarts
            received = self.telemetry.take(self._updates.recv_multipart(), self._clock())
            if self.telemetry.restarts != restarts:
                self._meet_again()
            if received is not None:
                updates.append(received)
        return tuple(updates)

    def _meet_again(self) -> None:
        """The daemon was restarted: greet it anew; it knows of no lease."""
        self.hello = None
        self._hello.begin(HELLO_EVERY_S, self._clock())
        if self._keep.every_ns is not None:
            self._lose_lease()


def _wait_ms(wait_ns: int) -> int:
    return max(0, -(-wait_ns // 1_000_000))
