"""What each command about the motor threshold refuses and does, with everything around it played."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from daemon.bus_requests import Call
from daemon.config import Config
from daemon.core import Core
from daemon.day import DoseReason
from daemon.ledger import LedgerError, Opened, Refused
from daemon.messages import METHODS, Done, Error, ErrorCode, Message, Step
from daemon.mt_chair import Step as SearchStep
from daemon.mt_commands import MtCommands
from daemon.mt_words import Phase
from daemon.record import Record
from daemon.session import COMMANDS
from daemon.session_words import Session
from daemon.telling import Telling
from tests.chairs import chair
from tests.mt_cases import record
from tests.unit.test_mt_core import Chair

OPEN = {"patient": "P001", "muscle": "APB", "side": "left"}
NOT_READY = Error(code=ErrorCode.DEVICE_NOT_READY, message="not in standby", remedy="Look.")
UNTESTED = Error(code=ErrorCode.HARDWARE_STOP_UNTESTED, message="not tested", remedy="Press it.")


class Desk:
    """Commands over a search whose hot process and record are the test's."""

    def __init__(self, chair: Chair, config: Config) -> None:
        self.chair = chair
        self.operator: str | None = "A"
        self.is_simulated = True
        self.unready: Error | None = None
        self.untested: Error | None = None
        self.session = Session(rev=9)
        core = SimpleNamespace(until=self._until)
        self.core = core
        record = cast(Record, chair.book)
        telling = SimpleNamespace(stim=None, mri_from_coil=lambda: None)
        core.state = self.session
        self.commands = MtCommands(config, cast(Core, core), chair.core, record, cast(Telling, telling), self)

    def simulated(self) -> bool:
        return self.is_simulated

    def stimulator_unready(self) -> Error | None:
        return self.unready

    def stop_untested(self) -> Error | None:
        return self.untested

    async def _until(self, holds: Callable[[], bool], _timeout_s: float) -> bool:
        await self.chair.until(holds)
        return True

    async def call(self, method: str, **params: object) -> Message | Error:
        converted = msgspec.convert(params, METHODS[method].params)
        call = Call(method=method, params=converted, state_rev=9, client="c", request_id="1")
        return await self.commands.does[method](call)

    async def open_and_arm(self) -> None:
        """As far as the first pulse; the device arms at once."""
        assert isinstance(await self.call("mt_open", **OPEN), Done)
        arming = asyncio.create_task(self.call("mt_arm"))
        await self.chair.until(lambda: self.chair.step is SearchStep.ARMING)
        (arm,) = self.chair.orders.drain()
        self.chair.confirm_arm(arm)
        assert isinstance(await arming, Done)


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Callable[[Desk], Awaitable[None]]], None]:
    config = chair(tmp_path, stimulator="max_amplitude_pct_mso = 80")

    def run(act: Callable[[Desk], Awaitable[None]]) -> None:
        async def played() -> None:
            async with Chair() as at:
                await act(Desk(at, config))

        asyncio.run(played())

    return run


Play = Callable[[Callable[[Desk], Awaitable[None]]], None]


async def refused(desk: Desk, code: ErrorCode, method: str, **params: object) -> Error:
    answer = await desk.call(method, **params)
    assert isinstance(answer, Error), answer
    assert answer.code is code
    return answer


def test_a_search_is_opened_with_the_lowest_of_all_amplitudes_and_the_sites_interval(play: Play) -> None:
    async def act(desk: Desk) -> None:
        assert isinstance(await desk.call("mt_open", **OPEN, most_mso=100), Done)
        search = desk.chair.core.search
        assert search is not None
        assert search.setup.most_mso == 80, "the chair's ceiling"
        assert search.setup.min_interval_ns == 5_000_000_000
        assert (search.setup.operator, search.setup.patient) == ("A", "P001")

    play(act)


def test_no_search_while_another_or_a_treatment_holds_the_chair(play: Play) -> None:
    async def act(desk: Desk) -> None:
        desk.core.state = msgspec.structs.replace(desk.session, session_id="S")
        await refused(desk, ErrorCode.WRONG_STEP, "mt_open", **OPEN)
        for step in set(Step) - {Step.PLAN, Step.REGISTER, Step.AIM, Step.DONE}:
            desk.core.state = msgspec.structs.replace(desk.session, step=step)
            await refused(desk, ErrorCode.WRONG_STEP, "mt_open", **OPEN)
        desk.core.state = desk.session
        assert isinstance(await desk.call("mt_open", **OPEN), Done)
        await refused(desk, ErrorCode.WRONG_STEP, "mt_open", **OPEN)

    play(act)


def test_a_treatments_steps_and_a_searchs_never_meet_in_the_table_of_commands() -> None:
    held = {Step.ARMED, Step.DELIVER, Step.HOLD, Step.STOPPED}
    for method in ("mt_open", "mt_arm", "mt_hotspot", "mt_confirm"):
        assert COMMANDS[method].isdisjoint(held)


def test_figures_for_simulation_alone_are_refused_on_real_devices(play: Play) -> None:
    async def act(desk: Desk) -> None:
        desk.is_simulated = False
        await refused(desk, ErrorCode.SIMULATION_ONLY, "mt_open", **OPEN)

    play(act)


