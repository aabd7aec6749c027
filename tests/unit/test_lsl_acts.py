"""A request from outside at the door of the session: what refuses it there, and that it does no more than an operator's start."""

import time
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from daemon.lsl_acts import RequestActs
from daemon.lsl_requests import Against, Want
from daemon.messages import Step
from daemon.mt_chair import HuntAsked
from daemon.mt_chair import Step as SearchStep
from daemon.mt_words import Phase, PulseWanted
from daemon.session import advance
from daemon.session_words import Event, Intend, Session, Tick, TrainRequested
from tests.grant_chair import COURSE

ARMED = Session(rev=7, step=Step.ARMED, course=COURSE, session_id="S", lease_token=1)


class Place:
    """Core, search, telling and desk, as far as a request knows them."""

    def __init__(self, state: Session = ARMED) -> None:
        self.state = state
        self.is_open = False
        self.search: SimpleNamespace | None = None
        self.refusal = ""
        self.against: tuple[str, ...] = ()
        self.operator: str | None = "operator"
        self.busy = False
        self.events: list[Event | HuntAsked] = []
        self.intended = 0
        self.acts = RequestActs(self, self, self, self)  # type: ignore[arg-type]  # all four at once

    def happen(self, event: Event | HuntAsked) -> None:
        self.events.append(event)
        if not isinstance(event, HuntAsked):
            self.state, actions = advance(self.state, event, time.monotonic_ns())
            self.intended += sum(isinstance(action, Intend) for action in actions)

    def blocking(self, _state: Session) -> tuple[str, ...]:
        return self.against

    def seek(self, step: SearchStep = SearchStep.ARMED, phase: Phase = Phase.HOTSPOT, last_mso: int | None = 48) -> "Place":
        self.search = SimpleNamespace(step=step, hunt=SimpleNamespace(phase=phase, last_mso=last_mso))
        return self


def test_a_train_that_may_start_is_intended_at_once() -> None:
    place = Place()
    assert place.acts.put(Want.TRAIN) is None
    assert place.events == [TrainRequested(), Tick(device_ready=True)]
    assert place.intended == 1


def untouched(place: Place, want: Want, why: Against) -> None:
    assert place.acts.put(want) is why
    assert place.events == []


@pytest.mark.parametrize("want", list(Want))
def test_nothing_is_asked_for_while_nobody_holds_the_operator_lease(want: Want) -> None:
    place = Place().seek()
    place.operator = None
    untouched(place, want, Against.NO_OPERATOR)


@pytest.mark.parametrize("want", list(Want))
def test_nothing_is_asked_for_while_a_command_is_at_work(want: Want) -> None:
    place = Place().seek()
    place.busy = True
    untouched(place, want, Against.BUSY)


@pytest.mark.parametrize("step", [step for step in Step if step is not Step.ARMED])
def test_a_train_is_asked_for_only_where_the_session_is_armed_and_waits(step: Step) -> None:
    untouched(Place(replace(ARMED, step=step)), Want.TRAIN, Against.NOT_WAITING)


def test_no_train_is_asked_for_during_a_search_for_the_threshold() -> None:
    place = Place()
    place.is_open = True
    untouched(place, Want.TRAIN, Against.NOT_WAITING)


def test_no_train_is_asked_for_while_the_gate_is_closed() -> None:
    place = Place()
    place.against = ("off_target",)
    untouched(place, Want.TRAIN, Against.GATE_CLOSED)


def test_no_train_is_asked_for_before_its_pause_is_over() -> None:
    untouched(Place(replace(ARMED, last_pulse_ns=time.monotonic_ns())), Want.TRAIN, Against.TOO_SOON)


def test_a_pulse_is_one_more_of_the_search_for_the_hotspot_as_strong_as_the_last() -> None:
    place = Place().seek()
    assert place.acts.put(Want.PULSE) is None
    assert place.events == [HuntAsked(event=PulseWanted(amplitude_mso=48))]


@pytest.mark.parametrize(
    "search",
    [
        {"step": SearchStep.OPEN},
        {"phase": Phase.HUNT},
        {"last_mso": None},
    ],
)
def test_a_pulse_is_asked_for_only_in_an_armed_search_for_the_hotspot_after_the_operator_s_first(search: dict[str, object]) -> None:
    untouched(Place().seek(**search), Want.PULSE, Against.NOT_WAITING)  # type: ignore[arg-type]


def test_no_pulse_is_asked_for_without_a_search() -> None:
    untouched(Place(), Want.PULSE, Against.NOT_WAITING)


def test_what_the_search_refuses_is_refused() -> None:
    place = Place().seek()
    place.refusal = "the pulse before is not answered yet"
    assert place.acts.put(Want.PULSE) is Against.REFUSED
