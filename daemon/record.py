"""The ledger for a program that must not wait: one worker thread, questions in order, answers awaited.

What could not be written is tried again and never dropped; what cannot be asked is refused with LEDGER_UNAVAILABLE.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import structlog

from daemon import ipc
from daemon.config import Config
from daemon.day import DayVerdict, DoseReason
from daemon.ledger import (
    Closed,
    CloseState,
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
from daemon.ledger_store import Ledger
from daemon.limits import Limits
from daemon.session_words import Pending
from daemon.treatment import Treatment
from daemon.witness import Witness

RETRY_S = 0.5
T = TypeVar("T")
UNAVAILABLE = Refused(reasons=(DoseReason.LEDGER_UNAVAILABLE,), earliest_utc_us=None)
_log = structlog.get_logger()


def boot_id() -> str:
    """This boot of the host: monotonic times compare within it alone."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def moment(boot: str) -> Moment:
    return Moment(utc_us=time.time_ns() // 1000, mono_ns=time.monotonic_ns(), boot_id=boot)


class Record:
    """The chair's dose record. `on_trouble(text | None)` is told when it is out of reach, and None when it is back."""

    def __init__(self, ledger: Ledger, chair: str, on_trouble: Callable[[str | None], None]) -> None:
        self._ledger, self._chair, self._on_trouble = ledger, chair, on_trouble
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._boot = boot_id()

    @classmethod
    def open(cls, config: Config, on_trouble: Callable[[str | None], None]) -> "Record":
        """Raises LedgerUnavailable."""
        file = Path(config.ledger.url.removeprefix("sqlite:///"))
        witness = Witness(file.with_name(f"{file.name}.{config.chair.name}.witness"))
        return cls(Ledger.open(config.ledger.url, witness=witness), config.chair.name, on_trouble)

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        self._ledger.close()

    async def _ask(self, question: Callable[[Moment], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: question(moment(self._boot)))

    async def _insist(self, question: Callable[[Moment], T]) -> T:
        """Until it is written: a dose that cannot be written down now is written down later."""
        troubled = False
        while True:
            try:
                answer = await self._ask(question)
            except LedgerError as error:
                _log.error("ledger_unavailable", what=str(error))
                self._on_trouble(str(error))
                troubled = True
                await asyncio.sleep(RETRY_S)
                continue
            if troubled:
                self._on_trouble(None)
            return answer

    async def recover(self) -> tuple[Closed, ...]:
        """Close what an earlier run of this chair left open. Raises LedgerError."""
        return await self._ask(lambda now: self._ledger.recover(self._chair, now))

    async def rewound(self) -> bool:
        return await self._ask(lambda _now: self._ledger.rewound() is not None)

    async def verdict(self, patient: str, pulses: int, limits: Limits) -> DayVerdict:
        """Raises LedgerError."""
        return await self._ask(lambda now: self._ledger.verdict(patient, pulses, limits, now))

    async def open_session(self, treatment: Treatment, operator: str, device_serial: str | None) -> Opened | Refused:
        plan = treatment.opened.plan
        request = OpenRequest(
            patient=plan.patient,
            chair=self._chair,
            protocol=treatment.protocol.id,
            protocol_sha256=treatment.protocol.sha256,
            plan_sha256=treatment.opened.sha256,
            target_token=plan.target.token,
            planned_pulses=treatment.course.pulses,
            planned_trains=treatment.course.trains,
            train_gap_ns=treatment.course.pace.train_gap_ns,
            set_point_mso=plan.dose.set_point_mso,
            rmt_mso=plan.dose.rmt_mso,
            operator=operator,
            limits=treatment.limits,
            device_serial=device_serial,
        )
        return await self._or_refuse(lambda now: self._ledger.open_session(request, now))

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
        return await self._or_refuse(lambda now: self._ledger.intend(intent, treatment.limits, now))

    async def _or_refuse(self, question: Callable[[Moment], T | Refused]) -> T | Refused:
        try:
            return await self._ask(question)
        except LedgerError as error:
            _log.error("ledger_unavailable", what=str(error))
            return UNAVAILABLE

    async def renew(self, session_id: str, token: int) -> bool:
        try:
            return await self._ask(lambda now: self._ledger.renew(session_id, token, now))
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
        answer = await self._insist(lambda now: self._ledger.receive(said, now))
        if isinstance(answer, Settled) and answer.excess_pulses == 0:
            return None
        return f"receipt of grant {receipt.grant_no}: {answer}"

    async def ungranted(self, session_id: str | None, patient: str | None, pulses: int, at_ns: int) -> None:
        def write(now: Moment) -> int:
            return self._ledger.ungranted(
                session_id=session_id, patient=patient, pulses=pulses, mono_ns=at_ns, how="device, without a command", moment=now
            )

        await self._insist(write)

    async def close_session(self, session_id: str, state: CloseState, why: str) -> Closed | Refused:
        return await self._insist(lambda now: self._ledger.close_session(session_id, state, why, now))

    async def note(self, who: str, what: str, patient: str | None = None, session_id: str | None = None) -> None:
        """Audit; losing one is logged, not fatal."""
        try:
            await self._ask(lambda now: self._ledger.note(Note(by=(who,), what=what), now, patient=patient, session_id=session_id))
        except LedgerError as error:
            _log.error("ledger_unavailable", what=str(error))
