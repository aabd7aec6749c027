"""The real daemon process with an operator at its desk, a registration that is known beforehand, and traps if there are any.

Ledger, session, core and channels are untouched; only what a person would do at the head is left out.
"""

import asyncio
from collections.abc import Mapping

import daemon.app
import daemon.session
from daemon.app import App
from daemon.ipc import Aim
from daemon.registrar import Registrar
from daemon.treatment import Treatment, dosed_by, open_treatment
from tests.campaign.board import Board, set_clock_by
from tests.campaign.hot_process import put_everywhere
from tests.campaign.operator import Operator
from tests.campaign.ordeal import DAEMON_PLACES, Ordeal
from tests.campaign.traps import Springer, set_in_daemon

QUICK_LINGER_S = 0.05  # nobody reads the alarms
QUICK_CHARGE_NS = 300_000_000  # the simulator charges at once


def run_daemon(argv: list[str], board: Board, ordeal: Ordeal, treatments: Mapping[str, Treatment], aim: Aim) -> int:
    """With `aim` for a registration."""
    put_everywhere("daemon", daemon.app.LINGER_S, "LINGER_S", QUICK_LINGER_S)
    put_everywhere("daemon", daemon.session.CHARGE_ALLOWANCE_NS, "CHARGE_ALLOWANCE_NS", QUICK_CHARGE_NS)
    Registrar.aim = lambda _self: aim
    if ordeal.trap is not None and ordeal.trap.where in DAEMON_PLACES:
        set_in_daemon(Springer(ordeal.trap, board, "hot_pid"))
    return run_with_operator(argv, board, treatments)


def run_with_operator(argv: list[str], board: Board, treatments: Mapping[str, Treatment]) -> int:
    """`open_plan` takes a patient's name for a path."""
    set_clock_by(board)
    put_everywhere("daemon", open_treatment, "open_treatment", lambda path, _config: treatments[path.name])
    put_everywhere("daemon", dosed_by, "dosed_by", lambda treatment, _config, _record: treatment)  # the course is the campaign's own
    Registrar.begin = lambda _self, _treatment: True
    real_run = App.run

    async def run(self: App) -> int:
        operator = asyncio.create_task(Operator(self, tuple(treatments), board).work())
        try:
            return await real_run(self)
        finally:
            operator.cancel()

    App.run = run
    return daemon.app.main(argv)