def test_emg_is_refused_where_no_stream_is_at_hand(play: Play) -> None:
    async def act(desk: Desk) -> None:
        error = await refused(desk, ErrorCode.BAD_PARAMS, "mt_open", **OPEN, evidence="emg")
        assert "[emg]" in error.remedy

    play(act)


@pytest.mark.parametrize("changes", [{"patient": " "}, {"muscle": ""}, {"planned_pulses": 0}, {"step_mso": 3}, {"most_mso": 0}])
def test_a_search_that_contradicts_itself_is_refused_and_none_is_open(play: Play, changes: dict[str, Any]) -> None:
    async def act(desk: Desk) -> None:
        answer = await desk.call("mt_open", **(OPEN | changes))
        assert isinstance(answer, Error)
        assert desk.chair.core.search is None

    play(act)


def test_a_record_out_of_reach_opens_nothing(play: Play) -> None:
    async def act(desk: Desk) -> None:
        async def away(_patient: str) -> None:
            raise LedgerError("no connection", "ledger", "Wait.")

        desk.chair.book.latest_threshold = away  # type: ignore[method-assign]
        error = await refused(desk, ErrorCode.LEDGER_UNAVAILABLE, "mt_open", **OPEN)
        assert error.retryable

    play(act)


def test_a_day_whose_pulses_are_used_up_is_refused_by_name(play: Play) -> None:
    async def act(desk: Desk) -> None:
        async def full(_request: object) -> Opened | Refused:
            return Refused(reasons=(DoseReason.MT_PULSES,), earliest_utc_us=None)

        desk.chair.book.open_request = full  # type: ignore[method-assign, assignment]
        error = await refused(desk, ErrorCode.DOSE_REFUSED, "mt_open", **OPEN)
        assert error.details["reasons"] == ["MT_PULSES"]
        assert not desk.chair.core.is_open

    play(act)


@pytest.mark.parametrize("name", ["unready", "untested"])
def test_nothing_is_armed_over_a_device_that_is_not_in_standby_or_a_stop_that_was_not_tested(play: Play, name: str) -> None:
    error = {"unready": NOT_READY, "untested": UNTESTED}[name]

    async def act(desk: Desk) -> None:
        await desk.call("mt_open", **OPEN)
        setattr(desk, name, error)
        assert await desk.call("mt_arm") == error
        assert desk.chair.orders.drain() == []

    play(act)


def test_nothing_is_armed_once_a_limits_file_appeared_or_changed(play: Play, tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        await desk.call("mt_open", **OPEN)
        (tmp_path / "site" / "limits.toml").write_text("max_mt_pulses_per_day = 10\n")
        error = await refused(desk, ErrorCode.DOSE_REFUSED, "mt_arm")
        assert error.details["reasons"] == ["LIMITS_INVALID"]
        assert desk.chair.orders.drain() == []

    play(act)


def test_a_pulse_is_given_for_the_next_number_alone_and_only_when_armed(play: Play) -> None:
    async def act(desk: Desk) -> None:
        await refused(desk, ErrorCode.WRONG_STEP, "mt_pulse", number=1, amplitude_mso=40)
        await desk.open_and_arm()
        await refused(desk, ErrorCode.STALE_STATE, "mt_pulse", number=2, amplitude_mso=40)
        await refused(desk, ErrorCode.WRONG_STEP, "mt_pulse", number=1, amplitude_mso=51)
        assert isinstance(await desk.call("mt_pulse", number=1, amplitude_mso=40), Done)
        await refused(desk, ErrorCode.STALE_STATE, "mt_pulse", number=1, amplitude_mso=40)
        grant = await desk.chair.granted()
        assert grant.settings.amplitude_pct_mso == 40

    play(act)


def test_a_pulse_is_not_given_before_the_arm(play: Play) -> None:
    async def act(desk: Desk) -> None:
        await desk.call("mt_open", **OPEN)
        await refused(desk, ErrorCode.WRONG_STEP, "mt_pulse", number=1, amplitude_mso=40)

    play(act)


def test_an_answer_that_nobody_awaits_and_a_hotspot_without_an_answer_change_nothing(play: Play) -> None:
    async def act(desk: Desk) -> None:
        await desk.open_and_arm()
        await refused(desk, ErrorCode.WRONG_STEP, "mt_answer", number=1, responded=True)
        await refused(desk, ErrorCode.WRONG_STEP, "mt_hotspot")
        await refused(desk, ErrorCode.WRONG_STEP, "mt_confirm")
        assert desk.chair.phase is Phase.HOTSPOT

    play(act)


def test_close_ends_the_search_and_may_be_repeated(play: Play) -> None:
    async def act(desk: Desk) -> None:
        assert isinstance(await desk.call("mt_close"), Done)
        await desk.open_and_arm()
        assert isinstance(await desk.call("mt_close"), Done)
        assert desk.chair.step is SearchStep.CLOSED
        assert desk.chair.book.all("save") == []
        assert isinstance(await desk.call("mt_open", **OPEN), Done)

    play(act)


def test_the_last_threshold_of_the_patient_bounds_the_first_pulse(play: Play) -> None:
    async def act(desk: Desk) -> None:
        desk.chair.book.last = record(value_mso=62.0, device="x100-option", coil_serial="type 60")
        await desk.open_and_arm()
        await refused(desk, ErrorCode.WRONG_STEP, "mt_pulse", number=1, amplitude_mso=63)
        assert isinstance(await desk.call("mt_pulse", number=1, amplitude_mso=62), Done)

    play(act)
