"""The OpenIGTLink driver in made-up time: which transforms make a frame, what is not seen, how old a backlog is, and every way back."""

import math

import pytest

from drivers.igtl import IgtlTracker
from drivers.igtl_wire import HEADER, IDENTITY, columns_of, crc64, encode_get_status, encode_transform
from drivers.values import ClockRestart, TrackerAlert, TrackerChanged, TrackerEvent, TrackerFrame, TrackerIdentity, TrackerState, Unseen

MS, S = 1_000_000, 1_000_000_000
TOOLS = {"head": "HeadToTracker", "coil": "CoilToTracker"}
PERIOD = 16_666_667


def turned(angle: float, x: float = 10.0) -> tuple[float, ...]:
    return columns_of((math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2)), (x, 20.0, -1500.0))


class Line:
    """A driver that is told what a server sends, on a clock of its own."""

    def __init__(self) -> None:
        self.now_ns = 100 * S
        self.tracker = IgtlTracker(TOOLS, frame_hz=60.0, stated_rms_mm=0.2, where="plus")
        self.events: list[TrackerEvent] = []
        self.reopens: list[str] = []
        self.sent = self._do(self.tracker.connected(self.now_ns))
        self._angle = 0.1

    def _do(self, step: object) -> bytes:
        self.events += step.events  # type: ignore[attr-defined]
        if step.reopen is not None:  # type: ignore[attr-defined]
            self.reopens.append(step.reopen)  # type: ignore[attr-defined]
        return step.send  # type: ignore[attr-defined,no-any-return]

    def feed(self, *messages: bytes, after_ns: int = 0) -> None:
        self.now_ns += after_ns
        self._do(self.tracker.feed(b"".join(messages), self.now_ns))

    def tick(self, after_ns: int) -> None:
        self.now_ns += after_ns
        self._do(self.tracker.tick(self.now_ns))

    def wait(self, ns: int) -> None:
        for _ in range(ns // (10 * MS)):
            self.tick(10 * MS)

    def pair(self, stamp_ns: int | None) -> bytes:
        """Head and coil of a new exposure."""
        self._angle += 0.01
        return encode_transform("HeadToTracker", turned(self._angle), stamp_ns) + encode_transform(
            "CoilToTracker", turned(-self._angle), stamp_ns
        )

    @property
    def frames(self) -> list[TrackerFrame]:
        return [event for event in self.events if isinstance(event, TrackerFrame)]

    @property
    def changes(self) -> list[TrackerChanged]:
        return [event for event in self.events if isinstance(event, TrackerChanged)]

    def unseen(self) -> list[Unseen | None]:
        return [sample.unseen for sample in self.frames[-1].tools]


def tracking() -> Line:
    line = Line()
    for number in range(1, 4):
        line.feed(line.pair(1000 * S + number * PERIOD), after_ns=PERIOD)
    assert len(line.frames) == 3
    return line


def test_it_says_that_it_is_there_and_a_frame_has_all_tools_with_the_sites_residual() -> None:
    line = tracking()
    assert line.sent == encode_get_status()
    assert [sample.tool for sample in line.frames[-1].tools] == ["head", "coil"]
    assert {sample.fit_rms_mm for sample in line.frames[-1].tools} == {0.2}
    assert line.frames[-1].stamp is not None and line.frames[-1].stamp.source_ns == 1000 * S + 3 * PERIOD
    assert line.changes[-1].state is TrackerState.TRACKING


def test_identity_is_not_seen() -> None:
    line = tracking()
    stamp_ns = 1001 * S
    line.feed(encode_transform("HeadToTracker", IDENTITY, stamp_ns), encode_transform("CoilToTracker", turned(1.0), stamp_ns))
    assert line.unseen() == [Unseen.MISSING, None]


def test_the_last_matrix_again_under_a_new_date_is_not_seen() -> None:
    line = tracking()
    for number in (1, 2, 3):
        stamp_ns = 1001 * S + number * PERIOD
        line.feed(
            encode_transform("HeadToTracker", turned(2.0), stamp_ns),
            encode_transform("CoilToTracker", turned(number / 7), stamp_ns),
            after_ns=PERIOD,
        )
    assert line.unseen() == [Unseen.MISSING, None]
    assert line.frames[-3].tools[0].unseen is None, "the first time it was new"


@pytest.mark.parametrize(
    ("metadata", "unseen"),
    [
        ({"TransformValid": "False"}, Unseen.MISSING),
        ({"TransformStatus": "MISSING"}, Unseen.MISSING),
        ({"TransformStatus": "OUT_OF_VIEW"}, Unseen.OUT_OF_VOLUME),
        ({"TransformValid": "true", "TransformStatus": "OK"}, None),
    ],
)
def test_what_the_sender_itself_calls_invalid_is_not_seen(metadata: dict[str, str], unseen: Unseen | None) -> None:
    line = tracking()
    stamp_ns = 1001 * S
    line.feed(
        encode_transform("HeadToTracker", turned(2.0), stamp_ns, version=2, metadata=metadata),
        encode_transform("CoilToTracker", turned(1.0), stamp_ns, version=2),
    )
    assert line.unseen() == [unseen, None]


@pytest.mark.parametrize(
    "columns",
    [(math.nan,) * 12, (2.0, 0, 0, 0, 2.0, 0, 0, 0, 2.0, 1.0, 1.0, 1.0), (*turned(1.0)[:9], 20_000.0, 0.0, 0.0)],
    ids=["no numbers", "scaled", "20 m away"],
)
def test_what_is_no_pose_is_a_bad_one(columns: tuple[float, ...]) -> None:
    line = tracking()
    line.feed(encode_transform("HeadToTracker", columns, 1001 * S), encode_transform("CoilToTracker", turned(1.0), 1001 * S))
    assert line.unseen() == [Unseen.BAD_POSE, None]


def test_a_tool_that_is_not_sent_is_missing_as_soon_as_the_next_exposure_begins() -> None:
    line = tracking()
    line.feed(encode_transform("CoilToTracker", turned(1.0), 1001 * S), after_ns=PERIOD)
    assert len(line.frames) == 3
    line.feed(encode_transform("CoilToTracker", turned(1.1), 1001 * S + PERIOD), after_ns=5 * MS)
    assert line.unseen() == [Unseen.MISSING, None]


def test_a_frame_that_stays_incomplete_goes_without_its_rest_after_10_ms() -> None:
    line = tracking()
    line.feed(encode_transform("CoilToTracker", turned(1.0), 1001 * S), after_ns=PERIOD)
    line.tick(10 * MS)
    assert line.unseen() == [Unseen.MISSING, None]


def test_head_and_coil_of_two_exposures_never_make_a_frame() -> None:
    line = tracking()
    line.feed(encode_transform("HeadToTracker", turned(1.0), 1001 * S), encode_transform("CoilToTracker", turned(1.0), 1001 * S + 2 * MS))
    line.tick(10 * MS)
    assert [[sample.unseen for sample in frame.tools] for frame in line.frames[-2:]] == [[None, Unseen.MISSING], [Unseen.MISSING, None]]


def test_the_same_message_again_is_no_frame_and_frames_that_never_came_are_counted() -> None:
    line = tracking()
    pair = line.pair(1000 * S + 8 * PERIOD)
    line.feed(pair, after_ns=PERIOD)
    line.feed(pair, after_ns=PERIOD)
    assert len(line.frames) == 4
    assert line.frames[-1].skipped == 4


def test_without_dates_the_order_and_the_moment_tell_what_belongs_together() -> None:
    line = Line()
    line.feed(line.pair(None), after_ns=PERIOD)
    line.feed(line.pair(None)[len(line.pair(None)) // 2 :], after_ns=PERIOD)  # the coil alone
    line.tick(10 * MS)
    line.feed(line.pair(None), after_ns=PERIOD)
    assert [[sample.unseen is None for sample in frame.tools] for frame in line.frames] == [[True, True], [False, True], [True, True]]
    assert line.frames[-1].stamp is None


def test_without_dates_a_coil_before_its_head_is_of_the_exposure_before() -> None:
    line = Line()
    line.feed(encode_transform("CoilToTracker", turned(1.0), None), after_ns=PERIOD)
    line.feed(encode_transform("HeadToTracker", turned(1.0), None), after_ns=2 * MS)
    line.tick(10 * MS)
    assert [[sample.unseen is None for sample in frame.tools] for frame in line.frames] == [[False, True], [True, False]]


def test_without_dates_what_comes_3_ms_later_is_another_exposure() -> None:
    line = Line()
    line.feed(encode_transform("HeadToTracker", turned(1.0), None), after_ns=PERIOD)
    line.feed(encode_transform("CoilToTracker", turned(1.0), None), after_ns=3 * MS + 1)
    line.tick(10 * MS)
    assert [[sample.unseen is None for sample in frame.tools] for frame in line.frames] == [[True, False], [False, True]]


def test_without_dates_a_backlog_is_shown_and_never_good_enough() -> None:
    line = Line()
    line.feed(line.pair(None), after_ns=PERIOD)
    line.feed(line.pair(None), line.pair(None), line.pair(None), after_ns=PERIOD)
    assert [frame.tools[0].flagged for frame in line.frames] == [False, True, True, True]
    line.feed(line.pair(None), after_ns=PERIOD)
    assert not line.frames[-1].tools[0].flagged


def test_bytes_found_after_a_long_look_away_came_no_later_than_the_last_look() -> None:
    line = tracking()
    looked_ns = line.now_ns
    line.feed(line.pair(1001 * S), line.pair(1001 * S + PERIOD), after_ns=300 * MS)
    assert all(frame.received_ns <= looked_ns + 2 for frame in line.frames[-2:])


def test_silence_is_lost_after_100_ms_and_a_new_link_is_asked_for_after_a_second() -> None:
    line = tracking()
    line.wait(100 * MS)
    assert line.changes[-1].state is TrackerState.LOST
    assert "100 ms" in line.changes[-1].why and line.changes[-1].remedy
    line.wait(890 * MS)
    assert line.reopens == []
    line.wait(30 * MS)
    assert len(line.reopens) == 1
    line._do(line.tracker.connected(line.now_ns))
    line.feed(line.pair(1010 * S), after_ns=PERIOD)
    assert line.changes[-1].state is TrackerState.TRACKING
    assert [type(event) for event in line.events[-5:]] == [TrackerChanged, TrackerIdentity, ClockRestart, TrackerChanged, TrackerFrame]


def test_a_server_that_sends_other_names_is_said_to() -> None:
    line = Line()
    for _ in range(52):
        line.feed(encode_transform("ProbeToTracker", turned(1.0), None), after_ns=100 * MS)
    assert "none of HeadToTracker, CoilToTracker came; heard: ProbeToTracker" in line.changes[-1].why
    assert "[tracker.tools]" in line.changes[-1].remedy


def test_garbage_ends_the_link_and_damage_is_counted_until_it_is_too_much() -> None:
    line = tracking()
    bad = HEADER.pack(1, b"TRANSFORM", b"HeadToTracker", 0, 0, 48, crc64(bytes(48)) ^ 1) + bytes(48)
    line.feed(bad, line.pair(1001 * S), after_ns=PERIOD)
    assert len(line.frames) == 4
    assert any(isinstance(event, TrackerAlert) and "1 damaged messages" in event.what for event in line.events)
    line.feed(bad * 4, after_ns=PERIOD)
    assert line.changes[-1].state is TrackerState.LOST and "one damaged message after another" in line.changes[-1].why
    other = tracking()
    other.feed(b"HTTP/1.1 200 OK\r\n" * 5, after_ns=PERIOD)
    assert other.changes[-1].state is TrackerState.LOST and "no OpenIGTLink header" in other.changes[-1].why


def test_after_farewell_nothing_counts() -> None:
    line = tracking()
    line._do(line.tracker.farewell(line.now_ns))
    line.feed(line.pair(1001 * S))
    assert len(line.frames) == 3
