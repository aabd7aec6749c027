"""Bursts that the host asks for one by one: each is one burst, a dead host leaves at most the one begun, and all are counted."""

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.values import BurstFired, StimFault, StimState, TrainBegan, TrainEnded
from tests.contract.stimulator_kit import MS, Cannot, Line, Model, Trouble, assert_off_and_counted
from tests.contract.stimulator_models import MODELS, every_model

PERIOD_MS = 200
TRAIN = 4  # bursts asked for in these tests
QUICK_MS = 20


def paced(line: Line, bursts: int = TRAIN) -> None:
    """So many bursts of a train, each a period after the one before, and the time of the last."""
    for _ in range(bursts):
        assert not any(isinstance(event, StimFault) for event in line.ask_burst())
        line.run(PERIOD_MS)


@every_model(Trouble.PACED_BY_HOST)
def test_each_burst_that_is_asked_for_is_one_burst_and_the_train_ends_when_the_host_says_so(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    paced(line)
    line.driver_says("end_train")
    line.within(500, lambda: bool(line.all(TrainEnded)))
    line.run(400)
    assert len(line.pulses_ns) == TRAIN * model.settings.pulses_per_burst == line.counted_pulses()
    assert [event.asked for event in line.all(BurstFired)] == [True] * TRAIN
    assert len(line.all(TrainBegan)) == 1
    assert not line.all(StimFault)
    assert line.state is StimState.READY


@every_model(Trouble.PACED_BY_HOST)
def test_second_trigger_right_behind_the_first_is_refused(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    line.ask_burst()
    line.run(QUICK_MS)
    sent = len(line.sent)
    assert any(isinstance(event, StimFault) for event in line.ask_burst())
    assert len(line.sent) == sent
    line.run(1000)
    assert len(line.pulses_ns) == model.settings.pulses_per_burst


@every_model(Trouble.PACED_BY_HOST)
def test_more_bursts_than_were_prepared_are_refused(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    paced(line, model.settings.bursts)
    assert any(isinstance(event, StimFault) for event in line.ask_burst())
    line.run(1000)
    assert len(line.pulses_ns) == model.settings.pulses


@every_model(Trouble.PACED_BY_HOST)
@given(after_us=st.integers(0, TRAIN * PERIOD_MS * 1000 - 1))
@settings(max_examples=40, deadline=None)
def test_host_killed_at_any_moment_leaves_one_burst_at_the_most(model: Model, after_us: int) -> None:
    line = Line(model)
    line.make_ready()
    bursts, rest_us = divmod(after_us, PERIOD_MS * 1000)
    paced(line, bursts)
    line.ask_burst()
    line.run(rest_us / 1000)
    before, died_ns = len(line.pulses_ns), line.now_ns
    line.host_turns = False
    line.run(5000)
    assert len(line.pulses_ns) - before <= model.settings.pulses_per_burst
    assert all(pulse_ns <= died_ns + PERIOD_MS * MS for pulse_ns in line.pulses_ns)
    assert len(line.pulses_ns) == (bursts + 1) * model.settings.pulses_per_burst


@every_model(Trouble.PACED_BY_HOST)
@given(after_us=st.integers(0, TRAIN * PERIOD_MS * 1000 - 1))
@settings(max_examples=40, deadline=None)
def test_stop_at_any_moment_between_or_in_bursts_is_final_and_counted(model: Model, after_us: int) -> None:
    line = Line(model)
    line.make_ready()
    bursts, rest_us = divmod(after_us, PERIOD_MS * 1000)
    paced(line, bursts)
    line.ask_burst()
    line.run(rest_us / 1000)
    answer = line.stop()
    assert line.sent_since_stop.startswith(model.disarm_bytes)
    assert answer.confirmed
    line.run(1000)
    assert_off_and_counted(line)


@every_model(Trouble.PACED_BY_HOST)
def test_burst_of_which_no_receipt_comes_is_a_fault_and_ends_off(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    paced(line, 2)
    line.strike(Trouble.SILENT)
    line.ask_burst()
    line.next(StimFault, 500)
    line.heal()
    line.run(3000)
    assert_off_and_counted(line)
    assert line.state is StimState.FAULT


def test_model_that_the_host_cannot_pace_refuses_a_burst_and_sends_nothing() -> None:
    unable = [model for model in MODELS if isinstance(model.troubles[Trouble.PACED_BY_HOST], Cannot)]
    assert unable
    for model in unable:
        line = Line(model)
        line.make_ready()
        for act in ("start_burst", "end_train"):
            step = getattr(line.driver, act)(line.now_ns)
            assert any(isinstance(event, StimFault) for event in step.events), model.name
            assert step.send == b""
        line.run(1000)
        assert not line.pulses_ns
