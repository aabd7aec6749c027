"""A search for the motor threshold running: feeds its machine and carries its actions out, in order. The twin of `core` for pulses.

Owns the search and its queue to the ledger. Locked out while a treatment's session is open, and the other way round.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from daemon import ipc
from daemon.alarms import Alarms
from daemon.core import wall_minus_mono_ns
from daemon.ledger import Intent, OpenRequest
from daemon.limits import Limits
from daemon.messages import Priority
from daemon.mt_chair import (
    Action,
    ArmPulses,
    ClosePulses,
    Event,
    GrantPulse,
    IntendPulse,
    Judge,
    Judged,
    KeepThreshold,
    OpenPulses,
    Refusal,
    Search,
    Step,
    StopPulses,
    Stray,
    TakeReceipt,
    VoidPulse,
    advance,
    open_search,
)
from daemon.mt_words import Seen, Setup
from daemon.purpose import Purpose
from daemon.record import Record
from daemon.session_words import (
    ArmChanged,
    HotLost,
    IntentAnswered,
    LedgerClosed,
    Pending,
    ReceiptCame,
    SessionOpened,
    TrainBegun,
)
from daemon.train_account import nothing_given, zero_receipt

LEASE_RENEW_S = 10.0
THRESHOLD = "mt"  # what stands in a row where a treatment has its protocol
_log = structlog.get_logger()


class Muscle(Protocol):
    """Where a muscle's answer to a pulse can be read."""

    async def answer(self, sent_ns: int, told_ns: int) -> Seen:
        """What the signal says of the pulse between these moments of the host's monotonic clock; undecided where it cannot say."""


