"""Codecs of the MagPro's line: any split reads alike, garbage yields only WireError, what is written is read."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from drivers import magventure_command_wire as commands
from drivers import magventure_wire as wire
from drivers.magventure_frame_wire import MAX_BODY, FrameReader, frame
from drivers.values import WireError
from tests.magventure_fuzz import fuzz
from tests.magventure_values import COMMANDS, EVENTS

bodies = st.binary(min_size=1, max_size=MAX_BODY)
noise = st.lists(st.one_of(bodies.map(frame), st.binary(max_size=20), st.just(b"\xfe"), st.just(b"\xff\xfe\x04"))).map(b"".join)


@given(EVENTS)
def test_event_written_is_the_event_read(event: wire.Event) -> None:
    (body,) = FrameReader().feed(wire.encode_event(event), 0)
    assert wire.decode_event(body) == event


@given(COMMANDS)
def test_command_written_is_the_command_read(command: commands.Command) -> None:
    (body,) = FrameReader().feed(commands.encode_command(command), 0)
    assert commands.decode_command(body) == command


@given(noise, st.lists(st.integers(0, 400)))
def test_any_split_of_the_stream_reads_alike(stream: bytes, cuts: list[int]) -> None:
    whole = FrameReader()
    expected = whole.feed(stream, 0)
    split = FrameReader()
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    got = [body for start, end in itertools.pairwise(edges) for body in split.feed(stream[start:end], 0)]
    assert got == expected
    assert (split.broken, split.dropped, split.expires_ns) == (whole.broken, whole.dropped, whole.expires_ns)


@given(st.lists(bodies, min_size=1), st.binary(max_size=10))
def test_whole_frames_are_all_read_whatever_their_bytes(sent: list[bytes], junk: bytes) -> None:
    clean = bytes(value for value in junk if value != 0xFE)
    assert FrameReader().feed(clean + b"".join(frame(body) for body in sent), 0) == sent


@given(st.binary(max_size=400))
def test_random_bytes_give_bodies_or_nothing_and_only_wire_errors(stream: bytes) -> None:
    reader = FrameReader()
    for body in reader.feed(stream, 0) + reader.expire(10**12):
        for decode in (wire.decode_event, commands.decode_command):
            try:
                decode(body)
            except WireError:
                continue
    assert reader.expires_ns is None


@given(bodies)
def test_random_body_is_an_event_that_can_be_written_or_a_wire_error(body: bytes) -> None:
    try:
        event = wire.decode_event(body)
    except WireError:
        return
    assert wire.decode_event(event.body()) == event


@given(bodies)
def test_random_body_is_a_command_that_can_be_written_or_a_wire_error(body: bytes) -> None:
    try:
        command = commands.decode_command(body)
    except WireError:
        return
    assert commands.decode_command(command.body()) == command


def test_twenty_thousand_damaged_frames_give_only_wire_errors_and_cost_one_valid_frame_at_most() -> None:
    tally = fuzz(20_000, seed=1)
    assert tally.decoded > 1000
    assert tally.refused > 1000
    assert tally.lost < 100
