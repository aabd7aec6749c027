"""The chair's record before a session: a suspect clock and what speaks against it from outside refuse; a confirmed clock opens it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.config import Config, chair_file
from daemon.day import DoseReason
from daemon.host_clock import ClockFile, boot_id, moment
from daemon.ledger import Moment, Opened, Refused
from daemon.ledger_store import Ledger
from daemon.record import Record
from daemon.witness import Witness
from tests.chairs import chair
from tests.ledger_cases import request


def clock_of(config: Config, synchronised: bool | None) -> ClockFile:
    return ClockFile(chair_file(config, "clock"), trusts_itself=False, synchronised=lambda: synchronised)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return chair(tmp_path)


@pytest.fixture
def record(config: Config) -> Iterator[Record]:
    """A chair whose host has no time source in step."""
    ledger = Ledger.open(config.ledger.url, witness=Witness(chair_file(config, "witness")))
    record = Record(ledger, None, clock_of(config, False), config, [].append)
    yield record
    record.close()


def opened(record: Record, *against: DoseReason) -> Opened | Refused:
    return asyncio.run(record.open_request(request(chair="simulated-chair"), lambda _now: against))


def test_no_session_starts_under_a_clock_that_nobody_vouches_for(record: Record) -> None:
    assert opened(record) == Refused(reasons=(DoseReason.CLOCK_SUSPECT,), earliest_utc_us=None)
    assert asyncio.run(record.look_at_clock()) is not None


def test_session_starts_once_two_people_confirmed_the_clock(record: Record, config: Config) -> None:
    opened(record)
    clock_of(config, False).confirm(moment(boot_id()))
    assert isinstance(opened(record), Opened)
    assert asyncio.run(record.look_at_clock()) is None


def test_clock_that_was_stepped_while_the_daemon_was_away_starts_nothing(record: Record, config: Config) -> None:
    now = moment(boot_id())
    clock_of(config, True).confirm(Moment(utc_us=now.utc_us - 3_600_000_000, mono_ns=now.mono_ns, boot_id=now.boot_id))
    assert opened(record) == Refused(reasons=(DoseReason.CLOCK_SUSPECT,), earliest_utc_us=None)


def test_what_speaks_against_a_session_from_outside_refuses_it(record: Record, config: Config) -> None:
    clock_of(config, True).confirm(moment(boot_id()))
    assert opened(record, DoseReason.MT_STALE) == Refused(reasons=(DoseReason.MT_STALE,), earliest_utc_us=None)
    assert isinstance(opened(record), Opened)
