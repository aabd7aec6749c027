"""A daemon at work, for the hot process to have beside it: its own bus and telling, commits to a ledger, a registration each second.

Made of the daemon's own parts. Started by `bench.load` with the hot process's telemetry as an inherited descriptor.
"""

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path

from calibration.registration import RegistrationLimits, register
from daemon import ipc
from daemon.alarms import utc_text
from daemon.bus import Bus
from daemon.bus_requests import Call
from daemon.config import NetworkSection
from daemon.ledger import Note
from daemon.ledger_store import Ledger
from daemon.messages import Done, Error, Message
from daemon.record import boot_id, moment
from daemon.telling import Telling
from daemon.witness import Witness
from tests.swept_head import TARGET_IN_MRI_MM, marked, scalp, sweep

COMMIT_S, FIT_S = 0.1, 1.0
COMMANDS, TELEMETRY = "commands.ipc", "telemetry.ipc"
EXPECTED_ERROR_MM = 5.0


class Work:
    """What a daemon does during a session, each part at least as often as a real one."""

    def __init__(self, folder: Path, news_fd: int) -> None:
        self._news: ipc.Channel[ipc.FromHotNews] = ipc.channel_from_fd(news_fd, ipc.FromHotNews)
        self._bus = Bus(
            NetworkSection(commands=f"ipc://{folder / COMMANDS}", telemetry=f"ipc://{folder / TELEMETRY}"),
            chair="bench",
            version="0",
            epoch=1,
            clock=time.monotonic_ns,
            utc=lambda: utc_text(time.time()),
            state_rev=lambda: 0,
            dispatch=_dispatch,
        )
        self._telling = Telling(self._bus, "bench", "ndi")
        self._ledger_file = folder / "ledger.sqlite"

    async def run(self) -> None:
        self._bus.bind()
        asyncio.get_running_loop().add_reader(self._news.fileno(), self._on_news)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._bus.run())
            tasks.create_task(self._commit())
            tasks.create_task(self._fit())

    def _on_news(self) -> None:
        now_ns = time.monotonic_ns()
        for item in self._news.drain():
            match item:
                case ipc.FrameNews():
                    self._telling.on_frame(item, now_ns)
                case ipc.StimNews():
                    self._telling.on_stim(item, now_ns)
                case ipc.TrackerNews():
                    self._telling.on_tracker(item)

    async def _commit(self) -> None:
        boot = boot_id()

        def forever() -> None:
            ledger = Ledger.open(f"sqlite:///{self._ledger_file}", witness=Witness(self._ledger_file.with_suffix(".witness")))
            while True:
                ledger.note(Note(by=("bench",), what="at work"), moment(boot))
                time.sleep(COMMIT_S)

        await asyncio.to_thread(forever)

    async def _fit(self) -> None:
        swept, head = sweep(1), scalp()
        limits = RegistrationLimits(expected_error_mm=EXPECTED_ERROR_MM)
        while True:
            await asyncio.to_thread(
                register, swept.touched, marked(), swept.points_in_head_mm, head, target_in_mri_mm=TARGET_IN_MRI_MM, limits=limits
            )
            await asyncio.sleep(FIT_S)


async def _dispatch(_call: Call) -> Message | Error:
    return Done(state_rev=0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.working_daemon")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--news-fd", type=int, required=True)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    asyncio.run(Work(given.dir, given.news_fd).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
