"""The person at the chair, without the pauses: touches, sweeps, aims, arms and starts by what the daemon says."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from clients.link import CommandRefused, Link, Plain
from daemon.messages import AlarmBody, SessionBody, StimBody, ToolsBody, TrainBody
from drivers.values import StimState, TrackerState
from sim.operator_aim import aim
from sim.operator_hands import Hands
from sim.operator_view import View
from sim.room_files import SOCKET

LANDMARKS, TOUCHES, TOUCH_TRIES = ("NAS", "LPA", "RPA"), 2, 6
SWEEP_S = 4.5  # quicker than a careful hand, slow enough for 150 points
STEP_S, DEVICES_S = 20.0, 40.0
NAME = "quick operator"

Body = TypeVar("Body")


class QuickOperator:
    """One client link, kept alive while the hands are busy. Every wait has a deadline and fails by name."""

    def __init__(self, config: Path) -> None:
        self.link = Link.from_config(config)
        self.hands = Hands(config.parent / SOCKET, lambda: self.link.pump(0.02))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.hands.__exit__(kind, error, trace)
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

    def register(self) -> None:
        for landmark in LANDMARKS:
            self._touch(landmark)
        self.hands.do("pointer_to_scalp")
        self.do("start_sweep")
        self.hands.do("sweep", seconds=SWEEP_S)
        self.link.call("end_sweep", 30.0)
        self.do("accept_registration")
        self.hands.do("park", tool="pointer")

    def _touch(self, landmark: str) -> None:
        for _ in range(TOUCH_TRIES):
            self.hands.do("touch", landmark=landmark)
            try:
                touch = self.link.call("touch_landmark", STEP_S, landmark=landmark)
            except CommandRefused as refused:
                if refused.error.code != "TOUCH_REFUSED":
                    raise
                continue
            if touch.touches >= TOUCHES:
                return
        raise AssertionError(f"{landmark} could not be touched {TOUCHES} times alike")

    def aim(self) -> None:
        """Move the coil by the numbers until it is on target."""
        aim(View(self.link), self.hands, lambda holds, seconds: self.link.wait(lambda _: holds(), seconds))

    def to_target(self, plan: Path) -> None:
        """From nothing to a coil on target: plan, registration, aim."""
        self.take_over()
        self.until_devices()
        self.link.call("open_plan", STEP_S, path=str(plan))
        self.register()
        self.hands.do("coil_near")
        self.aim()

    def fire(self, bursts: int = 2) -> None:
        """Arm where that is needed, start or resume, and wait until a train has given so many bursts."""
        if self.step() != "hold":
            self.do("arm", STEP_S)
        self.until("a state to start from", lambda: self.step() in ("armed", "hold"))
        self.do("start" if self.step() == "armed" else "resume")
        self.until_bursts(bursts)

    def until_bursts(self, bursts: int) -> None:
        def running() -> bool:
            train = self.latest("v1/train", TrainBody)
            return train is not None and train.state == "running" and train.bursts_seen >= bursts

        self.until("a running train", running)

    def alarm(self, code: str) -> AlarmBody:
        """The alarm of that cause, waited for."""
        self.until(f"alarm {code}", lambda: self.latest(f"v1/alarm/{code}", AlarmBody) is not None)
        found = self.latest(f"v1/alarm/{code}", AlarmBody)
        assert found is not None
        return found
