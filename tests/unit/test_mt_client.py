"""`atmsd mt` as a program against a bus that answers: what it sends for which word, that a stop waits for nothing, what it shows."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest

from clients.mt import headline, screen
from clients.mt_ears import Ears
from daemon.bus import Call
from daemon.messages import (
    Done,
    Error,
    ErrorCode,
    Heartbeat,
    Message,
    MtAnswerParams,
    MtBody,
    MtOpenParams,
    MtPulseParams,
    MtTrial,
    Step,
    StopResult,
)
from tests.running_bus import DEADLINE_S, RunningBus

BEAT = Heartbeat(state_rev=1, step=Step.PLAN, chair="test", operator="A", hot_age_ms=None)
OPEN = MtBody(
    step="open",
    phase="hotspot",
    patient="P1",
    method="pest",
    evidence="visual",
    pulses_given=0,
    pulses_planned=60,
    next_number=1,
    highest_next_mso=50,
)
ARMED = msgspec.structs.replace(OPEN, step="armed")
ASKING = msgspec.structs.replace(
    ARMED,
    phase="hunt",
    waiting="answer",
    waiting_number=3,
    amplitude_mso=47,
    pulses_given=3,
    next_number=4,
    trials=(MtTrial(amplitude_mso=50, responded=True), MtTrial(amplitude_mso=22, responded=False)),
    estimate_mso=46.2,
    interval_mso=(43.3, 49.6),
)
SAVED = msgspec.structs.replace(ASKING, step="closed", phase="saved", waiting=None, waiting_number=None, threshold_mso=46.2)


async def good(call: Call) -> Message | Error:
    return StopResult(state_rev=1, disarm_confirmed=True) if call.method == "stop" else Done(state_rev=1)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        os.sched_yield()


@contextmanager
def client(bus: RunningBus, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The program with words on its standard input, killed at the end if it still lives."""
    command = [sys.executable, "-m", "clients.mt", "--plain", "--patient", "P1", "--muscle", "APB", "--side", "left", "--operator", "A"]
    command += ["--commands", bus.commands, "--telemetry", bus.telemetry, *options]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as child:  # type: ignore[call-overload]
        try:
            yield child
        finally:
            child.kill()


def say(child: subprocess.Popen[str], *words: str) -> None:
    assert child.stdin is not None
    child.stdin.write("".join(f"{word}\n" for word in words))
    child.stdin.flush()


def publish(bus: RunningBus, body: MtBody) -> None:
    bus.on_loop(lambda: bus.bus.publish("v1/hb", BEAT))
    bus.on_loop(lambda: bus.bus.publish("v1/mt", body))


def methods(bus: RunningBus) -> list[str]:
    return [call.method for call in bus.calls if call.method != "keep_lease"]


def last(bus: RunningBus, method: str) -> Call:
    until(lambda: method in methods(bus))
    return next(call for call in reversed(bus.calls) if call.method == method)


def test_a_whole_search_by_words_is_a_command_for_each_and_ends_with_zero_when_it_is_saved() -> None:
    with RunningBus(good) as bus, client(bus, "--most", "70", "--method", "bayes") as child:
        opened = last(bus, "mt_open").params
        assert isinstance(opened, MtOpenParams)
        assert (opened.patient, opened.procedure, opened.most_mso, opened.evidence) == ("P1", "bayes", 70, "visual")
        publish(bus, ARMED)
        assert child.stdout is not None
        assert json.loads(child.stdout.readline())["step"] == "armed"
        say(child, "arm", "pulse 45")
        pulse = last(bus, "mt_pulse").params
        assert isinstance(pulse, MtPulseParams)
        assert (pulse.number, pulse.amplitude_mso) == (1, 45)
        say(child, "hotspot")
        last(bus, "mt_hotspot")
        publish(bus, ASKING)
        assert json.loads(child.stdout.readline())["waiting_number"] == 3
        say(child, "no")
        answer = last(bus, "mt_answer").params
        assert isinstance(answer, MtAnswerParams)
        assert (answer.number, answer.responded) == (3, False)
        say(child, "confirm")
        last(bus, "mt_confirm")
        publish(bus, SAVED)
        assert child.wait(DEADLINE_S) == 0
        assert methods(bus) == ["take_lease", "mt_open", "mt_arm", "mt_pulse", "mt_hotspot", "mt_answer", "mt_confirm", "release_lease"]


def test_a_stop_waits_for_no_other_command() -> None:
    stopped = asyncio.Event()

    async def arming_for_ever(call: Call) -> Message | Error:
        if call.method == "mt_arm":
            await stopped.wait()
        if call.method == "stop":
            stopped.set()
        return await good(call)

    with RunningBus(arming_for_ever) as bus, client(bus) as child:
        last(bus, "mt_open")
        publish(bus, OPEN)
        say(child, "arm")
        last(bus, "mt_arm")
        say(child, "stop")
        last(bus, "stop")
        assert child.stdout is not None
        while "STOPPED" not in (line := child.stdout.readline()):
            assert line, "the stop was not told"


