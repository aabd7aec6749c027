"""The dose record on the daemon's loop: told when the shared ledger is lost, when the journal is in use, and when it is back."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest

from daemon import core
from daemon.alarms import Alarms
from daemon.core import Core
from daemon.host_clock import ClockFile
from daemon.ledger import Intended, Intent, Opened, Refused
from daemon.ledger_journal import Journal
from daemon.record import UNAVAILABLE, Record
from tests.chairs import chair
from tests.cut_cable import Cable
from tests.engines import Place
from tests.ledger_cases import LENGTH_NS, LIMITS, counted, request


class Room:
    """A record over a cable that can be cut, and what was told about it."""

    def __init__(self, place: Place, *, journal: bool) -> None:
        self.ledger = place.open()
        self.cable = Cable(self.ledger)
        self.told: list[str | None] = []
        file = Journal(place.folder / "journal") if journal else None
        clock = ClockFile(place.folder / "clock", trusts_itself=True)
        self.record = Record(self.ledger, file, clock, chair(place.folder / "chair"), self.told.append)

    async def open(self) -> Opened | Refused:
        return await self.record.open_request(request(chair=self.record.chair))

    async def intend(self, session: Opened, number: int) -> Intent:
        now_ns = time.monotonic_ns()
        asked = Intent(
            session_id=session.session_id,
            lease_token=session.lease_token,
            run_id="run-1",
            grant_no=number,
            train_no=number,
            pulses=30,
            amplitude_pct=54,
            not_before_ns=now_ns + 20_000_000_000 * number,
            expires_ns=now_ns + 20_000_000_000 * number + 1_000_000_000,
            length_ns=LENGTH_NS,
        )
        assert isinstance(await self.record.intend_train(asked, LIMITS), Intended)
        return asked


@pytest.fixture
def room(place: Place) -> Iterator[Room]:
    room = Room(place, journal=True)
    yield room
    room.record.close()


def test_people_are_told_while_the_journal_is_in_use_and_when_it_is_settled(room: Room) -> None:
    async def story() -> None:
        session = await room.open()
        assert isinstance(session, Opened)
        room.cable.state = "cut"
        await room.intend(session, 1)
        assert room.told[-1] is not None
        assert "journal" in room.told[-1]
        assert await room.record.renew(session.session_id, session.lease_token)
        room.cable.state = "whole"
        await room.record.settle()
        assert room.told[-1] is None
        assert len(room.told) == 2

    asyncio.run(story())
    assert counted(room.ledger) == 30


def test_nothing_opens_while_the_ledger_is_lost(room: Room) -> None:
    async def story() -> None:
        room.cable.state = "cut"
        assert await room.open() == UNAVAILABLE
        assert room.told[-1] is not None
        room.cable.state = "whole"
        assert isinstance(await room.open(), Opened)
        assert room.told[-1] is None

    asyncio.run(story())


def test_journal_waits_on_when_settling_fails(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        session = await room.open()
        assert isinstance(session, Opened)
        room.cable.state = "cut"
        await room.intend(session, 1)
        await room.record.settle()  # it can be read, and not be written
        assert room.told[-1] is not None
        with monkeypatch.context() as patch:
            patch.setattr(room.ledger, "answers", lambda: False)
            room.cable.state = "whole"
            await room.record.settle()
            assert room.told[-1] is not None
        await room.record.settle()
        assert room.told[-1] is None

    asyncio.run(story())


def test_ledger_on_the_chairs_own_disk_grants_nothing_while_it_is_lost(place: Place) -> None:
    room = Room(place, journal=False)

    async def story() -> None:
        session = await room.open()
        assert isinstance(session, Opened)
        asked = await room.intend(session, 1)
        room.cable.state = "cut"
        again = msgspec.structs.replace(asked, grant_no=2)
        assert await room.record.intend_train(again, LIMITS) == UNAVAILABLE
        assert not await room.record.renew(session.session_id, session.lease_token)

    asyncio.run(story())
    room.record.close()


class Waiting:
    """A record of which nothing is asked but to settle."""

    def __init__(self) -> None:
        self.settled = asyncio.Event()

    async def settle(self) -> None:
        self.settled.set()


def test_what_waits_in_the_journal_is_brought_in_although_no_session_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "LEASE_RENEW_S", 0.0)

    async def story() -> None:
        record, nobody = Waiting(), cast(Any, None)
        alarms = Alarms(lambda _alarm: None)
        idle = Core(nobody, nobody, cast(Record, record), alarms, lambda: None)
        task = asyncio.create_task(idle.run_lease())
        await asyncio.wait_for(record.settled.wait(), 10.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())
