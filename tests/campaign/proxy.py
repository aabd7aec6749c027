"""Stands on the orders channel between daemon and hot process and loses, doubles, delays and repeats grants and receipts.

Everything else passes at once and in order. What passed is kept in a file: the next life may be sent it again.
"""

import random
import select
import socket
import time
from pathlib import Path

import msgspec

from daemon.ipc import PACKET_LIMIT
from tests.campaign.ordeal import Mischief

DELAYS_S = (0.005, 0.02, 0.1, 0.35, 2.4)
PLAGUED = {"grant": "grants", "receipt": "receipts"}
POLL_S = 0.2


class Past:
    """Grants and receipts of this life and of earlier ones, as they went over the channel."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.packets: dict[str, list[bytes]] = {kind: self._read(kind) for kind in PLAGUED}

    def _read(self, kind: str) -> list[bytes]:
        path = self._folder / PLAGUED[kind]
        return [bytes.fromhex(line) for line in path.read_text(encoding="ascii").split()] if path.exists() else []

    def add(self, kind: str, data: bytes) -> None:
        self.packets[kind].append(data)
        with (self._folder / PLAGUED[kind]).open("a", encoding="ascii") as file:
            file.write(data.hex() + "\n")


class Proxy:
    """Two ends, and what waits to be sent on."""

    def __init__(self, daemon_end: socket.socket, hot_end: socket.socket, mischief: Mischief, past: Past, seed: int) -> None:
        self._other = {daemon_end: hot_end, hot_end: daemon_end}
        self._mischief, self._past = mischief, past
        self._rng = random.Random(seed)
        self._late: list[tuple[int, socket.socket, bytes]] = []

    def run(self) -> int:
        """Until either side is gone."""
        while True:
            ready = select.select(list(self._other), [], [], self._patience_s())[0]
            now_ns = time.monotonic_ns()
            due = [item for item in self._late if item[0] <= now_ns]
            self._late = [item for item in self._late if item[0] > now_ns]
            for end in ready:
                try:
                    data = end.recv(PACKET_LIMIT)
                except OSError:
                    data = b""
                if not data:
                    return 0
                due += [(now_ns, self._other[end], one) for one in self._plagued(data, self._other[end], now_ns)]
            for _, end, data in due:
                try:
                    end.send(data)
                except OSError:
                    return 0

    def _patience_s(self) -> float:
        if not self._late:
            return POLL_S
        return max(0.0, (min(item[0] for item in self._late) - time.monotonic_ns()) / 1e9)

    def _plagued(self, data: bytes, to: socket.socket, now_ns: int) -> list[bytes]:
        """What of this packet, and of the past, is sent at once."""
        kind = msgspec.msgpack.decode(data)["type"]
        if kind not in PLAGUED:
            return [data]
        rng, mischief = self._rng, self._mischief
        earlier = self._past.packets[kind]
        sent = [rng.choice(earlier)] if earlier and rng.random() < mischief.replay / 2 else []
        self._past.add(kind, data)
        if rng.random() < mischief.drop:
            return sent
        if rng.random() < mischief.delay:
            self._late.append((now_ns + round(rng.choice(DELAYS_S) * 1e9), to, data))
        else:
            sent.append(data)
        if rng.random() < mischief.double:
            sent.append(data)
        if earlier and rng.random() < mischief.replay / 2:
            sent.append(rng.choice(earlier))
        return sent
