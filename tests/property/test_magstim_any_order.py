"""The Magstim driver under every moment, hand and byte: never unsafe, never an exception, every pulse accounted for."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.magstim import MagstimStimulator
from drivers.magstim_command_wire import ARM, DISARM, FIRE, Command, CommandReader, UnknownLetter, encode_command
from drivers.magstim_frame_wire import Dialect, Family, framed
from drivers.magstim_wire import InstrumentStatus, RapidStatus, Version, encode_reply
from drivers.protocols import Step
from drivers.values import Disabled, StimEvent, StimFault, StimState, TrainEnded, TrainSettings
from tests.magstim_line import BEAT_NS, CODE, COIL, MS, START_NS, TRAIN, MagstimLine

DISARM_BYTES = bytes.fromhex("454179")
SHORT_TRAIN = TrainSettings(amplitude_pct_mso=40, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz="20", bursts=10)
V9 = Dialect(family=Family.RAPID, software=9)


def session(line: MagstimLine) -> None:
    """Begin a whole session without waiting for anything: the rest is time."""
    line.make_ready(SHORT_TRAIN)
    line.take(line.driver.start_train(line.now_ns))


def begun(started_ns: int, ended_ns: int) -> int:
    """What the plan counts as given."""
    return min(SHORT_TRAIN.bursts, (ended_ns - started_ns) // (50 * MS) + 1)


@given(st.integers(0, 1_200_000))
@settings(max_examples=60, deadline=None)
def test_stop_at_any_moment_before_the_train_leaves_the_unit_disarmed(stop_after_us: int) -> None:
    line = MagstimLine()
    line.connect()
    line.prepare(SHORT_TRAIN)
    line.take(line.driver.enable(line.now_ns))
    line.run(stop_after_us / 1000)
    disabled = line.stop()
    assert disabled.confirmed
    line.run(1500)
    assert not any(enabled for at_ns, enabled in line.truth.charged_states if at_ns > disabled.at_ns)
    assert not line.device.armed
    assert not line.truth.pulses_ns


HANDS: dict[str, Callable[[MagstimLine], None]] = {
    "power": lambda line: line.device.turn_power(60, line.now_ns),
    "arm": lambda line: line.device.arm(line.now_ns),
    "stop": lambda line: line.device.disarm(line.now_ns),
    "fire": lambda line: line.device.trigger(line.now_ns),
    "rate": lambda line: setattr(line.device.settings, "tenth_hz", 77),
    "coil": lambda line: line.device.plug_coil(False, line.now_ns),
    "mains": lambda line: line.device.reset(line.now_ns),
    "control": lambda line: setattr(line.device, "remote", False),
}


@given(st.lists(st.tuples(st.integers(0, 500), st.sampled_from(sorted(HANDS))), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_whatever_hands_do_at_the_unit_it_ends_disarmed_and_counted(acts: list[tuple[int, str]]) -> None:
    line = MagstimLine()
    session(line)
    started_ns = line.now_ns
    for wait_ms, act in acts:
        line.run(wait_ms)
        HANDS[act](line)
    line.run(3000)
    line.take(line.driver.stop(line.now_ns))
    line.run(3000)
    assert not line.device.armed
    assert line.driver.report.state in (StimState.STANDBY, StimState.FAULT)
    ended_ns = line.all(TrainEnded)[0].at_ns
    ours = sum(pulse_ns <= ended_ns for pulse_ns in line.truth.pulses_ns)
    assert ours <= begun(started_ns, ended_ns)


class Calls:
    """A driver called at random; checks every step it returns."""

    def __init__(self) -> None:
        self.driver = MagstimStimulator("plus1", COIL, max_amplitude_pct_mso=80, unlock=CODE, spent_before_joules=0.0)
        self.now_ns = START_NS
        self._arm_is_wanted = self._fire_is_wanted = False

    def call(self, name: str, data: bytes, later_ms: int) -> None:
        self.now_ns += later_ms * MS
        if name == "may_keep_alive":
            self.driver.may_keep_alive(self.now_ns + BEAT_NS)
            return
        if name == "feed":
            step = self.driver.feed(data, self.now_ns)
        elif name == "prepare":
            step = self.driver.prepare(TRAIN, self.now_ns)
        else:
            step = getattr(self.driver, name)(self.now_ns)
        self._check(name, step)

    def _check(self, name: str, step: Step[StimEvent]) -> None:
        sent = heard(step.send)
        faulted = any(isinstance(event, StimFault) for event in step.events)
        self._arm_is_wanted = (self._arm_is_wanted or (name == "enable" and not faulted)) and name not in ("stop", "connected")
        self._fire_is_wanted = (self._fire_is_wanted or (name == "start_train" and not faulted)) and name not in ("stop", "connected")
        assert FIRE not in sent or self._fire_is_wanted
        assert ARM not in sent or self._arm_is_wanted
        if FIRE in sent or faulted:
            self._fire_is_wanted = False
        if faulted or any(isinstance(event, Disabled) for event in step.events):
            self._arm_is_wanted = False
        if name == "connected":
            assert sent[0] == DISARM


def heard(data: bytes) -> list[Command]:
    """Whole frames and nothing else, in the dialect of the software that the chatter tells."""
    best: list[Command] = []
    for software in (5, 9, 11):
        reader = CommandReader(Dialect(family=Family.RAPID, software=software))
        commands = reader.feed(data, 0)
        known = [command for command in commands if not isinstance(command, UnknownLetter)]
        best = known if len(known) >= len(best) else best  # type: ignore[assignment]
    return best


status_bytes = st.sampled_from([0x09, 0x89, 0x8A, 0x8C, 0x8D, 0xA9])
chatter = st.one_of(
    st.tuples(st.sampled_from("QRE@b"), status_bytes).map(lambda said: framed(bytes((ord(said[0]), said[1])))),
    st.tuples(status_bytes, st.integers(0, 255)).map(lambda said: framed(bytes((ord("x"), said[0], said[1], 0, 1)))),
    status_bytes.map(lambda status: framed(bytes((ord("F"), status)) + b"240241")),
    st.tuples(status_bytes, st.integers(0, 255)).map(
        lambda said: framed(bytes((ord("\\"), said[0], said[1])) + b"050" + b"0100" + b"00020" + b"0020" + b"0005")
    ),
    st.tuples(st.sampled_from("BD["), status_bytes).map(lambda said: framed(bytes((ord(said[0]), said[1], 0x78)))),
    st.just(encode_reply(Version(text="V9.0"), V9)),
    st.binary(max_size=24),
)
names = st.sampled_from(
    ["connected", "disconnected", *["feed"] * 6, "tick", "may_keep_alive", "prepare", "enable", "start_train", "stop", "acknowledge"]
)


@given(st.lists(st.tuples(names, chatter, st.integers(0, 400)), max_size=60))
@settings(max_examples=300, deadline=None)
def test_no_order_of_calls_and_no_bytes_raise_or_fire_unasked(calls: list[tuple[str, bytes, int]]) -> None:
    driver = Calls()
    driver.call("connected", b"", 0)
    for name, data, later_ms in calls:
        driver.call(name, data, later_ms)


@given(st.integers(0, 255), st.integers(0, 255))
def test_status_bytes_survive_their_names(status: int, rapid: int) -> None:
    assert InstrumentStatus.from_byte(status).byte() == status
    assert RapidStatus.from_byte(rapid).byte() == rapid


def test_disarm_is_the_frame_that_every_dialect_has() -> None:
    for family in Family:
        assert encode_command(DISARM, Dialect(family=family)) == DISARM_BYTES
