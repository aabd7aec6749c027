"""The session running: feeds events to its machine and carries its actions out, in order. Owns the state and the ledger's queue.

Knows channels and the record, no sockets of clients. Everything happens on the daemon's loop.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from daemon import ipc
from daemon.alarms import Alarms
from daemon.ledger import Opened, Refused
from daemon.messages import Priority, Step
from daemon.purpose import Pacing
from daemon.record import Record
from daemon.session import advance
from daemon.session_words import (
    Action,
    ArmChanged,
    CloseLedger,
    Event,
    HotLost,
    Intend,
    IntentAnswered,
    LedgerClosed,
    OpenLedger,
    Pending,
    ReceiptCame,
    SendArm,
    SendGrant,
    SendHold,
    SendStop,
    Session,
    SessionOpened,
    SettleReceipt,
    StopAsked,
    TrainBegun,
    TrainBroken,
    VoidIntent,
)
from daemon.train_account import nothing_given
from daemon.treatment import Treatment

LEASE_RENEW_S = 10.0  # the patient's lease lasts 30 s
_log = structlog.get_logger()


def wall_minus_mono_ns() -> int:
    return time.time_ns() - time.monotonic_ns()


class Core:
    """One session at a time. `told` is called after every change of state.

    `beat` tells the hot process how things stand now: an arm that takes up a stop must not meet the beat from before it.
    """

    def __init__(
        self,
        beats: ipc.Channel[ipc.HotBeat],
        orders: ipc.Channel[ipc.FromHotOrder],
        record: Record,
        alarms: Alarms,
        told: Callable[[], None],
        beat: Callable[[], None] | None = None,
    ) -> None:
        self._beats, self._orders, self._record, self._alarms, self._told = beats, orders, record, alarms, told
        self._beat = beat
        self.state = Session(rev=time.time_ns() // 1_000_000)  # an earlier run's revisions are all smaller
        self.treatment: Treatment | None = None
        self.operator_name = ""
        self.device_serial: str | None = None
        self.run_id: str | None = None
        self.refusal: Refused | None = None
        self.safe: ipc.Safe | None = None
        self.stop_test: ipc.HardwareStopSeen | None = None
        self._actions: asyncio.Queue[Action | ipc.Ungranted] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._wall: dict[int, int] = {}

    # ---- events in ----

    def happen(self, event: Event) -> None:
        before = self.state
        self.state, actions = advance(before, event, time.monotonic_ns())
        for action in actions:
            self._carry_out(action)
        if self.state.rev != before.rev:
            if before.step is not self.state.step:
                _log.info("step", step=str(self.state.step), before=str(before.step), session=self.state.session_id)
            self.announce()

    def announce(self) -> None:
        """Something that others wait for has changed."""
        self._changed.set()
        self._changed = asyncio.Event()
        self._told()

    async def until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until something holds; False when it did not in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while not holds():
                    await self._changed.wait()
        except TimeoutError:
            return holds()
        return True

    def hear(self, packet: ipc.FromHotOrder) -> None:
        """A fact from the hot process."""
        match packet:
            case ipc.Hello(run_id=run_id):
                self.run_id = run_id
            case ipc.Receipt() if packet.run_id != self.run_id:
                _log.warning("receipt_of_another_run", grant=packet.grant_no, pulses=packet.pulses)
                self._actions.put_nowait(SettleReceipt(receipt=packet))
            case ipc.Receipt():
                _log.info("receipt", grant=packet.grant_no, pulses=packet.pulses, confirmed=packet.confirmed, why=packet.why)
                self.happen(ReceiptCame(receipt=packet))
            case ipc.TrainStarted(grant_no=grant_no, at_ns=at_ns):
                self.happen(TrainBegun(grant_no=grant_no, at_ns=at_ns))
            case ipc.TrainBroken(why=why):
                self.happen(TrainBroken(why=why))
            case ipc.ArmState():
                self.happen(ArmChanged(arm_no=packet.arm_no, armed=packet.armed, stopped=packet.stopped, why=packet.why))
            case ipc.Ungranted():
                self._actions.put_nowait(packet)
                self.happen(StopAsked(why="uncommanded pulse"))
            case ipc.Safe():
                self._on_safe(packet)
            case ipc.HardwareStopSeen():
                self.stop_test = packet
                self.announce()
            case ipc.DeviceAlarm(code=code, high=high, text=text, remedy=remedy):
                self._alarms.raise_(code, Priority.HIGH if high else Priority.MEDIUM, text, remedy)

    def _on_safe(self, packet: ipc.Safe) -> None:
        self.safe = packet
        if packet.confirmed:
            self._alarms.clear("disarm_unconfirmed")
        if packet.found_running or packet.found_enabled:
            found = "running a train" if packet.found_running else "enabled"
            self._alarms.raise_("found_armed", Priority.HIGH, f"the stimulator was found {found} and was disarmed", "Check what it gave.")
        self.announce()

    def hot_lost(self) -> None:
        self.run_id = None
        text = "the hot process is gone; the supervisor disarms the stimulator"
        self._alarms.raise_("hot_process_lost", Priority.HIGH, text, "Lift the coil off, then press red button.")
        self.happen(HotLost())

    # ---- actions out ----

    def _carry_out(self, action: Action) -> None:
        match action:
            case SendStop(why=why):
                self._beats.send(ipc.StopNow(why=why))
            case SendHold(why=why, grant_no=grant_no):
                self._beats.send(ipc.HoldNow(why=why, grant_no=grant_no))
            case SendArm(arm_no=arm_no, settings=settings):
                if self._beat is not None:
                    self._beat()
                pacing = Pacing.TRAIN if self.state.course is None else self.state.course.pacing
                if not self._orders.send(ipc.Arm(arm_no=arm_no, settings=settings, pacing=pacing)):
                    self.happen(ArmChanged(arm_no=arm_no, armed=False, stopped=True, why="the hot process does not listen"))
            case SendGrant():
                self._send_grant(action)
            case _:
                self._actions.put_nowait(action)

    def _send_grant(self, action: SendGrant) -> None:
        pending, treatment = action.pending, self.treatment
        if treatment is None or self.run_id is None:
            self.happen(ReceiptCame(receipt=self._zero(pending, "no hot process")))
            return
        grant = ipc.Grant(
            run_id=self.run_id,
            grant_no=pending.grant_no,
            arm_no=action.arm_no,
            train=pending.train,
            settings=treatment.course.settings,
            not_before_ns=pending.not_before_ns,
            expires_ns=pending.expires_ns,
            gap_ns=treatment.course.pace.train_gap_ns,
            wall_minus_mono_ns=self._wall.pop(pending.grant_no),
            pacing=treatment.course.pacing,
        )
        if not self._orders.send(grant):
            self.happen(ReceiptCame(receipt=self._zero(pending, "the hot process does not listen")))

    def _zero(self, pending: Pending, why: str) -> ipc.Receipt:
        """For a grant that verifiably never left this process."""
        return nothing_given(self.run_id or "", pending.grant_no, pending.train, (why,))

    # ---- the ledger's queue ----

    async def run_ledger(self) -> None:
        """Ledger actions one after the other, so that a session is never closed before its receipts are in."""
        while True:
            action = await self._actions.get()
            await self._record_action(action)
            self._actions.task_done()
            self.announce()

    async def settled(self) -> None:
        """Until every ledger action so far is done."""
        await self._actions.join()

    async def _record_action(self, action: Action | ipc.Ungranted) -> None:
        session_id, token, treatment = self.state.session_id, self.state.lease_token, self.treatment
        match action:
            case OpenLedger() if treatment is not None:
                await self._open(treatment)
            case Intend(pending=pending) if session_id is not None and token is not None and treatment is not None:
                self._wall[pending.grant_no] = wall_minus_mono_ns()
                answer = await self._record.intend(pending, session_id, token, self.run_id or "", treatment)
                self.happen(IntentAnswered(grant_no=pending.grant_no, answer=answer))
            case VoidIntent(pending=pending) if session_id is not None:
                await self._settle(self._zero(pending, "never granted"), session_id)
            case SettleReceipt(receipt=receipt) if session_id is not None:
                await self._settle(receipt, session_id)
            case CloseLedger(state=how, why=why) if session_id is not None:
                await self._record.close_session(session_id, how, why)
                self.happen(LedgerClosed(state=how))
            case ipc.Ungranted(pulses=pulses, at_ns=at_ns):
                patient = None if treatment is None else treatment.opened.plan.patient
                await self._record.ungranted(session_id, patient, pulses, at_ns)
            case _:
                _log.error("ledger_action_without_session", action=type(action).__name__)

    async def _open(self, treatment: Treatment) -> None:
        answer = await self._record.open_session(treatment, self.operator_name, self.device_serial)
        self.refusal = None if isinstance(answer, Opened) else answer
        self.happen(SessionOpened(answer=answer))

    async def _settle(self, receipt: ipc.Receipt, session_id: str) -> None:
        trouble = await self._record.receive(receipt, session_id)
        if trouble is not None:
            self._alarms.raise_("pulse_count_wrong", Priority.HIGH, trouble, "Call the engineer; the larger count stands.")

    async def run_lease(self) -> None:
        """Keep the patient's lease for as long as the session is open, holds included, and bring in what waits in the chair's journal."""
        while True:
            await asyncio.sleep(LEASE_RENEW_S)
            await self._record.settle()
            session_id, token = self.state.session_id, self.state.lease_token
            if session_id is not None and token is not None and not await self._record.renew(session_id, token):
                text = "the patient's lease could not be renewed: no further train is granted until it is"
                self._alarms.raise_("lease_lost", Priority.MEDIUM, text, "Check the dose record.")

    @property
    def may_open_plan(self) -> bool:
        return self.state.step in (Step.PLAN, Step.REGISTER, Step.AIM, Step.DONE) and not self.state.opening
