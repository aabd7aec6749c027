"""Opens the two sockets of the network face, safely, and says in one error why they cannot be opened. Reads and writes nothing."""

import os
import socket as unix_socket
import stat
from dataclasses import dataclass
from pathlib import Path

import zmq

from daemon.config import NetworkSection

MAX_COMMAND_BYTES = 64 * 1024
HEARTBEAT_IVL_MS, HEARTBEAT_TIMEOUT_MS = 1000, 5000  # a peer that is gone without a word is forgotten after these
HANDSHAKE_IVL_MS = 2000
MAX_WAITING = 1000  # messages kept for one slow peer, then it loses some

Socket = zmq.Socket[bytes]


class BusUnavailable(Exception):
    """The network face cannot be opened: `what` went wrong, at which `endpoint`, and the `remedy` for a person."""

    def __init__(self, what: str, endpoint: str, remedy: str) -> None:
        super().__init__(f"{endpoint}: {what}. {remedy}")
        self.what, self.endpoint, self.remedy = what, endpoint, remedy


@dataclass(frozen=True, slots=True)
class BusSockets:
    """Both sockets, open, and where they are."""

    context: zmq.Context[Socket]
    commands: Socket
    telemetry: Socket
    commands_endpoint: str
    telemetry_endpoint: str

    def close(self) -> None:
        """Close them; what is unsent is dropped."""
        self.commands.close(linger=0)
        self.telemetry.close(linger=0)
        self.context.term()


def open_sockets(network: NetworkSection) -> BusSockets:
    """A ROUTER and an XPUB socket, bound. Raises `BusUnavailable` and leaves nothing open then."""
    context: zmq.Context[Socket] = zmq.Context()
    sockets: list[Socket] = []
    try:
        for kind, endpoint in ((zmq.ROUTER, network.commands), (zmq.XPUB, network.telemetry)):
            sockets.append(_socket(context, kind))
            _bind(sockets[-1], endpoint)
        commands, telemetry = sockets
        return BusSockets(context, commands, telemetry, _where(commands), _where(telemetry))
    except BusUnavailable:
        for socket in sockets:
            socket.close(linger=0)
        context.term()
        raise


def _where(socket: Socket) -> str:
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)


def _socket(context: zmq.Context[Socket], kind: int) -> Socket:
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, MAX_WAITING)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_COMMAND_BYTES)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_IVL_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_IVL_MS)
    if kind == zmq.XPUB:
        socket.setsockopt(zmq.XPUB_VERBOSE, 1)  # tells of every subscription, not of a topic's first alone
    else:
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)  # a client that reconnects keeps its identity, and with it its lease
    return socket


def _bind(socket: Socket, endpoint: str) -> None:
    if endpoint.startswith("ipc://"):
        _check_free(endpoint)
    umask = os.umask(0o177)  # an ipc endpoint's file is its owner's alone from the first moment
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        remedy = "Stop what listens there (another daemon?) or name another endpoint under [network] in the chair's file."
        raise BusUnavailable(f"cannot be opened ({error.strerror})", endpoint, remedy) from error
    finally:
        os.umask(umask)


def _check_free(endpoint: str) -> None:
    """ZMQ would delete whatever lies at an ipc path, a living daemon's socket and any other file alike."""
    path = Path(endpoint.removeprefix("ipc://"))
    if str(path).startswith("@"):
        remedy = "Name a path under [network]: it can be closed to other users, an abstract name cannot."
        raise BusUnavailable("abstract ipc names are not used", endpoint, remedy)
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise BusUnavailable("a file that is no socket lies there", endpoint, "Move it away or name another path under [network].")
    with unix_socket.socket(unix_socket.AF_UNIX, unix_socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return  # left over from a daemon that is gone
    raise BusUnavailable("somebody listens there", endpoint, "Stop the other daemon or name another endpoint under [network].")
