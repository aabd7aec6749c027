"""The ledger for a program that must not wait: one worker thread, questions in order, answers awaited.

What could not be written is tried again and never dropped; what cannot be asked is refused with LEDGER_UNAVAILABLE.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog

from daemon import ipc
from daemon.config import SIMULATION_ONLY, Config, chair_file
from daemon.day import DayVerdict, DoseReason
from daemon.host_clock import ClockFile, boot_id, moment
from daemon.ledger import (
    Closed,
    CloseState,
    Duplicate,
    Intended,
    Intent,
    LedgerError,
    Moment,
    Note,
    Opened,
    OpenRequest,
    Receipt,
    Refused,
    Settled,
)
from daemon.ledger_chair import ChairLedger
from daemon.ledger_journal import Journal
from daemon.ledger_store import Ledger
from daemon.limits import Limits
from daemon.mt_values import MotorThresholdRecord
from daemon.session_start import against_start
from daemon.session_words import Pending
from daemon.treatment import Treatment
from daemon.witness import Witness

RETRY_S = 0.5
T = TypeVar("T")
CLOCK_TOLERANCE_US = 2_000_000  # where no limits say another
UNAVAILABLE = Refused(reasons=(DoseReason.LEDGER_UNAVAILABLE,), earliest_utc_us=None)
_log = structlog.get_logger()


def _nothing(_now: Moment) -> tuple[DoseReason, ...]:
    return ()


class Record:
    """The chair's dose record. `on_trouble(text | None)` is told when it is out of reach, and None when it is back."""

    def __init__(
        self, ledger: Ledger, journal: Journal | None, clock: ClockFile, config: Config, on_trouble: Callable[[str | None], None]
    ) -> None:
        self._ledger, self._clock, self._config, self._on_trouble = ledger, clock, config, on_trouble
        # what this chair writes in a session; it survives the loss of a shared ledger
        self._own = ChairLedger(ledger, journal, config.chair.name)
        self._trouble: str | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._boot = boot_id()

    @classmethod
    def open(cls, config: Config, on_trouble: Callable[[str | None], None]) -> "Record":
        """Raises LedgerUnavailable."""
        ledger = Ledger.open(config.ledger.url, witness=Witness(chair_file(config, "witness")))
        journal = Journal(chair_file(config, "journal")) if ledger.is_shared else None
        clock = ClockFile(chair_file(config, "clock"), trusts_itself=config.site.basis == SIMULATION_ONLY)
        return cls(ledger, journal, clock, config, on_trouble)

    @property
    def chair(self) -> str:
        return self._config.chair.name

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        self._ledger.close()

    async def _ask(self, question: Callable[[Moment], T]) -> T:
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._thread, lambda: question(moment(self._boot)))
        except LedgerError as error:
            _log.error("ledger_unavailable", what=str(error))
            self._tell(str(error))
            raise
        self._tell(self._own.trouble)
        return answer

    def _tell(self, trouble: str | None) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._on_trouble(trouble)

    async def _insist(self, question: Callable[[Moment], T]) -> T:
        """Until it is written: a dose that cannot be written down now is written down later."""
        while True:
            try:
                return await self._ask(question)
            except LedgerError:
                await asyncio.sleep(RETRY_S)

    async def recover(self) -> tuple[Closed, ...]:
        """Settle the journal and close what an earlier run of this chair left open. Raises LedgerError."""
        return await self._ask(self._own.recover)

    async def settle(self) -> None:
        """Bring what waits in the journal into the shared ledger, if that answers; asked beside the trains, which must not wait for it."""
        if self._own.is_away and await asyncio.to_thread(self._own.answers):
            with contextlib.suppress(LedgerError):  # told; it waits on
                await self._ask(self._own.settle)

    async def rewound(self) -> bool:
        return await self._ask(lambda _now: self._ledger.rewound() is not None)

    async def verdict(self, patient: str, pulses: int, limits: Limits) -> DayVerdict:
        """Raises LedgerError."""

        def ask(now: Moment) -> DayVerdict:
            return self._ledger.verdict(patient, pulses, limits, now, against=self._against_clock(now, limits))

        return await self._ask(ask)

    async def day_of(self, treatment: Treatment) -> DayVerdict:
        """Whether this plan's session could be opened now, all that speaks against it from outside the record included.

        Raises LedgerError.
        """

        def ask(now: Moment) -> DayVerdict:
            against = self._against_clock(now, treatment.limits) + self._against_plan(treatment, now)
            return self._ledger.verdict(treatment.course.patient, treatment.course.pulses, treatment.limits, now, against=against)

        return await self._ask(ask)

    async def open_session(self, treatment: Treatment, operator: str, device_serial: str | None) -> Opened | Refused:
        plan = treatment.opened.plan
        request = OpenRequest(
            patient=plan.patient,
            chair=self.chair,
            protocol=treatment.protocol.id,
            protocol_sha256=treatment.protocol.sha256,
            plan_sha256=treatment.opened.sha256,
            target_token=plan.target.token,
            planned_pulses=treatment.course.pulses,
            planned_trains=treatment.course.trains,
            train_gap_ns=treatment.course.pace.train_gap_ns,
            set_point_mso=treatment.dose.set_point.mso,
            rmt_mso=treatment.dose.threshold.value_mso,
            operator=operator,
            limits=treatment.limits,
            device_serial=device_serial,
        )
        return await self.open_request(request, lambda now: self._against_plan(treatment, now))

    def _against_plan(self, treatment: Treatment, now: Moment) -> tuple[DoseReason, ...]:
        """What speaks against this session from outside the record, and a motor threshold that was measured since it was opened."""
        against = against_start(treatment, self._config, now.utc_us)
        latest, used = self._ledger.latest_threshold(treatment.course.patient), treatment.dose.threshold
        is_superseded = latest is not None and latest != used and latest.measured_utc_us >= used.measured_utc_us
        return tuple(dict.fromkeys((*against, DoseReason.MT_STALE))) if is_superseded else against

    async def open_request(self, request: OpenRequest, outside: Callable[[Moment], tuple[DoseReason, ...]] = _nothing) -> Opened | Refused:
        """A session of any kind; none while the clock is suspect, or anything `outside` the dose record speaks against it."""

        def ask(now: Moment) -> Opened | Refused:
            against = self._against_clock(now, request.limits) + outside(now)
            return self._own.open_session(request, now, against=against)

        return await self._or_refuse(ask)

    def _against_clock(self, now: Moment, limits: Limits) -> tuple[DoseReason, ...]:
        """Judges the clock and keeps what follows. Raises LedgerUnavailable."""
        suspicion = self._clock.look(now, _tolerance_us(limits)).suspicion
        return () if suspicion is None else (DoseReason.CLOCK_SUSPECT,)

    async def latest_threshold(self, patient: str) -> MotorThresholdRecord | None:
        """The patient's last motor threshold. Raises LedgerError."""
        return await self._ask(lambda _now: self._ledger.latest_threshold(patient))

    async def save_threshold(self, record: MotorThresholdRecord) -> None:
        await self._insist(lambda now: self._ledger.save_threshold(record, now))

    async def look_at_clock(self) -> str | None:
        """Judge the clock and keep what follows; why it is suspect, if it is. Raises LedgerError."""
        kept = await self._ask(lambda now: self._clock.look(now, CLOCK_TOLERANCE_US))
        return None if kept.suspicion is None else str(kept.suspicion)

    async def intend(self, pending: Pending, session_id: str, token: int, run_id: str, treatment: Treatment) -> Intended | Refused:
        course = treatment.course
        intent = Intent(
            session_id=session_id,
            lease_token=token,
            run_id=run_id,
            grant_no=pending.grant_no,
            train_no=pending.train,
            pulses=course.settings.pulses,
            amplitude_pct=course.settings.amplitude_pct_mso,
            not_before_ns=pending.not_before_ns,
            expires_ns=pending.expires_ns,
            length_ns=course.pace.train_length_ns,
        )
        return await self.intend_train(intent, treatment.limits)

    async def intend_train(self, intent: Intent, limits: Limits) -> Intended | Refused:
        return await self._or_refuse(lambda now: self._own.intend(intent, limits, now))

    async def _or_refuse(self, question: Callable[[Moment], T | Refused]) -> T | Refused:
        try:
            return await self._ask(question)
        except LedgerError:
            return UNAVAILABLE

    async def renew(self, session_id: str, token: int) -> bool:
        try:
            return await self._ask(lambda now: self._own.renew(session_id, token, now))
        except LedgerError:
            return False

    async def receive(self, receipt: ipc.Receipt, session_id: str) -> str | None:
        """Take a final receipt down. Returns what a person must know: pulses beyond the intent, or two receipts that differ."""
        said = Receipt(
            session_id=session_id,
            run_id=receipt.run_id,
            grant_no=receipt.grant_no,
            pulses=receipt.pulses,
            confirmed=receipt.confirmed,
            first_mono_ns=receipt.first_ns,
            last_mono_ns=receipt.last_ns,
            final=True,
            reason=", ".join(receipt.why) or None,
            pulse_mono_ns=tuple(burst.at_ns for burst in receipt.bursts),
        )
        answer = await self._insist(lambda now: self._own.receive(said, now))
        if isinstance(answer, Duplicate) or (isinstance(answer, Settled) and answer.excess_pulses == 0):
            return None
        return f"receipt of grant {receipt.grant_no}: {answer}"

    async def ungranted(self, session_id: str | None, patient: str | None, pulses: int, at_ns: int) -> None:
        def write(now: Moment) -> None:
            self._own.ungranted(
                session_id=session_id, patient=patient, pulses=pulses, mono_ns=at_ns, how="device, without a command", moment=now
            )

        await self._insist(write)

    async def close_session(self, session_id: str, state: CloseState, why: str) -> Closed | Refused:
        return await self._insist(lambda now: self._own.close_session(session_id, state, why, now))

    async def note(self, who: str, what: str, patient: str | None = None, session_id: str | None = None) -> None:
        """Audit; losing one is logged, not fatal."""
        with contextlib.suppress(LedgerError):
            await self._ask(lambda now: self._own.note(Note(by=(who,), what=what), now, patient=patient, session_id=session_id))


def _tolerance_us(limits: Limits) -> int:
    return round(limits.clock_tolerance_s * 1_000_000)
