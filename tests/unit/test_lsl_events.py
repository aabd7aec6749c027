"""What is told as markers: every pulse that the device reported at its own moment, trains, steps; nothing of who is treated."""

import msgspec

from daemon import ipc
from daemon.lsl_events import AnyEvent, Context, EventMaker, Pulse, StepChange, StimulatorChange, TrainEnd, TrainStart, Unasked
from daemon.messages import Step
from daemon.purpose import Purpose
from daemon.session_words import Session
from drivers.values import TrainSettings

THETA = TrainSettings(amplitude_pct_mso=45, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5", bursts=2)
CONTEXT = Context(session_id="S", purpose=Purpose.TREATMENT, settings=THETA)
MS = 1_000_000


def receipt(bursts_ns: tuple[int, ...], pulses: int, *, confirmed: bool = True) -> ipc.Receipt:
    return ipc.Receipt(
        run_id="run",
        grant_no=4,
        train=2,
        pulses=pulses,
        confirmed=confirmed,
        broken=False,
        why=(),
        first_ns=bursts_ns[0] if bursts_ns else None,
        last_ns=5000 * MS if pulses else None,
        bursts=tuple(ipc.PulsePose(at_ns=at_ns, didt_a_per_us=None, distance_mm=1.0, exposed_ns=1) for at_ns in bursts_ns),
    )


def test_each_pulse_of_a_burst_has_a_marker_at_its_own_moment() -> None:
    events = EventMaker().of_packet(receipt((1000 * MS, 1200 * MS), 6), CONTEXT)
    pulses = [event for event in events if isinstance(event, Pulse)]
    assert [pulse.mono_ns // MS for pulse in pulses] == [1000, 1020, 1040, 1200, 1220, 1240]
    assert [(pulse.burst, pulse.pulse) for pulse in pulses] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert {(pulse.train, pulse.grant_no, pulse.amplitude_pct_mso, pulse.session_id) for pulse in pulses} == {(2, 4, 45, "S")}


def test_the_train_s_end_comes_last_with_its_count() -> None:
    end = EventMaker().of_packet(receipt((1000 * MS, 1200 * MS), 6), CONTEXT)[-1]
    assert isinstance(end, TrainEnd)
    assert (end.pulses, end.confirmed, end.mono_ns) == (6, True, 5000 * MS)


def test_pulses_that_are_only_estimated_have_no_marker_but_count_in_the_train() -> None:
    (end,) = EventMaker().of_packet(receipt((), 6, confirmed=False), CONTEXT)
    assert isinstance(end, TrainEnd)
    assert (end.pulses, end.confirmed) == (6, False)


def test_a_grant_that_was_never_begun_is_no_train() -> None:
    assert EventMaker().of_packet(receipt((), 0), CONTEXT) == ()


def test_a_start_and_a_pulse_without_a_grant_are_told() -> None:
    maker = EventMaker()
    (start,) = maker.of_packet(ipc.TrainStarted(grant_no=4, train=2, at_ns=7), CONTEXT)
    (unasked,) = maker.of_packet(ipc.Ungranted(pulses=5, at_ns=9), CONTEXT)
    assert isinstance(start, TrainStart)
    assert isinstance(unasked, Unasked)
    assert (start.mono_ns, unasked.mono_ns, unasked.pulses_at_most) == (7, 9, 5)


def test_what_people_alone_need_is_no_event() -> None:
    assert EventMaker().of_packet(ipc.DeviceAlarm(code="c", high=True, text="t", remedy="r"), CONTEXT) == ()


def test_a_step_is_told_when_it_changes_and_not_before() -> None:
    maker = EventMaker()
    assert maker.of_session(Session(rev=1), 1) == ()
    assert maker.of_session(Session(rev=2), 2) == ()
    (change,) = maker.of_session(Session(rev=3, step=Step.AIM), 3)
    assert isinstance(change, StepChange)
    assert (change.before, change.step, change.mono_ns) == (Step.PLAN, Step.AIM, 3)


def test_the_stimulator_s_state_is_told_when_it_changes() -> None:
    maker = EventMaker()
    told = [maker.of_stimulator(state, None, at_ns) for at_ns, state in enumerate(("ready", "ready", "firing"))]
    assert [len(events) for events in told] == [1, 0, 1]
    assert isinstance(told[2][0], StimulatorChange)


def test_numbers_rise_by_one_over_all_kinds() -> None:
    maker = EventMaker()
    events: list[AnyEvent] = [*maker.of_stimulator("ready", None, 1), *maker.of_packet(receipt((1, 2), 6), CONTEXT)]
    events += maker.of_packet(ipc.Ungranted(pulses=5, at_ns=9), CONTEXT)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


def test_no_event_has_room_for_a_patient_a_target_or_free_text() -> None:
    kinds = (Pulse, TrainStart, TrainEnd, Unasked, StepChange, StimulatorChange)
    fields = {field.name for kind in kinds for field in msgspec.structs.fields(kind)}
    assert not fields & {"patient", "target", "plan_sha256", "operator", "stopped_why"}
