"""What becomes of a stimulator whose host dies, hangs or comes back, and whose cable or port gives out."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.transport import BACKLOG_LIMIT, Pipe
from drivers.values import Disabled, StimFault, StimState, TrainEnded
from tests.contract.stimulator_kit import MS, Line, Model, Trouble, assert_off_and_counted, confirmed
from tests.contract.stimulator_models import every_model

DEAD_MS = 15_000  # longer than any train of these
WIRE_MS = 10  # a question that left the host just before it died is still heard
BEAT_MS = 300  # how long one beat of the daemon lasts
ANSWER_MS = 35
STALE_MS = 450


def dead_host(model: Model, after_us: int, *, starts: bool) -> tuple[Line, int]:
    """A host that dies so long after its unit was ready, or after the start; the unit lives on. When it died."""
    line = Line(model)
    line.make_ready()
    if starts:
        line.ask_start()
    line.run(after_us / 1000)
    died_ns = line.now_ns
    line.host_turns = False
    line.run(DEAD_MS)
    return line, died_ns


# ---- host killed ----------------------------------------------------------------------------------------------------


@every_model()
@given(after_us=st.integers(0, 2_400_000))
@settings(max_examples=40, deadline=None)
def test_host_killed_at_any_moment_leaves_the_running_train_at_most_and_a_forgetful_unit_a_second(model: Model, after_us: int) -> None:
    line, died_ns = dead_host(model, after_us, starts=True)
    assert len(line.pulses_ns) <= model.settings.pulses
    if model.forgets_host_ms is None:
        assert line.unit.enabled
        return
    assert not line.unit.enabled
    limit_ns = died_ns + (model.forgets_host_ms + WIRE_MS) * MS
    assert line.unit.truth.charged_states[-1][0] <= limit_ns
    assert all(pulse_ns <= limit_ns for pulse_ns in line.pulses_ns)


@every_model()
@given(after_us=st.integers(0, 1_000_000))
@settings(max_examples=20, deadline=None)
def test_host_killed_while_ready_leaves_no_pulse(model: Model, after_us: int) -> None:
    line, _ = dead_host(model, after_us, starts=False)
    assert not line.pulses_ns
    assert line.unit.enabled is (model.forgets_host_ms is None)


@every_model(Trouble.MID_TRAIN)
def test_next_host_stops_the_train_that_outlived_the_last_one_and_says_so(model: Model) -> None:
    line = Line(model)
    line.fire()
    line.host_turns = False
    line.run(200)
    given_before = len(line.pulses_ns)
    line.restart_host()
    secured = line.connect()
    assert (secured.found_enabled, secured.found_running) == (True, True)
    assert not line.unit.enabled
    line.run(2500)
    assert given_before <= len(line.pulses_ns) < model.settings.pulses
    assert all(pulse_ns <= secured.at_ns for pulse_ns in line.pulses_ns)


@every_model()
def test_next_host_finds_a_unit_that_was_left_enabled_and_disables_it_first(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    line.host_turns = False
    line.run(300)
    sent = len(line.sent)
    line.restart_host()
    assert not line.connect().found_running
    assert line.sent[sent][1].startswith(model.disarm_bytes)
    assert not line.unit.enabled
    assert line.driver.prepared is None


@every_model(Trouble.LEFT_ENABLED)
def test_next_host_says_that_the_unit_was_left_enabled(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    line.host_turns = False
    line.run(300)
    line.restart_host()
    secured = line.connect()
    assert (secured.found_enabled, secured.found_running) == (True, False)


@every_model(Trouble.PANEL_ENABLE)
def test_unit_found_enabled_at_the_first_start_is_disabled_and_told(model: Model) -> None:
    line = Line(model)
    line.strike(Trouble.PANEL_ENABLE)
    line.host_turns = False
    line.run(600)
    line.host_turns = True
    secured = line.connect()
    assert secured.found_enabled
    assert not line.unit.enabled


@pytest.mark.parametrize("ms", [150, 600])
@every_model(Trouble.PANEL_ENABLE, Trouble.IGNORES_STOP)
def test_unit_found_enabled_that_ignores_the_first_disables_is_told_again_until_it_obeys(model: Model, ms: int) -> None:
    line = Line(model)
    line.strike(Trouble.PANEL_ENABLE)
    line.host_turns = False
    line.run(600)
    line.host_turns = True
    line.unit.ignore_stop(ms)
    assert line.connect().found_enabled
    assert not line.unit.enabled


# ---- host hung ------------------------------------------------------------------------------------------------------


@every_model()
@given(ms=st.integers(STALE_MS + 1, 4000), after_ms=st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_host_that_hung_while_ready_starts_nothing_on_what_it_knew_before(model: Model, ms: int, after_ms: int) -> None:
    line = Line(model)
    line.make_ready()
    line.run(after_ms)
    line.hang(ms)
    line.unit.keep_alive(line.now_ns)
    assert any(isinstance(event, StimFault) for event in line.ask_start())
    line.run(3000)
    assert not line.pulses_ns
    assert line.unit.enabled is (line.state is StimState.READY)


@every_model(Trouble.LATE_ANSWER)
@given(ms=st.integers(STALE_MS + 1, 4000), after_ms=st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_answer_that_waited_for_a_host_that_hung_freshens_nothing_and_all_ends_off(model: Model, ms: int, after_ms: int) -> None:
    line = Line(model)
    line.make_ready()
    line.run(after_ms)
    line.hang(ms)
    line.step(line.now_ns + MS)
    assert any(isinstance(event, StimFault) for event in line.ask_start())
    line.within(3000, lambda: bool(confirmed(line)))
    line.run(1000)
    assert not line.pulses_ns
    assert not line.unit.enabled
    assert line.state is StimState.FAULT


@every_model(Trouble.MID_TRAIN)
@given(ms=st.integers(20, 4000), after_ms=st.integers(0, 1900))
@settings(max_examples=40, deadline=None)
def test_host_that_hung_in_a_train_counts_every_pulse_whatever_it_missed(model: Model, ms: int, after_ms: int) -> None:
    line = Line(model)
    line.make_ready()
    line.ask_start()
    line.run(after_ms)
    line.hang(ms)
    line.run(3000)
    line.ask_stop()
    line.run(2000)
    assert not line.unit.enabled
    assert len(line.pulses_ns) <= model.settings.pulses
    assert line.counted_pulses() >= len(line.pulses_ns)


@every_model(Trouble.DAEMON_SILENT)
@given(after_us=st.integers(0, 2_000_000), starts=st.booleans())
@settings(max_examples=20, deadline=None)
def test_unit_is_not_kept_armed_by_a_process_whose_daemon_is_silent(model: Model, after_us: int, starts: bool) -> None:
    line = Line(model)
    line.make_ready()
    if starts:
        line.ask_start()
    line.run(after_us / 1000)
    line.mute_daemon()
    silent_ns = line.now_ns
    line.run(3000)
    assert not line.unit.enabled
    off_ns, is_on = line.unit.truth.charged_states[-1]
    assert not is_on
    assert off_ns <= silent_ns + (BEAT_MS + ANSWER_MS) * MS


# ---- cable and port -------------------------------------------------------------------------------------------------


@every_model()
def test_lost_line_is_disconnected_and_stays_silent(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    assert any(isinstance(event, StimFault) for event in line.lose())
    sent = len(line.sent)
    line.driver_says("tick")
    line.take(line.driver.feed(b"\xfe\x01E\x89\x31", line.now_ns))
    assert len(line.sent) == sent
    assert line.state is StimState.DISCONNECTED
    stopped = line.driver_says("stop")
    assert [event.confirmed for event in stopped if isinstance(event, Disabled)] == [False]


@every_model(Trouble.MID_TRAIN)
def test_line_lost_in_a_train_counts_the_whole_train(model: Model) -> None:
    line = Line(model)
    line.fire()
    line.lose()
    line.host_turns = False
    line.run(DEAD_MS)
    line.restart_host()
    line.connect()
    assert line.counted_pulses() >= len(line.pulses_ns)
    assert line.all(TrainEnded) or line.all(StimFault)


@contextmanager
def full_port() -> Iterator[tuple[Pipe, socket.socket]]:
    """A pipe into a port that takes no more bytes, and its far end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        pipe = Pipe(ours.fileno())
        while not pipe.has_unsent:
            try:
                os.write(ours.fileno(), b"\0" * 4096)
            except BlockingIOError:
                pipe.write(b"\0")
        yield pipe, theirs


