"""A session's machine and the hot process's firing over a device of few words, and the channels between them, for tests to play."""

from collections import Counter

from daemon import ipc
from daemon.day import DoseReason
from daemon.firing import Firing
from daemon.gate import View
from daemon.ledger import Intended, Opened, Refused
from daemon.messages import Step as Stage
from daemon.on_target import Hysteresis, OnTarget
from daemon.pacing import Pace
from daemon.session import advance
from daemon.session_words import (
    Action,
    ArmChanged,
    CloseLedger,
    Course,
    Event,
    Intend,
    IntentAnswered,
    LedgerClosed,
    OpenLedger,
    Pending,
    PlanOpened,
    ReceiptCame,
    SendArm,
    SendGrant,
    SendHold,
    SendStop,
    Session,
    SessionOpened,
    SettleReceipt,
    Tick,
    TrainBegun,
    TrainBroken,
    VoidIntent,
)
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

MS = 1_000_000
BEGIN_NS = 10**12
TURN_NS = 10 * MS
SETTINGS = TrainSettings(amplitude_pct_mso=45, pulses_per_burst=3, intra_burst_interval_us=10_000, burst_hz="20", bursts=4)
BURST_NS = 50 * MS
GAP_NS = 250 * MS
FIRST_BURST_NS, STOPS_IN_NS = 5 * MS, 20 * MS
PACE = Pace(train_period_ns=4 * BURST_NS + GAP_NS, train_gap_ns=GAP_NS, train_length_ns=3 * BURST_NS + 20 * MS, burst_period_ns=BURST_NS)
COURSE = Course(patient="P1", protocol="short", settings=SETTINGS, pace=PACE, trains=3, resume_window_ns=600_000 * MS)
REFUSED = Refused(reasons=(DoseReason.INTENT_OPEN,), earliest_utc_us=None)
GrantKey = tuple[str, int]


class Device:
    """A stimulator that charges at once, reports each burst as it fires it, and stops a moment after it is told to."""

    damaged = 0

    def __init__(self) -> None:
        self.prepared: TrainSettings | None = None
        self.enabled = False
        self.starts = 0
        self.bursts_given = 0
        self._due_ns: list[int] = []
        self._ends_ns: int | None = None
        self._off_ns: int | None = None
        self._now_ns = BEGIN_NS

    @property
    def report(self) -> StimReport:
        state = StimState.FIRING if self._due_ns else StimState.READY if self.enabled else StimState.STANDBY
        return StimReport(
            received_ns=self._now_ns,
            state=state,
            enabled=self.enabled,
            running=bool(self._due_ns),
            temperature_c=25,
            coil_type=60,
            amplitude_pct_mso=SETTINGS.amplitude_pct_mso,
        )

    def _step(self, now_ns: int, *events: StimEvent) -> Step[StimEvent]:
        self._now_ns = now_ns
        return Step(wake_ns=now_ns, events=events)

    def connected(self, now_ns: int) -> Step[StimEvent]:
        found = self.enabled
        self.enabled, self.prepared, self._due_ns, self._ends_ns, self._off_ns = False, None, [], None, None
        return self._step(now_ns, Secured(found_enabled=found, found_running=False, at_ns=now_ns))

    def disconnected(self, now_ns: int) -> Step[StimEvent]:
        return self._step(now_ns)

    def feed(self, _data: bytes, now_ns: int) -> Step[StimEvent]:
        return self._step(now_ns)

    def may_keep_alive(self, _until_ns: int) -> None:
        pass

    def start_is_due(self, _at_ns: int) -> None:
        pass

    def least_gap_s(self, _settings: TrainSettings) -> float:
        return 0.0

    @property
    def estimates(self) -> bool:
        return False

    def can(self, _settings: TrainSettings) -> tuple[str, ...]:
        return ()

    def acknowledge(self, now_ns: int) -> Step[StimEvent]:
        return self._step(now_ns)

    def prepare(self, settings: TrainSettings, now_ns: int) -> Step[StimEvent]:
        self.prepared = settings
        return self._step(now_ns, Prepared(settings=settings, mismatches=(), at_ns=now_ns))

    def enable(self, now_ns: int) -> Step[StimEvent]:
        self.enabled = True
        return self._step(now_ns, Ready(at_ns=now_ns))

    def start_train(self, now_ns: int) -> Step[StimEvent]:
        assert self.enabled
        assert not self._due_ns, "a start over a running train"
        self.starts += 1
        self._due_ns = [now_ns + FIRST_BURST_NS + number * BURST_NS for number in range(SETTINGS.bursts)]
        self._ends_ns = self._due_ns[-1] + BURST_NS
        return self._step(now_ns)

    def stop(self, now_ns: int) -> Step[StimEvent]:
        self._off_ns = now_ns + STOPS_IN_NS if self._off_ns is None else self._off_ns
        return self._step(now_ns)

    def tick(self, now_ns: int) -> Step[StimEvent]:
        events: list[StimEvent] = []
        while self._due_ns and self._due_ns[0] <= now_ns:
            self._due_ns.pop(0)
            self.bursts_given += 1
            events.append(BurstFired(at_ns=now_ns, didt_a_per_us=60, asked=True))
        if self._ends_ns is not None and self._ends_ns <= now_ns:
            self._ends_ns = None
            events.append(TrainEnded(at_ns=now_ns))
        if self._off_ns is not None and self._off_ns <= now_ns:
            self.enabled, self._due_ns, self._ends_ns, self._off_ns = False, [], None, None
            events.append(Disabled(confirmed=True, at_ns=now_ns))
        return self._step(now_ns, *events)


