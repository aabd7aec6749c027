"""Grants and receipts in any order, doubled, late, lost or from another run: no grant fires twice, none outside what the record knows.

The session's machine and the hot process's firing over a device of few words, all in simulated time; hypothesis is the channel.
"""

from collections import Counter

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

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
    ArmAsked,
    ArmChanged,
    CloseAsked,
    CloseLedger,
    Course,
    Event,
    HoldAsked,
    HotLost,
    Intend,
    IntentAnswered,
    LedgerClosed,
    OpenLedger,
    Pending,
    PlanOpened,
    ReceiptCame,
    ResumeAsked,
    SendArm,
    SendGrant,
    SendHold,
    SendStop,
    Session,
    SessionOpened,
    SettleReceipt,
    StartAsked,
    StopAsked,
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
        beat = ipc.DaemonBeat(
            made_ns=now_ns, operator_present=True, hardware_stop_tested=True, stop_inputs_clear=self.stop_input_clear
        )
        return View(
            exposed_ns=now_ns,
            head_seen=True,
            coil_seen=True,
            fit_rms_mm=0.1,
            flagged=False,
            max_fit_rms_mm=0.3,
            registration_expires_ns=now_ns + 1,
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


def deliver(chair: Chair, turns: int) -> None:
    """Let everything arrive at once and press whatever key comes next."""
    keys = {Stage.AIM: ArmAsked(), Stage.ARMED: StartAsked(), Stage.HOLD: ResumeAsked()}
    for _ in range(turns):
        chair.pass_time(1)
        chair.answer_intent(True)
        for grant in chair.grants:
            chair.take_grant(grant)
        chair.grants.clear()
        for fact in list(chair.facts):
            chair.facts.remove(fact)
            chair.hear(fact)
        if (event := keys.get(chair.session.step)) is not None:
            chair.happen(event)


INDEX = st.integers(0, 1000)


class Channel(RuleBasedStateMachine):
    """Whatever a channel and a day can do."""

    def __init__(self) -> None:
        super().__init__()
        self.chair = Chair()

    @rule(turns=st.sampled_from((1, 2, 5, 20, 60, 250)))
    def time_passes(self, turns: int) -> None:
        self.chair.pass_time(turns)

    @rule(turns=st.sampled_from((10, 30, 80)))
    def all_goes_well(self, turns: int) -> None:
        deliver(self.chair, turns)

    @rule(yes=st.sampled_from((True, True, True, False)))
    @precondition(lambda self: self.chair.unanswered is not None)
    def record_answers(self, yes: bool) -> None:
        self.chair.answer_intent(yes)

    @rule(index=INDEX, is_kept=st.booleans())
    @precondition(lambda self: self.chair.grants)
    def grant_arrives(self, index: int, is_kept: bool) -> None:
        grant = self.chair.grants[index % len(self.chair.grants)]
        if not is_kept:
            self.chair.grants.remove(grant)
        self.chair.take_grant(grant)

    @rule(index=INDEX)
    @precondition(lambda self: self.chair.past_grants)
    def past_grant_arrives(self, index: int) -> None:
        self.chair.take_grant(self.chair.past_grants[index % len(self.chair.past_grants)])

    @rule(index=INDEX)
    @precondition(lambda self: self.chair.grants)
    def grant_is_lost(self, index: int) -> None:
        self.chair.grants.pop(index % len(self.chair.grants))

    @rule(count=st.integers(1, 5), is_doubled=st.booleans())
    @precondition(lambda self: self.chair.facts)
    def facts_arrive(self, count: int, is_doubled: bool) -> None:
        for _ in range(min(count, len(self.chair.facts))):
            fact = self.chair.facts.pop(0)
            self.chair.hear(fact)
            if is_doubled and isinstance(fact, ipc.Receipt):
                self.chair.hear(fact)

    @rule(index=INDEX)
    @precondition(lambda self: self.chair.past_receipts)
    def past_receipt_arrives(self, index: int) -> None:
        self.chair.happen(ReceiptCame(receipt=self.chair.past_receipts[index % len(self.chair.past_receipts)]))

    @rule()
    @precondition(lambda self: any(isinstance(fact, ipc.Receipt) for fact in self.chair.facts))
    def receipt_is_lost(self) -> None:
        lost = next(fact for fact in self.chair.facts if isinstance(fact, ipc.Receipt))
        self.chair.facts.remove(lost)

    @rule(key=st.sampled_from(("forward", "forward", "forward", "hold", "stop", "close")))
    def operator_presses(self, key: str) -> None:
        chair = self.chair
        forward = {Stage.AIM: ArmAsked(), Stage.ARMED: StartAsked(), Stage.HOLD: ResumeAsked(), Stage.STOPPED: ArmAsked()}
        if key == "forward" and chair.session.step is Stage.DONE:
            chair.happen(PlanOpened(course=COURSE, registered=True))
        elif key == "forward":
            chair.happen(forward.get(chair.session.step, StartAsked()))
        else:
            keys = {"stop": StopAsked(why="operator"), "hold": HoldAsked(why=("operator",)), "close": CloseAsked()}
            chair.happen(keys[key])

    @rule()
    def coil_slips_or_returns(self) -> None:
        self.chair.on_target = not self.chair.on_target

    @rule()
    def hot_process_dies(self) -> None:
        self.chair.happen(HotLost())
        self.chair.begin_run()

    @invariant()
    def no_pulse_is_uncounted(self) -> None:
        self.chair.check()


Channel.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
test_no_order_of_messages_fires_a_grant_twice_or_leaves_a_pulse_uncounted = Channel.TestCase


def test_a_faithful_channel_delivers_the_whole_course() -> None:
    chair = Chair()
    deliver(chair, 400)
    assert [grant.train for grant in chair.started] == [1, 2, 3]
    assert sum(chair.given.values()) == COURSE.pulses == sum(chair.record.said.values())
    assert chair.session.step is Stage.DONE
    chair.check()


def test_every_grant_of_a_run_sent_again_to_the_next_fires_nothing() -> None:
    chair = Chair()
    deliver(chair, 400)
    chair.begin_run()
    chair.happen(ArmAsked())
    for grant in chair.past_grants:
        moved = msgspec.structs.replace(grant, not_before_ns=chair.now_ns, expires_ns=chair.now_ns + 2000 * MS, arm_no=1)
        chair.take_grant(moved)
        chair.pass_time(30)
    assert chair.device.enabled
    assert len(chair.started) == chair.device.starts == COURSE.trains


def test_every_grant_of_a_run_doubled_fires_once() -> None:
    chair = Chair()
    for _ in range(400):
        deliver(chair, 1)
        for grant in chair.past_grants:
            chair.take_grant(grant)
    assert chair.device.starts == COURSE.trains


def test_grant_still_on_its_way_when_the_operator_holds_is_worth_nothing() -> None:
    chair = Chair()
    while not chair.grants:
        chair.pass_time(1)
        chair.answer_intent(True)
        for fact in list(chair.facts):
            chair.facts.remove(fact)
            chair.hear(fact)
        if (event := {Stage.AIM: ArmAsked(), Stage.ARMED: StartAsked()}.get(chair.session.step)) is not None:
            chair.happen(event)
    chair.happen(HoldAsked(why=("operator",)))
    chair.take_grant(chair.grants.pop())
    chair.pass_time(1000)
    assert chair.device.starts == 0
    assert any(isinstance(fact, ipc.Receipt) and fact.pulses == 0 for fact in chair.facts)
