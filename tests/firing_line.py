"""Firing logic, MagVenture driver and simulated unit on one line in simulated time: real bytes, nothing waits."""

import random
from collections.abc import Callable
from typing import TypeVar

import msgspec

from daemon.firing import Firing
from daemon.gate import View
from daemon.ipc import Arm, ArmState, FromHotOrder, Grant, Packet, Receipt
from daemon.purpose import Purpose
from drivers.magventure import MagVentureStimulator
from drivers.magventure_frame_wire import FrameReader
from drivers.values import TrainSettings
from sim.magventure_device import MagVentureDevice
from sim.magventure_faults import MagVentureFaults, damaged
from tests.gate_views import BEAT, GOOD
from tests.magventure_line import COIL, MS, START_NS, RememberedTruth

LOOK_NS = 5 * MS
S = 1_000_000_000
Kind = TypeVar("Kind", bound=Packet)


class FiringLine:
    """`facts` keeps all that was told; `within` runs the time on until something holds."""

    def __init__(self, model: str = "x100-option", seed: int = 0) -> None:
        self.now_ns = START_NS
        self.faults, self.truth = MagVentureFaults(), RememberedTruth()
        self.device = MagVentureDevice(self.truth, self.faults, START_NS, model=model)
        self.driver = MagVentureStimulator(model, COIL, events_per_burst=1, max_amplitude_pct_mso=80)
        self.firing = Firing(self.driver, "run", lambda: (None, None))
        self.facts: list[FromHotOrder] = []
        self.changes: dict[str, object] = {}
        self.arm_no = self.grant_no = 0
        self._hearing, self._rng = FrameReader(), random.Random(seed)
        self.firing.connected(self.now_ns)
        self.within(2000, lambda: self.firing.secured)

    def view(self) -> View:
        firing = self.firing
        own = {
            "exposed_ns": self.now_ns - 10 * MS,
            "registration_expires_ns": self.now_ns + S,
            "check_expires_ns": self.now_ns + S,
            "calibration_expires_ns": self.now_ns + S,
            "stim": self.driver.report,
            "prepared": self.driver.prepared,
            "secured": firing.secured,
            "disarm_failed": firing.disarm_failed,
            "armed": firing.armed,
            "beat": msgspec.structs.replace(BEAT, made_ns=self.now_ns),
            "supervisor_ns": self.now_ns,
            "grant": firing.grant,
            "last_pulse_ns": firing.last_pulse_ns,
        }
        return msgspec.structs.replace(GOOD, **(own | self.changes))

    def take(self) -> None:
        out = self.firing.take()
        self.facts += out.facts
        for body in self._hearing.feed(out.send, self.now_ns):
            self.device.hear(body, self.now_ns)

    def look(self) -> None:
        """The next moment at which anything can happen."""
        self.now_ns = max(self.now_ns, min(self.firing.wake_ns, self.device.next_ns, self.now_ns + LOOK_NS))
        self.device.advance(self.now_ns)
        data = b"".join(damaged(frame, self.faults, self._rng) for frame in self.device.take_frames())
        if data:
            self.firing.feed(data, self.now_ns)
        self.firing.tick(self.view(), self.now_ns)
        self.take()

    def run(self, ms: float) -> None:
        end_ns = self.now_ns + round(ms * MS)
        while self.now_ns < end_ns:
            self.look()

    def within(self, ms: float, holds: Callable[[], bool]) -> None:
        end_ns = self.now_ns + round(ms * MS)
        while not holds():
            assert self.now_ns < end_ns, f"not within {ms} ms; last: {self.facts[-5:]}"
            self.look()

    def all(self, kind: type[Kind]) -> list[Kind]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    # ---- orders -----------------------------------------------------------------------------------------------------

    def arm(self, settings: TrainSettings, purpose: Purpose = Purpose.TREATMENT) -> None:
        """Armed, as the hot process tells it."""
        self.arm_no += 1
        self.firing.order_arm(Arm(arm_no=self.arm_no, settings=settings, purpose=purpose), self.now_ns)
        self.take()
        self.within(20_000, lambda: any(fact.arm_no == self.arm_no for fact in self.all(ArmState)))
        assert self.all(ArmState)[-1].armed, self.facts

    def give(self, settings: TrainSettings, gap_ns: int = 0, after_ns: int = 0) -> Receipt:
        """One granted train or pulse, from its grant to its receipt."""
        self.grant_no += 1
        number, not_before_ns = self.grant_no, self.now_ns + after_ns
        grant = Grant(
            run_id="run",
            grant_no=number,
            arm_no=self.arm_no,
            train=number,
            settings=settings,
            not_before_ns=not_before_ns,
            expires_ns=max(not_before_ns, (self.firing.last_pulse_ns or 0) + gap_ns) + 4 * S,
            gap_ns=gap_ns,
            wall_minus_mono_ns=5_000,
            purpose=self.firing.purpose,
        )
        self.firing.order_grant(grant, self.now_ns)
        self.take()
        self.within(600_000, lambda: any(receipt.grant_no == number for receipt in self.all(Receipt)))
        return next(receipt for receipt in self.all(Receipt) if receipt.grant_no == number)
