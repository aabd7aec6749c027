"""A stimulator that does nothing by itself, and the firing logic over it: every word of the device is the test's."""

import msgspec

from daemon.firing import Firing, Phase
from daemon.gate import View
from daemon.ipc import Arm, FromHotOrder, Grant, Receipt
from daemon.purpose import Pacing, Purpose
from drivers.protocols import Step
from drivers.values import (
    BurstFired,
    Disabled,
    Prepared,
    Ready,
    Secured,
    StimEvent,
    StimReport,
    StimState,
    TrainEnded,
    TrainSettings,
)
from tests.gate_views import BEAT, GOOD, SETTINGS, STIM

MS = 1_000_000
S = 1_000_000_000
PULSE = TrainSettings(amplitude_pct_mso=60, pulses_per_burst=1, intra_burst_interval_us=20_000, burst_hz="1", bursts=1)
BYTES = {"prepare": b"P", "enable": b"E", "start_train": b"T", "start_burst": b"B", "stop": b"0", "connected": b"0"}


class Puppet:
    """Notes what it is told in `told`; what it says is put into `says` and comes with the next bytes."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.says: list[StimEvent] = []
        self.cannot: tuple[str, ...] = ()
        self.prepared: TrainSettings | None = None
        self.damaged = 0
        self.estimates = False
        self.alive_until_ns = self.due_ns = 0
        self.report = StimReport(received_ns=0, state=StimState.STANDBY)

    def _step(self, what: str, now_ns: int) -> Step[StimEvent]:
        self.told.append(what)
        return Step(wake_ns=now_ns + 3600 * S, send=BYTES.get(what, b""))

    def can(self, _settings: TrainSettings) -> tuple[str, ...]:
        return self.cannot

    def connected(self, now_ns: int) -> Step[StimEvent]:
        return self._step("connected", now_ns)

    def disconnected(self, now_ns: int) -> Step[StimEvent]:
        return self._step("disconnected", now_ns)

    def feed(self, _data: bytes, now_ns: int) -> Step[StimEvent]:
        said, self.says = tuple(self.says), []
        return Step(wake_ns=now_ns + 3600 * S, events=said)

    def tick(self, now_ns: int) -> Step[StimEvent]:
        return self._step("tick", now_ns)

    def prepare(self, settings: TrainSettings, now_ns: int) -> Step[StimEvent]:
        self.prepared = settings
        return self._step("prepare", now_ns)

    def enable(self, now_ns: int) -> Step[StimEvent]:
        return self._step("enable", now_ns)

    def start_train(self, now_ns: int) -> Step[StimEvent]:
        return self._step("start_train", now_ns)

    def start_burst(self, now_ns: int) -> Step[StimEvent]:
        return self._step("start_burst", now_ns)

    def end_train(self, now_ns: int) -> Step[StimEvent]:
        self.told.append("end_train")
        return Step(wake_ns=now_ns + 3600 * S, events=(TrainEnded(at_ns=now_ns),))

    def may_keep_alive(self, until_ns: int) -> None:
        self.alive_until_ns = until_ns

    def start_is_due(self, at_ns: int) -> None:
        self.due_ns = at_ns

    def least_gap_s(self, _settings: TrainSettings) -> float:
        return 0.0

    def acknowledge(self, now_ns: int) -> Step[StimEvent]:
        return self._step("acknowledge", now_ns)

    def stop(self, now_ns: int) -> Step[StimEvent]:
        return self._step("stop", now_ns)


class Bench:
    """Time, the device's words, and a view in which everything holds that the firing logic does not decide itself."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000 * S
        self.device = Puppet()
        self.firing = Firing(self.device, "run", lambda: (1.5, self.now_ns - 20 * MS))
        self.facts: list[FromHotOrder] = []
        self.sent = b""
        self.changes: dict[str, object] = {}
        self.arm_no = self.grant_no = 0
        self.granted: dict[int, Grant] = {}
        self.firing.connected(self.now_ns)
        self.says(Secured(found_enabled=False, found_running=False, at_ns=self.now_ns))
        self.forget()

    # ---- what happens -----------------------------------------------------------------------------------------------

    def says(self, *events: StimEvent) -> None:
        self.device.says += events
        self.firing.feed(b".", self.now_ns)
        self.take()

    def take(self) -> None:
        out = self.firing.take()
        self.facts += out.facts
        self.sent += out.send

    def turn(self, after_ns: int = 0) -> None:
        """Let time pass, then look once, as the hot process does."""
        self.now_ns += after_ns
        self.firing.tick(self.view(), self.now_ns)
        self.take()

    def view(self) -> View:
        firing, now_ns = self.firing, self.now_ns
        amplitude = 0 if self.device.prepared is None else self.device.prepared.amplitude_pct_mso
        state = StimState.READY if firing.phase is Phase.READY else StimState.STANDBY
        if firing.train is not None and firing.train.ended_ns is None:
            state = StimState.FIRING
        own = {
            "exposed_ns": now_ns - 10 * MS,
            "registration_expires_ns": now_ns + S,
            "check_expires_ns": now_ns + S,
            "calibration_expires_ns": now_ns + S,
            "stim": msgspec.structs.replace(STIM, received_ns=now_ns, state=state, amplitude_pct_mso=amplitude),
            "prepared": self.device.prepared,
            "secured": firing.secured,
            "disarm_failed": firing.disarm_failed,
            "armed": firing.armed,
            "beat": msgspec.structs.replace(BEAT, made_ns=now_ns),
            "supervisor_ns": now_ns,
            "grant": firing.grant,
            "last_pulse_ns": firing.last_pulse_ns,
        }
        return msgspec.structs.replace(GOOD, **(own | self.changes))

    def forget(self) -> None:
        self.facts, self.sent = [], b""
        self.device.told.clear()

    # ---- what people and the daemon ask -----------------------------------------------------------------------------

    def order_arm(self, settings: TrainSettings = SETTINGS, purpose: Purpose = Purpose.TREATMENT, pacing: Pacing = Pacing.TRAIN) -> None:
        self.arm_no += 1
        self.firing.order_arm(Arm(arm_no=self.arm_no, settings=settings, purpose=purpose, pacing=pacing), self.now_ns)
        self.take()

    def charge(self) -> None:
        """The device reads back what it was set to, and is enabled."""
        assert self.device.prepared is not None
        self.says(Prepared(settings=self.device.prepared, mismatches=(), at_ns=self.now_ns))
        self.says(Ready(at_ns=self.now_ns))

    def armed(self, settings: TrainSettings = SETTINGS) -> "Bench":
        self.order_arm(settings)
        self.charge()
        self.forget()
        return self

    def seeking(self) -> "Bench":
        """Armed for single pulses of 60 % at most, the device at rest and disabled."""
        self.order_arm(PULSE, Purpose.MT)
        self.charge()
        self.off()
        self.forget()
        return self

    def off(self, *, confirmed: bool = True) -> None:
        self.says(Disabled(confirmed=confirmed, at_ns=self.now_ns))

    def next_grant(self, **changes: object) -> Grant:
        self.grant_no += 1
        fields: dict[str, object] = {
            "run_id": "run",
            "grant_no": self.grant_no,
            "arm_no": self.arm_no,
            "train": self.grant_no,
            "settings": SETTINGS if self.firing.arm is None else self.firing.arm.settings,
            "not_before_ns": self.now_ns,
            "expires_ns": self.now_ns + 2 * S,
            "gap_ns": 0,
            "wall_minus_mono_ns": 5_000,
            "purpose": self.firing.purpose,
            "pacing": Pacing.TRAIN if self.firing.arm is None else self.firing.arm.pacing,
        }
        return Grant(**(fields | changes))  # type: ignore[arg-type]  # a wrong field fails at once

    def grant(self, **changes: object) -> Grant:
        grant = self.next_grant(**changes)
        self.granted[grant.grant_no] = grant
        self.firing.order_grant(grant, self.now_ns)
        self.take()
        return grant

    def running(self, settings: TrainSettings = SETTINGS) -> "Bench":
        """A granted train that has just been started."""
        self.armed(settings).grant()
        self.turn()
        assert self.device.told == ["start_train"]
        self.forget()
        return self

    def fires(self, after_ns: int = 200 * MS) -> None:
        """The device tells of one burst."""
        self.now_ns += after_ns
        self.says(BurstFired(at_ns=self.now_ns, didt_a_per_us=70, asked=True))

    def ends(self) -> None:
        self.says(TrainEnded(at_ns=self.now_ns))

    # ---- what came of it --------------------------------------------------------------------------------------------

    def all(self, kind: type) -> list[FromHotOrder]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    @property
    def receipts(self) -> list[Receipt]:
        return [fact for fact in self.facts if isinstance(fact, Receipt)]
