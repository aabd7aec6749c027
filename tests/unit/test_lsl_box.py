"""The simulated box keeps the rules that a box's maker is given: whom it obeys, what is void, what it does when nobody speaks to it."""

import pytest

from drivers.lsl_trigger_wire import Arm, Ask, Fire, Pattern, PulseGiven, Set, Status, Stop, decode_answer, encode
from sim.lsl_box import TriggerBox
from sim.lsl_faults import BoxFaults
from tests.lsl_box_line import TruthOfBox

MS = 1_000_000
RUN, OTHER = "a" * 16, "b" * 16
PATTERN = Pattern(amplitude_pct_mso=50, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5", bursts=2)


class Host:
    """Speaks to one box, and remembers what it said."""

    def __init__(self, **options: object) -> None:
        self.now_ns = 1_000 * MS
        self.truth, self.faults = TruthOfBox(), BoxFaults()
        self.box = TriggerBox(self.truth, self.faults, self.now_ns, **options)  # type: ignore[arg-type]  # the box's own options
        self.pulses: list[PulseGiven] = []
        self.id = 0

    def say(self, kind: type, run: str = RUN, **fields: object) -> Status:
        self.id += 1
        self.box.hear(encode(kind(run=run, id=self.id, **fields)), self.now_ns)
        return self.status()

    def status(self) -> Status:
        answers = [decode_answer(marker) for _, marker in self.box.take(self.now_ns)]
        self.pulses += [answer for answer in answers if isinstance(answer, PulseGiven)]
        (*_, status) = (answer for answer in answers if isinstance(answer, Status))
        return status

    def wait(self, ms: float) -> None:
        self.now_ns += round(ms * MS)
        self.box.advance(self.now_ns)

    def ready(self) -> Status:
        self.say(Stop)
        self.say(Set, pattern=PATTERN)
        armed = self.say(Arm, after=self.say(Ask).number, within_ms=400, alive_ms=1000)
        self.wait(300)
        return armed

    def fire(self, after: int, *, within_ms: int = 400, bursts: int = 2) -> Status:
        return self.say(Fire, after=after, within_ms=within_ms, first=1, bursts=bursts)


def test_only_a_stop_begins_a_conversation() -> None:
    host = Host()
    assert host.say(Ask).run is None
    assert host.say(Stop).run == RUN


def test_a_command_of_another_conversation_is_not_carried_out() -> None:
    host = Host()
    host.ready()
    status = host.say(Fire, run=OTHER, after=host.say(Ask).number, within_ms=400, first=1, bursts=1)
    assert (status.run, host.truth.pulses_ns) == (RUN, [])


@pytest.mark.parametrize("run", [RUN, OTHER])
def test_a_stop_is_obeyed_whoever_sends_it(run: str) -> None:
    host = Host()
    host.ready()
    status = host.say(Stop, run=run)
    assert (status.armed, status.run) == (False, run)


def test_a_stop_of_an_earlier_conversation_stops_and_takes_nothing_over() -> None:
    host = Host()
    host.ready()
    host.say(Stop, run=OTHER)
    assert host.say(Stop, run=RUN).run == OTHER


def test_a_status_says_what_the_box_was_doing_when_the_conversation_began() -> None:
    host = Host()
    host.ready()
    host.fire(host.say(Ask).number)
    status = host.say(Stop, run=OTHER)
    assert (status.found_armed, status.found_running, status.running) == (True, True, False)


def test_fire_is_void_once_the_status_that_it_names_is_too_old() -> None:
    host = Host()
    host.ready()
    number = host.say(Ask).number
    host.wait(401)
    assert host.fire(number).refused == "too late"
    assert host.fire(host.say(Ask).number).refused is None
    assert len(host.truth.pulses_ns) == 1


def test_fire_that_names_a_status_that_was_never_sent_is_void() -> None:
    host = Host()
    host.ready()
    assert host.fire(999).refused == "too late"


def test_every_pulse_has_its_receipt_with_the_fire_s_number() -> None:
    host = Host()
    host.ready()
    host.fire(host.say(Ask).number)
    fired = host.id
    host.wait(240)
    host.status()
    assert [(pulse.id, pulse.burst, pulse.pulse) for pulse in host.pulses] == [
        (fired, burst, pulse) for burst in (1, 2) for pulse in (1, 2, 3)
    ]
    assert [pulse.number for pulse in host.pulses] == list(range(1, 7))


def test_an_armed_box_disarms_itself_when_it_hears_nothing_for_a_second() -> None:
    host = Host()
    host.ready()
    host.fire(host.say(Ask).number)
    host.wait(999)
    assert host.box.armed
    host.wait(1)
    assert not host.box.armed


def test_a_doubled_command_is_carried_out_once() -> None:
    host = Host()
    host.ready()
    number = host.say(Ask).number
    host.fire(number, bursts=1)
    host.wait(100)
    host.box.hear(encode(Fire(run=RUN, id=host.id, after=number, within_ms=400, first=1, bursts=1)), host.now_ns)
    host.wait(200)
    assert len(host.truth.pulses_ns) == 3


def test_a_box_that_makes_pulses_takes_no_bursts() -> None:
    host = Host(makes="pulse")
    host.say(Stop)
    assert host.say(Set, pattern=PATTERN).refused == "no bursts"


def test_a_box_is_not_fired_before_it_is_ready() -> None:
    host = Host()
    host.say(Stop)
    host.say(Set, pattern=PATTERN)
    armed = host.say(Arm, after=host.say(Ask).number, within_ms=400, alive_ms=1000)
    assert host.fire(armed.number).refused == "not ready"


def test_garbage_is_not_answered() -> None:
    host = Host()
    host.say(Stop)
    host.box.hear("fire!", host.now_ns)
    assert host.box.take(host.now_ns) == []