def test_an_ended_input_closes_the_search_and_leaves_with_one() -> None:
    with RunningBus(good) as bus, client(bus) as child:
        last(bus, "mt_open")
        assert child.stdin is not None
        child.stdin.close()
        last(bus, "mt_close")
        assert child.wait(DEADLINE_S) == 1


def test_a_refusal_is_one_line_and_the_search_goes_on() -> None:
    async def refuses_pulses(call: Call) -> Message | Error:
        if call.method == "mt_pulse":
            return Error(code=ErrorCode.WRONG_STEP, message="the next pulse may have 1 to 50 % of output", remedy="Read v1/mt.")
        return await good(call)

    with RunningBus(refuses_pulses) as bus, client(bus) as child:
        last(bus, "mt_open")
        publish(bus, ARMED)
        assert child.stdout is not None
        child.stdout.readline()
        say(child, "pulse 90", "fly", "hotspot")
        assert "1 to 50 %" in child.stdout.readline()
        assert "'fly' is no act of this search" in child.stdout.readline()
        last(bus, "mt_hotspot")


def test_a_search_that_may_not_be_opened_is_one_line_and_exit_one() -> None:
    async def refuses(call: Call) -> Message | Error:
        if call.method == "mt_open":
            return Error(code=ErrorCode.DOSE_REFUSED, message="MT_PULSES: all of today's are used", remedy="Tomorrow.")
        return await good(call)

    with RunningBus(refuses) as bus, client(bus) as child:
        assert child.wait(DEADLINE_S) == 1
        assert child.stderr is not None
        assert child.stderr.read() == "atmsd mt: mt_open: DOSE_REFUSED: MT_PULSES: all of today's are used. Tomorrow.\n"


@pytest.mark.parametrize("options", [["--side", "top"], ["--method", "guess"], ["--pulses", "many"]])
def test_words_that_are_none_are_bad_usage(options: list[str]) -> None:
    words = ["--patient", "P1", "--muscle", "APB", "--side", "left", "--operator", "A", *options]
    told = subprocess.run([sys.executable, "-m", "clients.mt", *words], capture_output=True, timeout=20, check=False)
    assert told.returncode == 64
    assert b"See --help." in told.stderr


# ---- ears and screen ------------------------------------------------------------------------------------------------------


def heard(text: str, *, keys: bool) -> tuple[list[str], int]:
    """Words in order and how often it was stopped, once the input has ended."""
    ours, theirs = os.pipe()
    stops: list[None] = []
    os.write(theirs, text.encode())
    os.close(theirs)
    ears = Ears(ours, keys=keys, stop=lambda: stops.append(None))
    words: list[str] = []
    until(lambda: (word := ears.next()) is not None and (words.append(word) or word == "close"))  # type: ignore[func-returns-value]
    ears.close()
    os.close(ours)
    return words, len(stops)


def test_keys_are_words_and_unknown_ones_are_none() -> None:
    assert heard("a ]y#", keys=True) == (["arm", "pulse", "up 5", "yes", "close"], 0)


@pytest.mark.parametrize("text", ["\x1b", "yyy\x1b", "\x1b[A", " \x1b "])
def test_an_escape_anywhere_in_what_was_typed_is_a_stop_and_nothing_else(text: str) -> None:
    assert heard(text, keys=True) == (["close"], 1)


def test_lines_are_words_also_where_they_come_in_pieces() -> None:
    assert heard("arm\npulse 45\n\n", keys=False) == (["arm", "pulse 45", "close"], 0)


def test_a_stop_among_lines_drops_what_was_said_with_it() -> None:
    assert heard("pulse 45\nstop\n", keys=False) == (["close"], 1)


@pytest.mark.parametrize(
    ("search", "says"),
    [
        (OPEN, "OPEN: press a to arm"),
        (ARMED, "HOTSPOT: space gives 40 %"),
        (ASKING, "DID THE MUSCLE ANSWER?  (47 %)   y / n / u"),
        (msgspec.structs.replace(ASKING, waiting="pulse"), "PULSE COMING: 47 %"),
        (msgspec.structs.replace(SAVED, phase="confirm"), "THRESHOLD 46.2 %: CONFIRM WITH c"),
        (SAVED, "SAVED: 46.2 % of output"),
        (msgspec.structs.replace(SAVED, needs_repeat=True), "SAVED: 46.2 % of output   A SECOND PERSON MUST REPEAT IT"),
        (msgspec.structs.replace(SAVED, phase="not_found"), "NO THRESHOLD WAS FOUND"),
        (msgspec.structs.replace(SAVED, phase="aborted"), "THE SEARCH WAS ENDED"),
    ],
)
def test_the_first_line_says_what_stands_now(search: MtBody, says: str) -> None:
    assert headline(search, 40) == says


def test_the_screen_shows_the_days_pulses_against_their_limit() -> None:
    today = msgspec.structs.replace(ASKING, pulses_today=23, pulses_today_limit=200)
    assert any("pulses 3 of 60, today 23 of 200" in line for line in screen(today, 40))
    assert not any("today" in line for line in screen(ASKING, 40))


def test_the_screen_shows_trials_and_estimate_with_its_interval() -> None:
    lines = screen(ASKING, 40)
    assert "50+   22-" in lines
    assert "threshold about 46.2 %   (95 %: 43.3 to 49.6)" in lines
