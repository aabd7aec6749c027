"""Codecs of the Magstim's line: any split reads alike, garbage yields only WireError, what is written is read."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from drivers import magstim_command_wire as commands
from drivers import magstim_wire as wire
from drivers.magstim_frame_wire import Dialect, Family, command_length, framed
from drivers.magstim_reading import REST_OF_REPLY_NS, ReplyReader
from drivers.values import WireError

DIALECTS = [
    Dialect(family=Family.MAGSTIM_200),
    Dialect(family=Family.BISTIM),
    *(Dialect(family=Family.RAPID, software=software) for software in (None, 5, 7, 8, 9, 10, 11)),
]
dialects = st.sampled_from(DIALECTS)
statuses = st.integers(0, 255).filter(lambda value: value not in (0x3F, 0x53)).map(wire.InstrumentStatus.from_byte)
rapid_statuses = st.integers(0, 255).map(wire.RapidStatus.from_byte)
extended_statuses = st.integers(0, 7).map(wire.ExtendedStatus.from_word)
codes = st.binary(min_size=2, max_size=2).map(lambda end: commands.UnlockCode(b"aZ09-!~#-._:;-" + end))


def all_commands(dialect: Dialect) -> st.SearchStrategy[commands.Command]:
    """Every command that this unit has."""
    digits = st.integers(0, 999)
    kinds: list[st.SearchStrategy[commands.Command]] = [
        st.just(commands.EnableRemote()),
        st.just(commands.DisableRemote()),
        st.integers(0, 110).map(lambda pct: commands.SetPower(pct=pct)),
        st.sampled_from([commands.DISARM, commands.ARM, commands.FIRE]),
        st.integers(0, 110).map(lambda pct: commands.SetPowerB(pct=pct)),
        digits.map(lambda steps: commands.SetInterval(steps=steps)),
        st.booleans().map(lambda on: commands.SetHighResolution(on=on)),
        st.booleans().map(lambda on: commands.SetEnhanced(on=on)),
        st.integers(0, 9999).map(lambda tenths: commands.SetFrequency(tenth_hz=tenths)),
        st.integers(0, 10**dialect.pulse_digits - 1).map(lambda pulses: commands.SetPulses(pulses=pulses)),
        st.integers(0, 10**dialect.duration_digits - 1).map(lambda tenths: commands.SetDuration(tenth_s=tenths)),
        st.integers(0, 10**dialect.delay_digits - 1).map(lambda ms: commands.SetChargeDelay(ms=ms)),
        st.just(commands.IgnoreCoilSwitch()),
        st.sampled_from(sorted(commands.QUESTIONS - {"N"})).flatmap(
            lambda letter: st.integers(0, 255).map(lambda pad: commands.Ask(letter=letter, pad=pad))
        ),
        st.just(commands.Ask(letter="N")),
    ]
    if dialect.needs_unlock:
        kinds.append(codes.map(lambda code: commands.EnableRemote(unlock=code)))
    return st.one_of(kinds).filter(lambda command: command_length(dialect, command.body(dialect)[0], 0x40) != 0)


def all_replies(dialect: Dialect) -> st.SearchStrategy[wire.Reply]:
    """Every reply that this unit can give."""
    acks = ["Q", "R", "@", "E"] + (["b"] if dialect.is_rapid else ["A", "C", "Y", "Z"] if dialect.family is Family.BISTIM else [])
    letters = [*acks, "F"]
    kinds: list[st.SearchStrategy[wire.Reply]] = [
        st.builds(wire.Ack, letter=st.sampled_from(acks), status=statuses),
        st.builds(wire.Temperature, status=statuses, first_tenth_c=st.integers(0, 999), second_tenth_c=st.integers(0, 999)),
        st.builds(wire.SimulatorMark, status=statuses),
        st.builds(wire.BadData, letter=st.sampled_from(letters)),
        st.builds(wire.Conflict, letter=st.sampled_from(letters)),
        st.just(wire.NoSuchCommand()),
    ]
    three = st.integers(0, 999)
    if not dialect.is_rapid:
        kinds.append(st.builds(wire.PairParameters, status=statuses, a_pct=three, b_pct=three, interval_steps=three))
    if dialect.family is Family.BISTIM:
        kinds.append(st.builds(wire.SystemMode, status=statuses, mode=st.sampled_from(sorted(wire.SYSTEM_MODES))))
    if dialect.is_rapid:
        kinds += rapid_replies(dialect)
    return st.one_of(kinds)


def rapid_replies(dialect: Dialect) -> list[st.SearchStrategy[wire.Reply]]:
    texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12).filter(lambda text: text[:1] not in ("?", "S"))
    acks = ["B", "D", "[", "^", "_"] + (["n"] if dialect.has_system_status and not dialect.has_long_delay else [])
    kinds: list[st.SearchStrategy[wire.Reply]] = [
        st.builds(wire.RapidAck, letter=st.sampled_from(acks), status=statuses, rapid=rapid_statuses),
        st.builds(
            wire.RapidParameters,
            status=statuses,
            rapid=rapid_statuses,
            power_pct=st.integers(0, 999),
            tenth_hz=st.integers(0, 9999),
            pulses=st.integers(0, 10**dialect.pulse_digits - 1),
            duration_tenth_s=st.integers(0, 10**dialect.duration_digits - 1),
            wait_tenth_s=st.integers(0, 10**dialect.wait_digits - 1),
        ),
        st.builds(wire.ErrorCode, status=statuses, source=st.sampled_from("UCE"), code=st.integers(0, 99)),
        texts.map(lambda text: wire.Version(text=text)),
    ]
    if dialect.has_system_status:
        letters = st.sampled_from(["x", "n"] if dialect.has_long_delay else ["x"])
        kinds.append(st.builds(wire.SystemStatus, letter=letters, status=statuses, rapid=rapid_statuses, extended=extended_statuses))
        kinds.append(st.builds(wire.ChargeDelay, status=statuses, ms=st.integers(0, 10**dialect.delay_digits - 1)))
    return kinds


spoken = dialects.flatmap(lambda dialect: st.tuples(st.just(dialect), st.lists(all_replies(dialect), min_size=1, max_size=6)))
told = dialects.flatmap(lambda dialect: st.tuples(st.just(dialect), st.lists(all_commands(dialect), min_size=1, max_size=6)))
junk = st.binary(max_size=12)


@given(spoken)
def test_reply_written_is_the_reply_read(said: tuple[Dialect, list[wire.Reply]]) -> None:
    dialect, replies = said
    stream = b"".join(wire.encode_reply(reply, dialect) for reply in replies)
    reader = ReplyReader(dialect)
    assert reader.feed(stream, 0) == replies
    assert reader.dropped == 0


@given(told)
def test_command_written_is_the_command_read(said: tuple[Dialect, list[commands.Command]]) -> None:
    dialect, sent = said
    stream = b"".join(commands.encode_command(command, dialect) for command in sent)
    assert commands.CommandReader(dialect).feed(stream, 0) == sent


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(place for place in cuts if place < len(stream)), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


@given(spoken, st.lists(junk, max_size=4), st.lists(st.integers(0, 200)))
def test_any_split_of_what_a_unit_says_reads_alike(said: tuple[Dialect, list[wire.Reply]], noise: list[bytes], cuts: list[int]) -> None:
    dialect, replies = said
    parts = [wire.encode_reply(reply, dialect) for reply in replies]
    stream = b"".join(part for pair in itertools.zip_longest(parts, noise, fillvalue=b"") for part in pair)
    whole, split = ReplyReader(dialect), ReplyReader(dialect)
    expected = whole.feed(stream, 0)
    assert [reply for chunk in cut(stream, cuts) for reply in split.feed(chunk, 0)] == expected
    assert (split.dropped, split.expires_ns) == (whole.dropped, whole.expires_ns)


@given(told, st.lists(junk, max_size=4), st.lists(st.integers(0, 200)))
def test_any_split_of_what_a_unit_hears_reads_alike(
    said: tuple[Dialect, list[commands.Command]], noise: list[bytes], cuts: list[int]
) -> None:
    dialect, sent = said
    parts = [commands.encode_command(command, dialect) for command in sent]
    stream = b"".join(part for pair in itertools.zip_longest(parts, noise, fillvalue=b"") for part in pair)
    split = commands.CommandReader(dialect)
    heard = [command for chunk in cut(stream, cuts) for command in split.feed(chunk, 0)]
    assert heard == commands.CommandReader(dialect).feed(stream, 0)


@given(dialects, st.binary(max_size=300))
def test_random_bytes_give_replies_or_nothing_and_the_reader_empties(dialect: Dialect, stream: bytes) -> None:
    reader = ReplyReader(dialect)
    for reply in reader.feed(stream, 0) + reader.expire(REST_OF_REPLY_NS):
        assert wire.encode_reply(reply, dialect) in stream
    assert reader.expires_ns is None


@given(dialects, st.binary(min_size=1, max_size=24))
def test_random_body_is_a_reply_that_can_be_written_or_a_wire_error(dialect: Dialect, body: bytes) -> None:
    try:
        reply = wire.decode_reply(framed(body), dialect)
    except WireError:
        return
    assert wire.encode_reply(reply, dialect) == framed(body)


@given(dialects, st.binary(min_size=1, max_size=24))
def test_random_body_is_a_command_that_can_be_written_or_a_wire_error(dialect: Dialect, body: bytes) -> None:
    try:
        command = commands.decode_command(framed(body), dialect)
    except WireError:
        return
    again = commands.encode_command(command, dialect)
    assert commands.decode_command(again, dialect) == command


@given(spoken, st.integers(0, 30), st.integers(1, 255))
def test_one_damaged_byte_costs_that_reply_and_the_next_question_is_heard(
    said: tuple[Dialect, list[wire.Reply]], place: int, flip: int
) -> None:
    dialect, replies = said
    first = bytearray(wire.encode_reply(replies[0], dialect))
    first[place % len(first)] ^= flip
    reader = ReplyReader(dialect)
    reader.feed(bytes(first), 0)
    later_ns = REST_OF_REPLY_NS
    asked_again = [*reader.expire(later_ns), *reader.feed(wire.encode_reply(replies[-1], dialect), later_ns)]
    assert asked_again[-1] == replies[-1]


@given(st.binary(max_size=40), codes)
def test_no_code_is_left_in_raw_bytes_for_a_log(before: bytes, code: commands.UnlockCode) -> None:
    frame = commands.encode_command(commands.EnableRemote(unlock=code), DIALECTS[-1])
    shown = commands.redacted(before + frame)
    assert len(shown) == len(before) + len(frame)
    assert code.reveal()[:13] not in shown
