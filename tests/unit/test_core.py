"""The session running: what it hears of the hot process moves it only if it is of this very run, and the record keeps it anyway."""

import asyncio
import socket

import msgspec

from daemon import ipc
from daemon.alarms import Alarms
from daemon.core import Core
from daemon.messages import Step
from daemon.session_words import Pending
from tests.grant_chair import COURSE

RECEIPT = ipc.Receipt(
    run_id="this run",
    grant_no=7,
    train=1,
    pulses=0,
    confirmed=True,
    broken=True,
    why=("off_target",),
    first_ns=None,
    last_ns=None,
    bursts=(),
)


class Book:
    """Keeps the receipts that it is given."""

    def __init__(self) -> None:
        self.kept: list[ipc.Receipt] = []

    async def receive(self, receipt: ipc.Receipt, _session_id: str) -> None:
        self.kept.append(receipt)


def heard(receipt: ipc.Receipt) -> tuple[Core, Book]:
    """A session with one train granted, after it heard that receipt."""

    async def play() -> tuple[Core, Book]:
        (beats, far_beats), (orders, far_orders) = (socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2))
        book = Book()
        core = Core(
            ipc.Channel[ipc.HotBeat](beats, ipc.HotBeat),
            ipc.Channel[ipc.FromHotOrder](orders, ipc.FromHotOrder),
            book,  # type: ignore[arg-type]  # a record as far as a receipt knows it
            Alarms(lambda _alarm: None),
            lambda: None,
        )
        core.run_id = "this run"
        pending = Pending(grant_no=7, train=1, stage="granted", not_before_ns=1, expires_ns=2)
        core.state = msgspec.structs.replace(core.state, step=Step.DELIVER, course=COURSE, session_id="S", lease_token=1, pending=pending)
        core.hear(receipt)
        ledger = asyncio.create_task(core.run_ledger())
        await core.settled()
        ledger.cancel()
        for channel in (beats, far_beats, orders, far_orders):
            channel.close()
        return core, book

    return asyncio.run(play())


def test_a_receipt_of_another_run_is_kept_and_ends_no_train_of_this_one() -> None:
    earlier = msgspec.structs.replace(RECEIPT, run_id="an earlier run")
    core, book = heard(earlier)
    assert book.kept == [earlier]
    assert core.state.pending is not None
    assert core.state.step is Step.DELIVER


def test_a_receipt_of_this_run_is_kept_and_ends_its_train() -> None:
    core, book = heard(RECEIPT)
    assert book.kept == [RECEIPT]
    assert core.state.pending is None