class ThresholdCore:
    """One search at a time. `used` hears of arm and grant numbers, `told` is called after every change.

    `beat` tells the hot process how things stand now: an arm that takes up a stop must not meet the beat from before it.
    """

    def __init__(
        self,
        beats: ipc.Channel[ipc.HotBeat],
        orders: ipc.Channel[ipc.FromHotOrder],
        record: Record,
        alarms: Alarms,
        muscle: Muscle | None,
        used: Callable[[int, int], None],
        told: Callable[[], None],
        beat: Callable[[], None],
    ) -> None:
        self._beats, self._orders, self._record, self._alarms, self._told = beats, orders, record, alarms, told
        self._muscle, self._used, self._beat = muscle, used, beat
        self.search: Search | None = None
        self.limits: Limits | None = None
        self.pulses_before: int | None = None  # single pulses of the patient's day before the search
        self.refusal = ""  # why the operator's last act changed nothing
        self.run_id: str | None = None
        self._device_serial: str | None = None
        self._actions: asyncio.Queue[Action | ipc.Ungranted] = asyncio.Queue()
        self._wall: dict[int, int] = {}

    @property
    def is_open(self) -> bool:
        """A search holds the chair."""
        return self.search is not None and not self.search.is_over

    @property
    def is_armed(self) -> bool:
        return self.search is not None and self.search.step in (Step.ARMING, Step.ARMED)

    @property
    def has_muscle(self) -> bool:
        return self._muscle is not None

    def begin(
        self, setup: Setup, limits: Limits, device_serial: str | None, arm_no: int, grant_no: int, pulses_before: int | None = None
    ) -> None:
        """Numbers go on from those that the hot process has seen; `pulses_before`: of the patient's day. Raises ValueError."""
        self.limits, self._device_serial, self.pulses_before = limits, device_serial, pulses_before
        self._take(open_search(setup, arm_no, grant_no, time.monotonic_ns()))

    def happen(self, event: Event) -> None:
        if self.search is not None:
            self._take(advance(self.search, event, time.monotonic_ns()))

    def _take(self, outcome: tuple[Search, tuple[Action, ...]]) -> None:
        before, self.search = self.search, outcome[0]
        self.refusal = ""
        if self.search != before:
            self._used(self.search.arm_no, self.search.grant_no)
        for action in outcome[1]:
            self._carry_out(action)
        if self.search != before:
            self._told()

    def hear(self, packet: ipc.FromHotOrder) -> bool:
        """A fact from the hot process; False: none of the search's business."""
        if not self.is_open:
            return False
        match packet:
            case ipc.Receipt() if packet.run_id != self.run_id:
                _log.warning("receipt_of_another_run", grant=packet.grant_no, pulses=packet.pulses)
                self._actions.put_nowait(TakeReceipt(event=ReceiptCame(receipt=packet)))
            case ipc.Receipt():
                _log.info("receipt", grant=packet.grant_no, pulses=packet.pulses, confirmed=packet.confirmed, why=packet.why)
                self.happen(ReceiptCame(receipt=packet))
            case ipc.TrainStarted(grant_no=grant_no, at_ns=at_ns):
                self.happen(TrainBegun(grant_no=grant_no, at_ns=at_ns))
            case ipc.ArmState():
                self.happen(ArmChanged(arm_no=packet.arm_no, armed=packet.armed, stopped=packet.stopped, why=packet.why))
            case ipc.Ungranted(at_ns=at_ns):
                self._actions.put_nowait(packet)
                self.happen(Stray(at_ns=at_ns))
            case ipc.TrainBroken():
                pass  # its receipt follows
            case _:
                return False
        return True

    def hot_lost(self) -> None:
        self.run_id = None
        self.happen(HotLost())

    # ---- actions out ----

    def _carry_out(self, action: Action) -> None:
        match action:
            case StopPulses(why=why):
                self._beats.send(ipc.StopNow(why=why))
            case ArmPulses(arm_no=arm_no, settings=settings):
                self._beat()
                if not self._orders.send(ipc.Arm(arm_no=arm_no, settings=settings, purpose=Purpose.MT)):
                    self.happen(ArmChanged(arm_no=arm_no, armed=False, stopped=True, why="the hot process does not listen"))
            case GrantPulse():
                self._send_grant(action)
            case Refusal(why=why):
                self.refusal = why
            case _:
                self._actions.put_nowait(action)

    def _grant(self, pending: Pending, arm_no: int, action: GrantPulse) -> ipc.Grant:
        limits = self.limits
        return ipc.Grant(
            run_id=self.run_id or "",
            grant_no=pending.grant_no,
            arm_no=arm_no,
            train=pending.train,
            settings=action.settings,
            not_before_ns=pending.not_before_ns,
            expires_ns=pending.expires_ns,
            gap_ns=_interval_ns(limits) if limits is not None else 0,
            wall_minus_mono_ns=self._wall.pop(pending.grant_no),
            purpose=Purpose.MT,
        )

    def _send_grant(self, action: GrantPulse) -> None:
        grant = self._grant(action.pending, action.arm_no, action)
        if self.run_id is None or self.limits is None or not self._orders.send(grant):
            self.happen(ReceiptCame(receipt=zero_receipt(grant, ("the hot process does not listen",))))

    # ---- the ledger's queue ----

    async def run_ledger(self) -> None:
        """Ledger actions one after the other, so that a session is never closed before its receipts are in."""
        while True:
            action = await self._actions.get()
            await self._record_action(action)
            self._actions.task_done()
            self._told()

    async def settled(self) -> None:
        """Until every ledger action so far is done."""
        await self._actions.join()

    async def _record_action(self, action: Action | ipc.Ungranted) -> None:
        search, limits = self.search, self.limits
        if search is None or limits is None:
            return
        match action:
            case OpenPulses():
                request = self._request(search, limits)
                self.happen(SessionOpened(answer=await self._record.open_request(request)))
            case IntendPulse(pending=pending) if search.session_id is not None and search.lease_token is not None:
                self._wall[pending.grant_no] = wall_minus_mono_ns()
                answer = await self._record.intend_train(self._intent(action, search.session_id, search.lease_token), limits)
                self.happen(IntentAnswered(grant_no=pending.grant_no, answer=answer))
            case VoidPulse(pending=pending) if search.session_id is not None:
                void = nothing_given(self.run_id or "", pending.grant_no, pending.train, ("never granted",))
                await self._settle(void, search.session_id)
            case TakeReceipt(event=event) if search.session_id is not None:
                await self._settle(event.receipt, search.session_id)
            case Judge():
                self.happen(Judged(number=action.number, seen=await self._judge(action)))
            case ClosePulses(state=how, why=why) if search.session_id is not None:
                await self._record.close_session(search.session_id, how, why)
                self.happen(LedgerClosed(state=how))
            case KeepThreshold(record=record):
                await self._record.save_threshold(record)
            case ipc.Ungranted(pulses=pulses, at_ns=at_ns):
                await self._record.ungranted(search.session_id, search.setup.patient, pulses, at_ns)
            case _:
                _log.error("ledger_action_without_session", action=type(action).__name__)

    def _request(self, search: Search, limits: Limits) -> OpenRequest:
        setup = search.setup
        return OpenRequest(
            patient=setup.patient,
            chair=self._record.chair,
            protocol=THRESHOLD,
            protocol_sha256="",
            plan_sha256="",
            target_token="",
            planned_pulses=setup.planned_pulses,
            planned_trains=setup.planned_pulses,
            train_gap_ns=_interval_ns(limits),
            set_point_mso=setup.most_mso,
            rmt_mso=None,
            operator=setup.operator,
            limits=limits,
            purpose=Purpose.MT,
            device_serial=self._device_serial,
            coil_serial=setup.coil_serial,
        )

    def _intent(self, action: IntendPulse, session_id: str, token: int) -> Intent:
        pending = action.pending
        return Intent(
            session_id=session_id,
            lease_token=token,
            run_id=self.run_id or "",
            grant_no=pending.grant_no,
            train_no=pending.train,
            pulses=action.settings.pulses,
            amplitude_pct=action.settings.amplitude_pct_mso,
            not_before_ns=pending.not_before_ns,
            expires_ns=pending.expires_ns,
            length_ns=0,
        )

    async def _judge(self, action: Judge) -> Seen:
        return Seen.UNDECIDED if self._muscle is None else await self._muscle.answer(action.sent_ns, action.told_ns)

    async def _settle(self, receipt: ipc.Receipt, session_id: str) -> None:
        trouble = await self._record.receive(receipt, session_id)
        if trouble is not None:
            self._alarms.raise_("pulse_count_wrong", Priority.HIGH, trouble, "Call the engineer; the larger count stands.")

    async def run_lease(self) -> None:
        """Keep the patient's lease for as long as the search is open."""
        while True:
            await asyncio.sleep(LEASE_RENEW_S)
            search = self.search
            if search is None or search.session_id is None or search.lease_token is None or search.step is Step.CLOSING:
                continue
            if not await self._record.renew(search.session_id, search.lease_token):
                text = "the patient's lease could not be renewed: no further pulse is granted until it is"
                self._alarms.raise_("lease_lost", Priority.MEDIUM, text, "Check the dose record.")


def _interval_ns(limits: Limits) -> int:
    return round(limits.min_mt_pulse_interval_s * 1e9)
