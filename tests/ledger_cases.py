"""A patient, a chair and a clock for tests of the ledger: every value has a default, and a test names the one it is about."""

from pathlib import Path
from typing import Any

import msgspec

from daemon.day import DoseReason
from daemon.ledger import Closed, CloseState, Intended, Intent, Moment, Opened, OpenRequest, Receipt, Refused, Settled
from daemon.ledger_store import Ledger
from daemon.limits import Limits
from daemon.witness import Witness

MONDAY_13_UTC_US = 1_772_456_400_000_000  # 2026-03-02 13:00 UTC
BOOT_NS = 5_000_000_000_000
TRAIN_NS = 10_000_000_000
LENGTH_NS = 1_840_000_000
LAST_POSSIBLE_US = 3_000_000 + LENGTH_NS // 1000  # of a train intended now: expiry and length
PULSES = 30

LIMITS = Limits(
    timezone="America/New_York",
    max_sessions_per_day=10,
    max_pulses_per_day=900,
    min_gap_s=900,
    rolling_window_h=23,
    max_sessions_rolling=10,
    max_pulses_rolling=900,
    max_course_sessions=50,
    max_treatment_days=5,
    clock_tolerance_s=2,
    max_intensity_pct_rmt=120,
    max_set_point_mso=100,
    session_resume_window_s=600,
    sha256="limits",
)


def at(seconds: float, *, boot_id: str = "boot-1", wall_ahead_s: float = 0.0) -> Moment:
    """So many seconds after Monday 13:00; `wall_ahead_s`: how far the wall clock was set forward since."""
    return Moment(
        utc_us=MONDAY_13_UTC_US + round((seconds + wall_ahead_s) * 1e6), mono_ns=BOOT_NS + round(seconds * 1e9), boot_id=boot_id
    )


def limits(**changes: Any) -> Limits:
    return msgspec.structs.replace(LIMITS, **changes)


def request(**changes: Any) -> OpenRequest:
    usual = OpenRequest(
        patient="P1",
        chair="chair-1",
        protocol="demo_itbs90",
        protocol_sha256="protocol",
        plan_sha256="plan",
        target_token="A",  # noqa: S106  # a target's blinded name
        planned_pulses=90,
        planned_trains=3,
        train_gap_ns=8_000_000_000,
        set_point_mso=54,
        rmt_mso=60,
        operator="operator-1",
        limits=LIMITS,
    )
    return msgspec.structs.replace(usual, **changes)


def intent(opened: Opened, train: int, moment: Moment, **changes: Any) -> Intent:
    """Train `train` (from 1), to begin one second from now."""
    usual = Intent(
        session_id=opened.session_id,
        lease_token=opened.lease_token,
        run_id="run-1",
        grant_no=train,
        train_no=train,
        pulses=PULSES,
        amplitude_pct=54,
        not_before_ns=moment.mono_ns + 1_000_000_000,
        expires_ns=moment.mono_ns + 3_000_000_000,
        length_ns=LENGTH_NS,
    )
    return msgspec.structs.replace(usual, **changes)


def receipt(asked: Intent, **changes: Any) -> Receipt:
    """The train as it was asked for, delivered whole and at its first moment."""
    usual = Receipt(
        session_id=asked.session_id,
        run_id=asked.run_id,
        grant_no=asked.grant_no,
        pulses=asked.pulses,
        confirmed=True,
        first_mono_ns=asked.not_before_ns,
        last_mono_ns=asked.not_before_ns + asked.length_ns,
        final=True,
    )
    return msgspec.structs.replace(usual, **changes)


def open_ledger(folder: Path, *, witness: Witness | None = None) -> Ledger:
    return Ledger.open(f"sqlite:///{folder / 'ledger.sqlite'}", witness=witness)


def opened(ledger: Ledger, moment: Moment, **changes: Any) -> Opened:
    answer = ledger.open_session(request(**changes), moment)
    assert isinstance(answer, Opened), answer
    return answer


def intended(ledger: Ledger, asked: Intent, moment: Moment) -> Intent:
    answer = ledger.intend(asked, LIMITS, moment)
    assert isinstance(answer, Intended), answer
    return asked


def reasons(answer: object) -> set[DoseReason]:
    assert isinstance(answer, Refused), answer
    return set(answer.reasons)


def given(ledger: Ledger, start_s: float, *, trains: int = 3, **changes: Any) -> str:
    """A session of whole trains, closed."""
    session = opened(ledger, at(start_s), **changes)
    for train in range(1, trains + 1):
        moment = at(start_s + 10 * train - 5)
        asked = intended(ledger, intent(session, train, moment), moment)
        assert isinstance(ledger.receive(receipt(asked), at(start_s + 10 * train)), Settled)
    state = CloseState.COMPLETE if trains == 3 else CloseState.PARTIAL
    ledger.close_session(session.session_id, state, "done", at(start_s + 10 * trains + 5))
    return session.session_id


def counted(ledger: Ledger) -> int:
    return sum(session.counted_pulses for session in ledger.doses().sessions.values())


def last_pulse_us(closed: object) -> int:
    assert isinstance(closed, Closed)
    assert closed.last_pulse_utc_us is not None
    return closed.last_pulse_utc_us