class Record:
    """The dose record in two rules: an intent counts in full until a receipt of its own run settles it; nothing lowers a count."""

    def __init__(self) -> None:
        self.intents: dict[GrantKey, Pending] = {}
        self.said: dict[GrantKey, int] = {}

    def counted(self, key: GrantKey) -> int:
        return self.said.get(key, SETTINGS.pulses)

    def settle(self, receipt: ipc.Receipt) -> None:
        key = receipt.run_id, receipt.grant_no
        if key in self.intents:
            self.said[key] = max(self.said.get(key, 0), receipt.pulses)

    def is_open(self, run_id: str) -> bool:
        """Whether a train of this run has no receipt yet."""
        return any(run == run_id and (run, number) not in self.said for run, number in self.intents)


class Chair:
    """A session's machine and a firing, and the two channels between them, which the test empties as it likes."""

    def __init__(self) -> None:
        self.now_ns = BEGIN_NS
        self.device, self.record = Device(), Record()
        self.past_grants: list[ipc.Grant] = []
        self.past_receipts: list[ipc.Receipt] = []
        self.started: list[ipc.Grant] = []
        self.given: Counter[GrantKey] = Counter()
        self.on_target = self.stop_input_clear = True
        self.run_no = 0
        self.begin_run()

    def begin_run(self) -> None:
        """Both processes anew over the same device and record; what was under way on the channels is gone."""
        self.run_no += 1
        self.run_id = f"run-{self.run_no}"
        self.last_pulse_ns: int | None = None  # of this run: the pause from an earlier one is the ledger's to keep
        self.session = Session(rev=1)
        self.firing = Firing(self.device, self.run_id, lambda: (None, None))
        self.firing.connected(self.now_ns)
        self.grants: list[ipc.Grant] = []
        self.facts: list[ipc.FromHotOrder] = []
        self.unanswered: Pending | None = None
        self.happen(PlanOpened(course=COURSE, registered=True))

    # ---- the daemon's side ------------------------------------------------------------------------------------------

    def happen(self, event: Event) -> None:
        self.session, actions = advance(self.session, event, self.now_ns)
        for action in actions:
            self._carry_out(action)

    def _carry_out(self, action: Action) -> None:
        match action:
            case OpenLedger():
                self.happen(SessionOpened(answer=Opened(session_id=f"S{self.now_ns}", lease_token=1)))
            case SendArm(arm_no=arm_no, settings=asked):
                self.firing.order_arm(ipc.Arm(arm_no=arm_no, settings=asked), self.now_ns)
            case Intend(pending=pending):
                self.unanswered = pending
            case SendGrant(pending=pending, arm_no=arm_no):
                self._send_grant(pending, arm_no)
            case VoidIntent(pending=pending):
                self.record.said.setdefault((self.run_id, pending.grant_no), 0)
            case SettleReceipt(receipt=receipt):
                self.record.settle(receipt)
            case SendStop(why=why):
                self.firing.stop(why, self.now_ns)
            case SendHold(why=why, grant_no=grant_no):
                self.firing.hold(why, self.now_ns, void_up_to=grant_no)
            case CloseLedger(state=state):
                self.happen(LedgerClosed(state=state))
        self._collect()

    def _send_grant(self, pending: Pending, arm_no: int) -> None:
        grant = ipc.Grant(
            run_id=self.run_id,
            grant_no=pending.grant_no,
            arm_no=arm_no,
            train=pending.train,
            settings=SETTINGS,
            not_before_ns=pending.not_before_ns,
            expires_ns=pending.expires_ns,
            gap_ns=GAP_NS,
            wall_minus_mono_ns=0,
        )
        self.grants.append(grant)
        self.past_grants.append(grant)

    def answer_intent(self, yes: bool) -> None:
        """The record takes the intent only if none of this run is open, as the ledger does."""
        pending, self.unanswered = self.unanswered, None
        if pending is None:
            return
        if yes and not self.record.is_open(self.run_id):
            self.record.intents[self.run_id, pending.grant_no] = pending
            answer: Intended | Refused = Intended(seq=1)
        else:
            answer = REFUSED
        self.happen(IntentAnswered(grant_no=pending.grant_no, answer=answer))

    def hear(self, fact: ipc.FromHotOrder) -> None:
        match fact:
            case ipc.Receipt() if fact.run_id != self.run_id:
                self.record.settle(fact)  # as the daemon does: the record keeps it, the session waits for its own run's
            case ipc.Receipt():
                self.past_receipts.append(fact)
                self.happen(ReceiptCame(receipt=fact))
            case ipc.TrainStarted(grant_no=grant_no, at_ns=at_ns):
                self.happen(TrainBegun(grant_no=grant_no, at_ns=at_ns))
            case ipc.TrainBroken(why=why):
                self.happen(TrainBroken(why=why))
            case ipc.ArmState(arm_no=arm_no, armed=armed, stopped=stopped, why=why):
                self.happen(ArmChanged(arm_no=arm_no, armed=armed, stopped=stopped, why=why))
            case ipc.Ungranted():
                raise AssertionError("a burst without a train")

    # ---- the hot process's side -------------------------------------------------------------------------------------

    def take_grant(self, grant: ipc.Grant) -> None:
        self.firing.order_grant(grant, self.now_ns)
        self._collect()

    def _view(self) -> View:
        firing, now_ns = self.firing, self.now_ns
        beat = ipc.DaemonBeat(made_ns=now_ns, operator_present=True, hardware_stop_tested=True, stop_inputs_clear=self.stop_input_clear)
        return View(
            exposed_ns=now_ns,
            head_seen=True,
            coil_seen=True,
            fit_rms_mm=0.1,
            flagged=False,
            max_fit_rms_mm=0.3,
            registration_expires_ns=now_ns + 1,
            check_expires_ns=now_ns + 1,
            reference_holds=True,
            calibration_expires_ns=now_ns + 1,
            on_target=OnTarget(machine=Hysteresis(on=self.on_target), published=self.on_target),
            stim=firing.driver.report,
            prepared=firing.driver.prepared,
            secured=firing.secured,
            disarm_failed=firing.disarm_failed,
            coil_type=60,
            start_temp_c=40,
            stop_temp_c=41,
            armed=firing.armed,
            beat=beat,
            supervisor_ns=now_ns,
            grant=firing.grant,
            last_pulse_ns=firing.last_pulse_ns,
            wall_minus_mono_ns=0,
            record_open=True,
        )

    def pass_time(self, turns: int) -> None:
        for _ in range(turns):
            self.now_ns += TURN_NS
            before = self.device.bursts_given, self.device.starts
            running = self.firing.train
            self.firing.tick(self._view(), self.now_ns)
            if running is not None and self.device.bursts_given > before[0]:
                pulses = (self.device.bursts_given - before[0]) * SETTINGS.pulses_per_burst
                self.given[running.grant.run_id, running.grant.grant_no] += pulses
                self.last_pulse_ns = self.now_ns
            if self.device.starts > before[1]:
                assert self.firing.train is not None
                self._check_start(self.firing.train.grant)
            self._collect()
            self.happen(Tick(device_ready=self.device.enabled))

    def _check_start(self, grant: ipc.Grant) -> None:
        key = grant.run_id, grant.grant_no
        assert key not in [(other.run_id, other.grant_no) for other in self.started], f"{key} fired twice"
        assert key in self.record.intents, f"{key} fired without an intent"
        assert key not in self.record.said, f"{key} fired although its receipt was taken down"
        assert grant.run_id == self.run_id, "a grant for another run fired"
        assert self.firing.arm is not None, "fired without an arm"
        assert grant.arm_no == self.firing.arm.arm_no, "a grant for an earlier arm fired"
        assert grant.not_before_ns <= self.now_ns <= grant.expires_ns, "fired outside its window"
        assert self.last_pulse_ns is None or self.now_ns - self.last_pulse_ns >= GAP_NS, "fired within the gap"
        assert self.on_target
        assert self.stop_input_clear
        assert self.session.step is not Stage.HOLD, "fired while the operator held"
        self.started.append(grant)

    def _collect(self) -> None:
        out = self.firing.take()
        self.facts += out.facts

    # ---- what must always hold --------------------------------------------------------------------------------------

    def check(self) -> None:
        for key, pulses in self.given.items():
            assert pulses <= self.record.counted(key), f"{key} gave {pulses}, {self.record.counted(key)} counted"
        mine = sum(pulses for (run, _), pulses in self.given.items() if run == self.run_id)
        assert self.device.starts == len(self.started)
        assert mine <= sum(self.record.counted(key) for key in self.record.intents if key[0] == self.run_id)
