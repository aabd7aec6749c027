"""The LSL driver in made-up time, fed with the reader's packets: layout, units, what is not seen, silence and the ways back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.lsl_tracker import LslTracker
from drivers.lsl_wire import Follow, Found, FromReader, Looking, PacketReader, Quiet, Sample, encode
from drivers.mocap_wire import Layout, ObjectChannels
from drivers.values import ClockRestart, TrackerChanged, TrackerEvent, TrackerFrame, TrackerIdentity, TrackerState, Unseen, WireError

MS, S = 1_000_000, 1_000_000_000
PERIOD = 16_666_667


def channels(first: int, to_mm: float = 1000.0) -> ObjectChannels:
    return ObjectChannels(
        xyz=(first, first + 1, first + 2),
        wxyz=(first + 3, first + 4, first + 5, first + 6),
        to_mm=(to_mm,) * 3,
        confidence=first + 7,
    )


LAYOUT = Layout(
    objects={"Head": channels(0), "Coil": channels(8)}, channels=16, rate_hz=60.0, source_id="SIM-LSL-1", host="here", model="atmsd"
)
SEEN = (0.01, -0.02, 1.5, 1.0, 0.0, 0.0, 0.0, 1.0)


def replaced(**changes: object) -> Layout:
    fields = {name: getattr(LAYOUT, name) for name in LAYOUT.__struct_fields__}
    return Layout(**(fields | changes))  # type: ignore[arg-type]


class Line:
    """A driver, and what its reader tells it."""

    def __init__(self, frame_hz: float | None = None) -> None:
        self.now_ns = 100 * S
        tools = {"head": "Head", "coil": "Coil"}
        self.tracker = LslTracker("opti", tools, stated_rms_mm=0.2, least_confidence=0.5, frame_hz=frame_hz)
        self.events: list[TrackerEvent] = []
        self.sent: list[Follow] = []
        self.reopens = 0
        self._wishes: PacketReader[Follow] = PacketReader(Follow, "a test")
        self._do(self.tracker.connected(self.now_ns))

    def _do(self, step: object) -> None:
        self.events += step.events  # type: ignore[attr-defined]
        self.sent += list(self._wishes.push(step.send))  # type: ignore[attr-defined]
        self.reopens += step.reopen is not None  # type: ignore[attr-defined]

    def tell(self, packet: FromReader, after_ns: int = 0) -> None:
        self.now_ns += after_ns
        self._do(self.tracker.feed(encode(packet), self.now_ns))

    def sample(self, head: tuple[float, ...] = SEEN, coil: tuple[float, ...] = SEEN, stamp_ns: int | None = None) -> None:
        self.now_ns += PERIOD
        stamp_ns = self.now_ns - 20 * MS if stamp_ns is None else stamp_ns
        self.tell(
            Sample(stamp_ns=stamp_ns, arrived_ns=self.now_ns - MS, host_minus_source_ns=5, bound_ns=100_000, values=(*head, *coil))
        )

    def wait(self, ns: int) -> None:
        for _ in range(ns // (10 * MS)):
            self.now_ns += 10 * MS
            self._do(self.tracker.tick(self.now_ns))

    @property
    def frames(self) -> list[TrackerFrame]:
        return [event for event in self.events if isinstance(event, TrackerFrame)]

    @property
    def change(self) -> TrackerChanged:
        return [event for event in self.events if isinstance(event, TrackerChanged)][-1]


def tracking() -> Line:
    line = Line()
    line.tell(Found(layout=LAYOUT, is_local=True))
    line.sample()
    return line


def test_it_asks_for_its_stream_and_tells_who_sends_before_the_first_frame() -> None:
    line = tracking()
    assert line.sent == [Follow(stream="opti")]
    kinds = [type(event) for event in line.events]
    assert kinds.index(TrackerIdentity) < kinds.index(ClockRestart) < kinds.index(TrackerFrame)
    identity = next(event for event in line.events if isinstance(event, TrackerIdentity))
    assert (identity.serial, identity.frame_hz) == ("SIM-LSL-1", 60.0)


def test_a_simulator_of_another_machine_does_not_count_as_one() -> None:
    line = Line()
    line.tell(Found(layout=LAYOUT, is_local=False))
    line.sample()
    identity = next(event for event in line.events if isinstance(event, TrackerIdentity))
    assert not identity.serial.startswith("SIM-")


def test_metres_become_millimetres_and_the_readers_arrival_and_dates_are_kept() -> None:
    frame = tracking().frames[0]
    assert frame.tools[0].in_tracker_mm == pytest.approx((10.0, -20.0, 1500.0))
    assert frame.received_ns == 100 * S + PERIOD - MS
    assert frame.stamp is not None
    assert (frame.stamp.host_minus_source_ns, frame.stamp.bound_ns) == (5, 100_000)


@pytest.mark.parametrize(
    ("pose", "unseen", "flagged"),
    [
        ((*SEEN[:7], 0.0), Unseen.MISSING, False),
        ((*SEEN[:7], math.nan), Unseen.MISSING, False),
        ((math.nan, *SEEN[1:]), Unseen.MISSING, False),
        ((*SEEN[:3], math.nan, *SEEN[4:]), Unseen.MISSING, False),
        ((*SEEN[:3], 0.7, *SEEN[4:]), Unseen.BAD_POSE, False),
        ((99.0, *SEEN[1:]), Unseen.BAD_POSE, False),
        ((*SEEN[:7], 0.3), None, True),
        (SEEN, None, False),
    ],
    ids=["confidence 0", "confidence NaN", "place NaN", "turn NaN", "no unit quaternion", "99 m away", "unsure", "seen"],
)
def test_what_a_pose_is_worth(pose: tuple[float, ...], unseen: Unseen | None, flagged: bool) -> None:
    line = tracking()
    line.sample(head=pose)
    head, coil = line.frames[-1].tools
    assert (head.unseen, head.flagged, head.wxyz is None) == (unseen, flagged, unseen is not None)
    assert coil.wxyz is not None


def test_a_quaternion_keeps_its_side() -> None:
    line = tracking()
    line.sample(head=(*SEEN[:3], -1.0, 0.0, 0.0, 0.0, 1.0))
    assert line.frames[-1].tools[0].wxyz == pytest.approx((1.0, 0.0, 0.0, 0.0))


def test_samples_that_never_came_are_counted_and_older_ones_are_none() -> None:
    line = tracking()
    line.sample(stamp_ns=200 * S)
    line.sample(stamp_ns=200 * S + 4 * PERIOD)
    line.sample(stamp_ns=200 * S + 4 * PERIOD)
    line.sample(stamp_ns=199 * S)
    assert len(line.frames) == 3
    assert line.frames[-1].skipped == 3


def test_an_object_that_is_not_there_is_named_with_those_that_are() -> None:
    line = Line()
    line.tell(Found(layout=replaced(objects={"Head": channels(0), "Probe": channels(8)}), is_local=True))
    line.sample()
    assert line.frames == []
    assert "no object Coil; there are: Head, Probe" in line.change.why


def test_a_stream_without_a_rate_needs_one_from_the_chairs_file() -> None:
    irregular = replaced(rate_hz=None)
    line, told = Line(), Line(frame_hz=120.0)
    for each in (line, told):
        each.tell(Found(layout=irregular, is_local=True))
        each.sample()
    assert "states no rate" in line.change.why and not line.frames
    assert len(told.frames) == 1


def test_silence_is_lost_after_100_ms_and_looked_for_again_after_a_second() -> None:
    line = tracking()
    line.wait(100 * MS)
    assert line.change.state is TrackerState.LOST
    line.wait(900 * MS)
    assert line.change.state is TrackerState.SETUP
    assert line.sent == [Follow(stream="opti")] * 2
    before = len(line.frames)
    line.sample()
    assert len(line.frames) == before, "what still comes of the old stream does not count"
    line.tell(Found(layout=LAYOUT, is_local=True))
    line.sample()
    assert line.change.state is TrackerState.TRACKING


def test_a_stream_that_is_gone_is_awaited_and_its_reader_too_until_it_is_silent_for_10_s() -> None:
    line = tracking()
    line.tell(Looking(), after_ns=PERIOD)
    assert line.change.state is TrackerState.SETUP and "not there" in line.change.why
    for _ in range(20):
        line.tell(Looking(), after_ns=500 * MS)
    assert line.reopens == 0
    line.wait(10_000 * MS)
    line.wait(20 * MS)
    assert line.reopens == 1 and "reader does not answer" in line.change.why


def test_a_found_stream_that_sends_nothing_is_looked_for_again_though_its_reader_lives() -> None:
    line = Line()
    line.tell(Found(layout=LAYOUT, is_local=True))
    for _ in range(11):
        line.tell(Quiet(), after_ns=500 * MS)
    assert len(line.sent) == 2


def test_two_streams_of_one_name_are_refused() -> None:
    line = Line()
    line.tell(Looking(why="2 streams bear this name", remedy="Let each sender have a name of its own."))
    assert "2 streams" in line.change.why and not line.frames


def test_a_sample_of_another_length_ends_the_link() -> None:
    line = tracking()
    line.now_ns += PERIOD
    line.tell(Sample(stamp_ns=300 * S, arrived_ns=line.now_ns, host_minus_source_ns=0, bound_ns=0, values=(1.0,) * 3))
    assert line.change.state is TrackerState.LOST


PACKETS = st.lists(
    st.one_of(
        st.builds(Looking, why=st.text(max_size=20), remedy=st.text(max_size=20)),
        st.builds(Quiet),
        st.builds(
            Sample,
            stamp_ns=st.integers(0, 1 << 62),
            arrived_ns=st.integers(0, 1 << 62),
            host_minus_source_ns=st.none() | st.integers(-(1 << 62), 1 << 62),
            bound_ns=st.none() | st.integers(0, 1 << 62),
            values=st.lists(st.floats(allow_nan=False), max_size=30).map(tuple),
        ),
    ),
    max_size=5,
)


@given(PACKETS, st.integers(1, 40))
def test_any_split_of_the_packets_reads_alike(packets: list[FromReader], pieces: int) -> None:
    data = b"".join(encode(packet) for packet in packets)
    reader: PacketReader[FromReader] = PacketReader(FromReader, "a test")
    found = [packet for start in range(0, len(data), pieces) for packet in reader.push(data[start : start + pieces])]
    assert found == packets


@given(st.binary(max_size=200))
def test_random_bytes_from_the_reader_give_nothing_but_wire_errors(data: bytes) -> None:
    reader: PacketReader[FromReader] = PacketReader(FromReader, "a test")
    try:
        list(reader.push(data))
    except WireError as error:
        assert error.remedy
