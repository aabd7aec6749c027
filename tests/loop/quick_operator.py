"""The person at the chair, without the pauses: touches, sweeps, aims, arms and starts by what the daemon says."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from clients.link import CommandRefused, Link, Plain
from daemon.messages import RegistrationBody, SessionBody, StimBody, ToolsBody, TrainBody
from drivers.values import StimState, TrackerState
from sim.operator_aim import aim
from sim.operator_view import View

LANDMARKS, TOUCHES, TOUCH_TRIES = ("NAS", "LPA", "RPA"), 2, 6
SWEEP_S = 4.5  # quicker than a careful hand, slow enough for 150 points
STEP_S, DEVICES_S = 20.0, 40.0
NAME = "quick operator"

Body = TypeVar("Body")


class Hands(Protocol):
    def act(self, do: str, **facts: Any) -> None: ...


class _Aimer:
    """The room's hands by the name that aiming knows them by."""

    def __init__(self, hands: Hands, meanwhile: Callable[[], object]) -> None:
        self._hands, self._meanwhile = hands, meanwhile

    def do(self, act: str, **how: object) -> None:
        self._hands.act(act, **how)
        self._meanwhile()


class QuickOperator:
    """One client link and a pair of hands. Every wait has a deadline and fails by name."""

    def __init__(self, config: Path, hands: Hands) -> None:
        self.link = Link.from_config(config)
        self._hands = hands

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.link.close()

    # ---- talking ----------------------------------------------------------------------------------------------------

    def take_over(self) -> None:
        self.until("the daemon's first word", lambda: self.link.hello is not None and self.session() is not None, DEVICES_S)
        self.link.call("take_lease", name=NAME)
        self.link.keep_lease_every(1.0)

    def do(self, method: Plain, seconds: float = STEP_S) -> None:
        """A command that changes something; asked again where the state had just moved on."""
        for _ in range(10):
            try:
                self.link.call(method, seconds)
            except CommandRefused as refused:
                if not refused.error.retryable:
                    raise
                self.link.pump(0.2)
                continue
            return
        raise AssertionError(f"{method} was refused again and again")

    def until(self, what: str, holds: Callable[[], bool], seconds: float = STEP_S) -> None:
        assert self.link.wait(lambda _: holds(), seconds), f"{what} did not come within {seconds:g} s"

    def latest(self, topic: str, kind: type[Body]) -> Body | None:
        received = self.link.latest(topic)
        return received.body if received is not None and isinstance(received.body, kind) else None

    def session(self) -> SessionBody | None:
        return self.latest("v1/session", SessionBody)

    def step(self) -> str | None:
        session = self.session()
        return None if session is None else str(session.step)

    def until_step(self, step: str, seconds: float = STEP_S) -> None:
        self.until(f"step {step}", lambda: self.step() == step, seconds)

    # ---- a session's steps ------------------------------------------------------------------------------------------

    def until_devices(self) -> None:
        def ready() -> bool:
            tools, stim = self.latest("v1/tools", ToolsBody), self.latest("v1/stim", StimBody)
            return tools is not None and stim is not None and tools.tracker == TrackerState.TRACKING and stim.state == StimState.STANDBY

        self.until("camera and stimulator", ready, DEVICES_S)

    def test_hardware_stop(self) -> None:
        """Asks for the test, and presses the stimulator's own key once it is enabled: both at once, on two links."""
        with Link.from_config(self._config) as other:
            raise NotImplementedError

    def register(self) -> None:
        for landmark in LANDMARKS:
            self._touch(landmark)
        self._hands.act("pointer_to_scalp")
        self.do("start_sweep")
        self._hands.act("sweep", seconds=SWEEP_S)
        self.link.call("end_sweep", 30.0)
        self.do("accept_registration")
        self._hands.act("park", tool="pointer")
