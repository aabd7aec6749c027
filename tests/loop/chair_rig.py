"""The whole chair as processes: room, `atmsd run` with its two children, and a quick operator in the test's own process.

A chair is brought to the coil on target once (half a minute, most of it waiting), several side by side; a test then takes one,
fires and does to it what it came for. What happened is read where it is kept: in the room's truth and in the ledger.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from clients.link import CommandRefused, Link, Plain
from daemon.ledger_export import LedgerExport, SessionExport, export_ledger
from daemon.ledger_store import Ledger
from daemon.messages import AlarmBody, DoseBody, OpenPlanResult, RegistrationBody, SessionBody, StimBody, ToolsBody, TrainBody
from drivers.values import StimState, TrackerState
from sim.operator_aim import aim
from sim.operator_view import View
from tests.loop.rig import Fact, Room, is_alive, wait

PROTOCOL = "demo_itbs90"
LANDMARKS, TOUCHES = ("NAS", "LPA", "RPA"), 2
SWEEP_S = 4.5  # quicker than a careful hand, slow enough for 150 points
STEP_S, DEVICES_S, LEAVE_S = 15.0, 30.0, 15.0
NAME = "test operator"


class Operator:
    """What the person at the chair does, without the pauses. `act` is the person's hands."""

    def __init__(self, config: Path, act: Callable[..., None]) -> None:
        self.link = Link.from_config(config)
        self._act = act
        self._view = View(self.link)

    def __enter__(self) -> "Operator":
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()

    def take_over(self) -> None:
        assert self.link.wait(lambda link: link.hello is not None and link.latest("v1/session") is not None, DEVICES_S)
        self.link.call("take_lease", name=NAME)
        self.link.keep_lease_every(1.0)

    def do(self, method: Plain, seconds: float = STEP_S) -> None:
        """A command that changes something; asked again where the state had just moved on."""
        for _ in range(5):
            try:
                self.link.call(method, seconds)
            except CommandRefused as refused:
                if not refused.error.retryable:
                    raise
                self.link.pump(0.1)
                continue
            return
        raise AssertionError(f"{method} was refused again and again")

    def body[Body](self, topic: str, kind: type[Body]) -> Body | None:
        received = self.link.latest(topic)
        return received.body if received is not None and isinstance(received.body, kind) else None

    def until(self, what: str, holds: Callable[[], bool], seconds: float = STEP_S) -> None:
        assert self.link.wait(lambda _: holds(), seconds), f"{what} did not come within {seconds:g} s"
