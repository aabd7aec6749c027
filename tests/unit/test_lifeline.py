"""The thread between supervisor and child: beats, notes, the end of the other side."""

import socket
from collections.abc import Iterator

import pytest

from daemon.lifeline import Lifeline, Note
from daemon.supervise import HOT_LATE_NS, STARTING_NS, _Watch

Pair = tuple[Lifeline, Lifeline]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    lives = (Lifeline(ends[0].detach()), Lifeline(ends[1].detach()))
    yield lives
    for life in lives:
        life.close()


def test_the_newest_beat_counts_by_when_it_was_made(pair: Pair) -> None:
    ours, theirs = pair
    theirs.beat(5)
    theirs.beat(9)
    assert not ours.listen()
    assert ours.heard_ns == 9


def test_a_note_is_told_apart_from_a_beat(pair: Pair) -> None:
    ours, theirs = pair
    theirs.tell(Note.NOT_DISARMED)
    theirs.beat(7)
    assert not ours.listen()
    assert (ours.note, ours.heard_ns) == (Note.NOT_DISARMED, 7)


def test_the_end_of_the_other_side_is_noticed(pair: Pair) -> None:
    ours, theirs = pair
    theirs.beat(3)
    theirs.close()
    assert ours.listen()
    assert ours.heard_ns == 3


def test_nobody_who_reads_delays_nobody(pair: Pair) -> None:
    ours, _ = pair
    for beat in range(10_000):
        ours.beat(beat)
    assert not ours.cut


def test_a_hot_process_hangs_when_its_newest_beat_is_301_ms_old() -> None:
    watch = _Watch(0)
    assert not watch.hangs(0, HOT_LATE_NS)
    assert watch.hangs(0, HOT_LATE_NS + 1)


def test_before_its_first_beat_it_has_time_to_start() -> None:
    watch = _Watch(0)
    looks = range(0, STARTING_NS, HOT_LATE_NS // 2)
    assert not any(watch.hangs(None, now_ns) for now_ns in looks)
    assert watch.hangs(None, STARTING_NS + 1)


def test_a_supervisor_that_slept_itself_blames_nobody_before_it_has_listened() -> None:
    watch = _Watch(0)
    assert not watch.hangs(0, 0)
    woke_ns = 10 * HOT_LATE_NS
    assert not watch.hangs(0, woke_ns)
    assert not watch.hangs(0, woke_ns + HOT_LATE_NS)
    assert watch.hangs(0, woke_ns + HOT_LATE_NS + 1)