@every_model()
def test_cable_pulled_with_a_write_pending_is_an_alarm_and_the_next_line_begins_with_a_disarm(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    with full_port() as (pipe, theirs):
        assert pipe.write(line.driver.stop(line.now_ns).send)
        assert pipe.has_unsent
        theirs.close()
        assert not pipe.flush()
    assert any(isinstance(event, StimFault) for event in line.lose())
    assert line.state is StimState.DISCONNECTED
    sent = len(line.sent)
    line.connect()
    assert line.sent[sent][1].startswith(model.disarm_bytes)
    assert not line.unit.enabled


@every_model()
def test_stop_into_a_port_that_takes_no_more_bytes_is_alarmed_and_goes_out_whole_once_there_is_room(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    with full_port() as (pipe, theirs):
        step = line.driver.stop(line.now_ns)
        assert pipe.write(step.send)
        line.host_turns = False
        while not any(isinstance(event, Disabled) for event in step.events):
            line.run(max(0, step.wake_ns - line.now_ns) / MS)
            step = line.driver.tick(line.now_ns)
            assert pipe.write(step.send)
        assert [event.confirmed for event in step.events if isinstance(event, Disabled)] == [False]
        heard = b""
        while pipe.has_unsent or not heard.endswith(model.disarm_bytes[-1:]):
            heard += theirs.recv(1 << 20)
            pipe.flush()
    assert heard.lstrip(b"\0").startswith(model.disarm_bytes)
    assert set(heard.split(model.disarm_bytes)[0]) == {0}


@every_model()
def test_port_that_has_taken_nothing_for_long_counts_as_lost(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    with full_port() as (pipe, _):
        stop = line.driver.stop(line.now_ns).send
        tries = sum(1 for _ in range(2 * BACKLOG_LIMIT // len(stop)) if pipe.write(stop))
    assert tries <= BACKLOG_LIMIT // len(stop)
    assert any(isinstance(event, StimFault) for event in line.lose())


@every_model()
def test_cable_put_back_in_mid_air_ends_off_and_counted(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    line.ask_start()
    line.run(100)
    line.lose()
    line.host_turns = False
    line.run(400)
    line.host_turns = True
    line.connect()
    line.ask_stop()
    line.run(1000)
    assert_off_and_counted(line)
