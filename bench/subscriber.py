"""A plain telemetry subscriber, as a stranger would write one: one SUB socket, one message after the other, quick to find the daemon."""

import time
from types import TracebackType
from typing import Self

import zmq

from clients.telemetry import Received, Telemetry

RECONNECT_MS = 10


class Subscriber:
    """One SUB socket on one endpoint, for topics that begin so, while the `with` lasts."""

    def __init__(self, endpoint: str, *topics: str) -> None:
        self._telemetry = Telemetry()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        for topic in topics:
            self._socket.setsockopt(zmq.SUBSCRIBE, topic.encode())
        self._socket.connect(endpoint)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._context.destroy(linger=0)

    def read(self, timeout_s: float) -> Received | None:
        """The next value that is new; None when none came in time."""
        if not self._socket.poll(round(timeout_s * 1e3)):
            return None
        return self._telemetry.take(self._socket.recv_multipart(), time.monotonic_ns())
