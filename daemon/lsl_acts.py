"""A request from outside put to the session, where an operator's start would be: same state, same gate, never more than one train.

It arms nothing, resumes nothing, and shortens no pause: what is not ready for it at this moment refuses it.
"""

import time
from typing import Protocol

from daemon.core import Core
from daemon.lsl_requests import Against, Want
from daemon.messages import Step
from daemon.mt_chair import HuntAsked
from daemon.mt_chair import Step as SearchStep
from daemon.mt_core import ThresholdCore
from daemon.mt_words import Phase, PulseWanted
from daemon.pacing import next_onset
from daemon.session_words import Tick, TrainRequested
from daemon.telling import Telling


class Desk(Protocol):
    """What the commands of people know."""

    @property
    def operator(self) -> str | None: ...

    @property
    def busy(self) -> bool:
        """A command that changes something is at work."""


class RequestActs:
    def __init__(self, core: Core, threshold: ThresholdCore, telling: Telling, desk: Desk) -> None:
        self._core, self._threshold, self._telling, self._desk = core, threshold, telling, desk

    def put(self, want: Want) -> Against | None:
        """None: it is under way, as a start would be. Otherwise nothing has happened."""
        if self._desk.operator is None:
            return Against.NO_OPERATOR
        if self._desk.busy:
            return Against.BUSY
        return self._train() if want is Want.TRAIN else self._pulse()

    def _train(self) -> Against | None:
        core, state = self._core, self._core.state
        if state.step is not Step.ARMED or state.course is None or self._threshold.is_open:
            return Against.NOT_WAITING
        now_ns = time.monotonic_ns()
        if next_onset(state.course.pace, now_ns, state.last_onset_ns, state.last_pulse_ns, state.last_broken) > now_ns:
            return Against.TOO_SOON
        if self._telling.blocking(state):
            return Against.GATE_CLOSED
        core.happen(TrainRequested())
        if core.state is state:
            return Against.REFUSED
        core.happen(Tick(device_ready=True))  # the gate was open: charged, and nothing is to be waited for
        return None

    def _pulse(self) -> Against | None:
        search = self._threshold.search
        if search is None or search.step is not SearchStep.ARMED or search.hunt.phase is not Phase.HOTSPOT:
            return Against.NOT_WAITING
        if search.hunt.last_mso is None:
            return Against.NOT_WAITING  # how strong the first one is, an operator says
        self._threshold.happen(HuntAsked(event=PulseWanted(amplitude_mso=search.hunt.last_mso)))
        return Against.REFUSED if self._threshold.refusal else None
