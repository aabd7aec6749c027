"""Places in the two processes at which a trap may spring: what leaves, what arrives, what is written. Set before `main`, from outside.

Only public names are wrapped, so that the code that runs is the product's own.
"""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from daemon import ipc
from daemon.ledger_store import Ledger
from drivers.magstim import MagstimStimulator
from drivers.magventure import MagVentureStimulator
from drivers.values import BurstFired
from tests.campaign.board import Board
from tests.campaign.forking import signal_one
from tests.campaign.ordeal import Trap

Call = Callable[..., Any]


class Springer:
    """Counts visits to its place and strikes once."""

    def __init__(self, trap: Trap, board: Board, peer: str) -> None:
        self._trap, self._board, self._peer = trap, board, peer
        self._left = trap.nth

    def visit(self, where: str) -> None:
        if where != self._trap.where:
            return
        self._left -= 1
        if self._left == 0:
            self._strike()

    def _strike(self) -> None:
        self._board["trap_sprung_ns"] = time.monotonic_ns()
        match self._trap.then:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "kill both":
                signal_one(self._board[self._peer], signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                self._board["trapped_ns"] = time.monotonic_ns()
                os.kill(os.getpid(), signal.SIGSTOP)
            case "step":
                self._board["wall_offset_ns"] += round(self._trap.step_s * 1e9)


def _around(owner: type, name: str, before: Call = lambda *_: None, after: Call = lambda *_: None) -> None:
    """`before(self, *args)` and `after(result, self, *args)` around a method."""
    real: Call = getattr(owner, name)

    def wrapped(self: object, *args: Any, **more: Any) -> Any:
        before(self, *args)
        result = real(self, *args, **more)
        after(result, self, *args)
        return result

    setattr(owner, name, wrapped)


def _kinds(packet: object) -> str:
    return type(packet).__name__


def set_in_daemon(springer: Springer) -> None:
    visit = springer.visit
    for name, place in (("open_session", "opening"), ("receive", "receipt written"), ("close_session", "closing"), ("recover", "recovery")):
        before, after = f"before {place}", f"after {place}"
        _around(Ledger, name, lambda *_, here=before: visit(here), lambda *_, here=after: visit(here))
    _around(Ledger, "intend", after=lambda *_: visit("after intent"))
    _around(
        ipc.Channel,
        "send",
        lambda _self, packet: visit("before grant leaves") if isinstance(packet, ipc.Grant) else None,
        lambda _sent, _self, packet: visit("after grant leaves") if isinstance(packet, ipc.Grant) else None,
    )
    _around(ipc.Channel, "receive", after=lambda packet, _self: visit("receipt heard") if isinstance(packet, ipc.Receipt) else None)
    sa.event.listen(Engine, "before_cursor_execute", lambda *_: visit("statement"))
    sa.event.listen(Engine, "commit", lambda *_: visit("commit"))
    real_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        visit("flush")
        real_fsync(descriptor)

    os.fsync = fsync


def set_in_hot(springer: Springer) -> None:
    visit = springer.visit
    _around(ipc.Channel, "receive", after=lambda packet, _self: visit("grant heard") if isinstance(packet, ipc.Grant) else None)
    for driver in (MagVentureStimulator, MagstimStimulator):
        _around(driver, "start_train", lambda *_: visit("before start byte"))
    _around(
        ipc.Channel,
        "send",
        lambda _self, packet: visit({"TrainStarted": "after start byte", "Receipt": "before receipt leaves"}.get(_kinds(packet), "")),
        lambda _sent, _self, packet: visit("after receipt leaves") if isinstance(packet, ipc.Receipt) else None,
    )

    def bursts(step: Any, *_: object) -> None:
        for event in step.events:
            if isinstance(event, BurstFired):
                visit("burst")

    _around(MagVentureStimulator, "feed", after=bursts)  # a Magstim tells of no burst
