"""The MagVenture driver under every moment, delay, hand and byte: never unsafe, never an exception, every pulse accounted for."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from drivers.magventure import MagVentureStimulator
from drivers.magventure_command_wire import SetEnabled, StartTrain, Trigger, decode_command, encode_command
from drivers.magventure_frame_wire import FrameReader, frame
from drivers.magventure_wire import encode_event
from drivers.protocols import Step
from drivers.values import BurstFired, Disabled, StimEvent, StimFault, StimState, TrainSettings
from tests.magventure_line import COIL, MS, START_NS, THETA, MagVentureLine
from tests.magventure_values import EVENTS

DISABLE = encode_command(SetEnabled(on=False))
SHORT_TRAIN = TrainSettings(amplitude_pct_mso=40, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="10", bursts=4)


def session(line: MagVentureLine) -> None:
    """Begin a whole session without waiting for anything: the rest is time."""
    line.make_ready(SHORT_TRAIN)
    line.take(line.driver.start_train(line.now_ns))


@given(st.integers(0, 700_000), st.integers(0, 80))
@settings(max_examples=60, deadline=None)
def test_stop_at_any_moment_of_a_train_is_written_at_once_and_final(stop_after_us: int, reply_delay_ms: int) -> None:
    line = MagVentureLine(reply_delay_ms=reply_delay_ms)
    session(line)
    line.run(stop_after_us / 1000)
    step = line.driver.stop(line.now_ns)
    assert step.send.startswith(DISABLE)
    line.take(step)
    disabled = line.next(Disabled, 700)
    while not disabled.confirmed:
        disabled = line.next(Disabled, 700)
    line.run(500)
    assert all(pulse_ns <= disabled.at_ns for pulse_ns in line.truth.pulses_ns)
    assert 3 * line.asked_bursts == len(line.truth.pulses_ns)
    assert len(line.all(BurstFired)) == line.asked_bursts
    assert not line.device.enabled
    assert line.driver.report.state is StimState.STANDBY


@given(st.integers(0, 900_000), st.integers(0, 80))
@settings(max_examples=60, deadline=None)
def test_stop_at_any_moment_between_bursts_of_the_host_is_written_at_once_and_final(stop_after_us: int, reply_delay_ms: int) -> None:
    line = MagVentureLine(reply_delay_ms=reply_delay_ms)
    line.make_ready()
    line.run(300)
    end_ns = line.now_ns + 1000 * stop_after_us
    for _ in range(6):
        line.take(line.driver.start_burst(line.now_ns))
        line.run(min(200 * MS, max(0, end_ns - line.now_ns)) / MS)
        if line.now_ns >= end_ns:
            break
    step = line.driver.stop(line.now_ns)
    assert step.send.startswith(DISABLE)
    line.take(step)
    disabled = line.next(Disabled, 700)
    while not disabled.confirmed:
        disabled = line.next(Disabled, 700)
    line.run(500)
    assert all(pulse_ns <= disabled.at_ns for pulse_ns in line.truth.pulses_ns)
    assert 3 * line.asked_bursts == len(line.truth.pulses_ns)
    assert len(line.all(BurstFired)) == line.asked_bursts
    assert not line.device.enabled


@given(st.lists(st.integers(1, 450), min_size=1, max_size=12), st.integers(0, 80))
@settings(max_examples=80, deadline=None)
def test_two_bursts_of_the_host_never_overlap_and_each_has_its_receipt(waits_ms: list[int], reply_delay_ms: int) -> None:
    line = MagVentureLine(reply_delay_ms=reply_delay_ms)
    line.make_ready(replace(SHORT_TRAIN, burst_hz="5", bursts=20))
    line.run(300)
    asked_ns = []
    for wait_ms in waits_ms:
        step = line.driver.start_burst(line.now_ns)
        asked_ns += [line.now_ns] if encode_command(Trigger()) in step.send else []
        line.take(step)
        line.run(wait_ms)
    line.run(500)
    assert all(later - earlier >= 140 * MS for earlier, later in itertools.pairwise(asked_ns))
    assert len(line.truth.pulses_ns) == 3 * len(asked_ns) == 3 * line.asked_bursts
    gaps = [later - earlier for earlier, later in itertools.pairwise(line.truth.pulses_ns)]
    assert all(gap >= 20 * MS for gap in gaps)
    assert "nobody here asked for" not in line.fault_texts


@given(st.integers(0, 600_000), st.integers(0, 80))
@settings(max_examples=60, deadline=None)
def test_stop_at_any_moment_before_the_train_leaves_the_device_disabled(stop_after_us: int, reply_delay_ms: int) -> None:
    line = MagVentureLine(reply_delay_ms=reply_delay_ms)
    line.connect()
    line.prepare(SHORT_TRAIN)
    line.take(line.driver.enable(line.now_ns))
    line.run(stop_after_us / 1000)
    disabled = line.stop()
    while not disabled.confirmed:
        disabled = line.next(Disabled, 700)
    assert not any(enabled for at_ns, enabled in line.truth.charged_states if at_ns > disabled.at_ns)
    line.run(1000)
    assert not line.device.enabled
    assert not line.truth.pulses_ns


@given(st.integers(0, 80))
@settings(max_examples=20, deadline=None)
def test_any_usual_reply_delay_gives_a_whole_train_and_no_fault(reply_delay_ms: int) -> None:
    line = MagVentureLine(reply_delay_ms=reply_delay_ms)
    line.make_ready()
    line.run(1000)
    line.fire()
    line.run(1000)
    assert not line.all(StimFault)
    assert line.asked_bursts == 10
    assert len(line.truth.pulses_ns) == 30
    assert line.driver.report.state is StimState.READY


HANDS = {
    "amplitude": lambda line: line.device.set_amplitude(60),
    "enable": lambda line: line.device.enable(line.now_ns),
    "disable": lambda line: line.device.disable(line.now_ns),
    "fire": lambda line: line.device.trigger(line.now_ns),
    "train": lambda line: line.device.start_train(line.now_ns),
    "page": lambda line: line.device.show_page(1),
    "rate": lambda line: line.device.turn_rate(77),
    "coil": lambda line: line.device.plug_coil(0, line.now_ns),
    "power": lambda line: line.device.reset(line.now_ns),
}


@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from(sorted(HANDS))), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_whatever_hands_do_at_the_panel_it_ends_disabled_and_counted(acts: list[tuple[int, str]]) -> None:
    line = MagVentureLine()
    session(line)
    for wait_ms, act in acts:
        line.run(wait_ms)
        HANDS[act](line)
    line.run(3000)
    line.take(line.driver.stop(line.now_ns))
    line.run(3000)
    assert not line.device.enabled
    assert line.driver.report.state in (StimState.STANDBY, StimState.FAULT)
    assert 3 * len(line.all(BurstFired)) >= len(line.truth.pulses_ns)


REFUSABLE = ("prepare", "enable", "start_train", "start_burst", "end_train")


class Calls:
    """A driver called at random; checks every step it returns."""

    def __init__(self) -> None:
        self.driver = MagVentureStimulator("x100-option", COIL, events_per_burst=1, max_amplitude_pct_mso=80)
        self.now_ns = START_NS
        self._enable_is_wanted = False

    def call(self, name: str, data: bytes, later_ms: int) -> None:
        self.now_ns += later_ms * MS
        if name == "feed":
            step = self.driver.feed(data, self.now_ns)
        elif name == "prepare":
            step = self.driver.prepare(THETA, self.now_ns)
        else:
            step = getattr(self.driver, name)(self.now_ns)
        self._check(name, step)

    def _check(self, name: str, step: Step[StimEvent]) -> None:
        reader = FrameReader()
        sent = [decode_command(body) for body in reader.feed(step.send, 0)]
        assert reader.dropped == 0
        assert reader.expires_ns is None, "half a frame was sent"
        faulted = any(isinstance(event, StimFault) for event in step.events)
        self._enable_is_wanted = (self._enable_is_wanted or (name == "enable" and not faulted)) and name not in ("stop", "connected")
        assert StartTrain() not in sent or name == "start_train"
        assert Trigger() not in sent or name == "start_burst"
        assert SetEnabled(on=True) not in sent or self._enable_is_wanted
        if faulted or any(isinstance(event, Disabled) for event in step.events):
            self._enable_is_wanted = False
        if name in REFUSABLE and faulted and len(step.events) == 1:
            assert not step.send
        if name == "stop" and any(isinstance(event, Disabled) for event in step.events):
            assert step.events[0] == Disabled(confirmed=False, at_ns=self.now_ns)


chatter = st.one_of(EVENTS.map(encode_event), st.binary(max_size=30), st.binary(min_size=1, max_size=32).map(frame))
names = st.sampled_from(["connected", "disconnected", "feed", "feed", "feed", "tick", *REFUSABLE, "stop"])


@given(st.lists(st.tuples(names, chatter, st.integers(0, 1200)), max_size=40))
@settings(max_examples=200, deadline=None)
def test_no_order_of_calls_and_no_bytes_raise_or_fire_unasked(calls: list[tuple[str, bytes, int]]) -> None:
    driver = Calls()
    driver.call("connected", b"", 0)
    for name, data, later_ms in calls:
        driver.call(name, data, later_ms)


@given(st.integers(0, 1500), st.integers(1, 40), st.lists(chatter, max_size=4))
@settings(max_examples=60, deadline=None)
def test_disable_goes_out_whole_whatever_byte_has_just_come(after_ms: int, cut: int, more: list[bytes]) -> None:
    line = MagVentureLine()
    session(line)
    line.run(after_ms % 400)
    half = b"".join(more)[:cut]
    fed = line.driver.feed(half, line.now_ns)
    step = line.driver.stop(line.now_ns)
    assert DISABLE in fed.send + step.send
    assert FrameReader().feed(step.send, 0) or DISABLE in fed.send
