"""The operator of a chair under trial: keys at the daemon's own desk, pressed as soon as they may be. Never gives up.

Runs on the daemon's loop. Patients are taken in turn; one who is refused makes room for the next.
"""

import asyncio
import itertools
import time
import traceback
from collections.abc import Iterable

from daemon.app import App
from daemon.bus_requests import Call
from daemon.messages import METHODS, Error, ErrorCode, Message, NameParams, NoParams, OpenPlanParams, Params, Step
from drivers.values import StimState
from tests.campaign.board import Board

PRESS_S = 0.02
KEEP_NS = 1_000_000_000
LAST_REFUSAL = 40  # one to two seconds of knocking
NAME = "campaign"
NEXT_KEY = {Step.ARMED: "start", Step.HOLD: "resume", Step.STOPPED: "arm"}


class Operator:
    def __init__(self, app: App, patients: Iterable[str], board: Board) -> None:
        self._app, self._board = app, board
        self._patients = itertools.cycle(patients)
        self._numbers = itertools.count()
        self._keep_ns = self._refusals = 0

    async def work(self) -> None:
        """Until the daemon ends. What fails here is the campaign's own fault and is put on the board."""
        try:
            while True:
                await asyncio.sleep(PRESS_S)
                if self._app.core.run_id is not None and self._app.registrar.aim() is not None:
                    await self._press()
        except Exception:
            self._board["operator_failed"] = 1
            traceback.print_exc()
            raise

    async def _press(self) -> None:
        if not self._board["ready_ns"]:
            self._board["ready_ns"] = time.monotonic_ns()
            self._app.memory.remember_hardware_stop(time.time())
        await self._keep()
        step = self._app.core.state.step
        if step in (Step.PLAN, Step.REGISTER, Step.DONE):
            await self._open()
        elif step is Step.AIM:
            answer = await self._ask("arm")
            if isinstance(answer, Error) and answer.code is ErrorCode.DOSE_REFUSED:
                await self._next_patient()
        elif step is Step.ARMED and not self._is_charged():
            return
        elif step in NEXT_KEY:
            await self._ask(NEXT_KEY[step])
        else:
            self._begun()

    def _begun(self) -> None:
        if not self._board["begun_ns"]:
            self._board["begun_ns"] = time.monotonic_ns()

    async def _next_patient(self) -> None:
        """Once nobody has been let in for long, there is nothing more to wait for."""
        self._refusals += 1
        if self._refusals > LAST_REFUSAL:
            self._begun()
        await self._open()

    def _is_charged(self) -> bool:
        stim = self._app.telling.stim
        return stim is not None and stim.state is StimState.READY

    async def _keep(self) -> None:
        if self._app.commands.operator is None:
            await self._ask("take_lease", NameParams(name=NAME))
        elif time.monotonic_ns() > self._keep_ns:
            self._keep_ns = time.monotonic_ns() + KEEP_NS
            await self._ask("keep_lease")

    async def _open(self) -> None:
        await self._ask("open_plan", OpenPlanParams(path=next(self._patients)))

    async def _ask(self, method: str, params: Params | None = None) -> Message:
        rev = self._app.core.state.rev if METHODS[method].changes else None
        call = Call(
            client=NAME, request_id=str(next(self._numbers)), method=method, params=params or NoParams(), state_rev=rev
        )
        return await self._app.commands.dispatch(call)
