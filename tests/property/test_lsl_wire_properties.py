"""The trigger box's language and the bridge's: what goes in comes out, however it is cut; nothing else comes out of anything else."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.lsl_bridge_wire import Down, Ping, Pong, decode_word, encode_word
from drivers.lsl_bridge_wire import Word as BridgeWord
from drivers.lsl_marker_wire import LONGEST, LineReader, check
from drivers.lsl_trigger_wire import (
    Answer,
    AnyCommand,
    Arm,
    Ask,
    Fire,
    Pattern,
    PulseGiven,
    Set,
    Status,
    Stop,
    decode_answer,
    decode_command,
    encode,
    period_ns,
)
from drivers.values import WireError

names = st.text("0123456789abcdef", min_size=16, max_size=16)
numbers = st.integers(1, 2**53)
counts = st.integers(0, 2**53)
texts = st.text(string.ascii_letters + string.digits + " -.,;:'\"\\/{}[]%~", max_size=80)
rates = st.decimals(min_value="0.001", max_value=100, places=3).map(str)
patterns = st.builds(
    Pattern,
    amplitude_pct_mso=st.integers(0, 100),
    pulses_per_burst=st.integers(1, 100),
    intra_burst_interval_us=st.integers(0, 1_000_000),
    burst_hz=rates,
    bursts=st.integers(1, 100_000),
)
times = st.integers(1, 60_000)
commands: st.SearchStrategy[AnyCommand] = st.one_of(
    st.builds(Stop, run=names, id=numbers),
    st.builds(Ask, run=names, id=numbers),
    st.builds(Set, run=names, id=numbers, pattern=patterns),
    st.builds(Arm, run=names, id=numbers, after=numbers, within_ms=times, alive_ms=times),
    st.builds(Fire, run=names, id=numbers, after=numbers, within_ms=times, first=numbers, bursts=numbers),
)
answers: st.SearchStrategy[Answer] = st.one_of(
    st.builds(
        Status,
        box=names,
        number=numbers,
        run=st.none() | names,
        heard=counts,
        pattern=st.none() | patterns,
        amplitude_pct_mso=st.none() | st.integers(0, 100),
        coil_type=st.none() | counts,
        temperature_c=st.none() | st.integers(-50, 200),
        given=st.none() | counts,
        model=texts,
        serial=counts,
        refused=st.none() | texts,
        fault=st.none() | texts,
    ),
    st.builds(PulseGiven, box=names, number=numbers, run=st.none() | names, id=st.none() | numbers, burst=numbers, pulse=numbers),
)
words: st.SearchStrategy[BridgeWord] = st.one_of(
    st.builds(Ping, id=counts), st.builds(Pong, id=counts, rivals=counts), st.builds(Down, why=texts)
)
STOP = Stop(run="0123456789abcdef", id=3)


@given(commands)
def test_every_command_comes_out_as_it_went_in(command: AnyCommand) -> None:
    assert decode_command(encode(command)) == command


@given(answers)
def test_every_answer_comes_out_as_it_went_in_and_fits_on_one_line(answer: Answer) -> None:
    marker = encode(answer)
    assert decode_answer(marker) == answer
    assert len(marker) <= LONGEST
    assert marker.isprintable()


@given(words)
def test_every_word_of_the_bridge_comes_out_as_it_went_in(word: BridgeWord) -> None:
    assert decode_word(encode_word(word)) == word


@given(st.one_of(commands, answers), st.data())
def test_a_marker_with_any_one_character_changed_lost_or_added_is_none(message: AnyCommand | Answer, data: st.DataObject) -> None:
    marker = encode(message)
    at = data.draw(st.integers(0, len(marker) - 1))
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=126).filter(lambda char: char != marker[at]))
    how = data.draw(st.sampled_from(("changed", "lost", "added")))
    spoiled = {
        "changed": marker[:at] + other + marker[at + 1 :],
        "lost": marker[:at] + marker[at + 1 :],
        "added": marker[:at] + other + marker[at:],
    }[how]
    for decode in (decode_command, decode_answer, decode_word):
        with pytest.raises(WireError):
            decode(spoiled)


@given(st.text(max_size=200))
def test_any_text_gives_only_wire_errors(text: str) -> None:
    for decode in (decode_command, decode_answer, decode_word):
        with pytest.raises(WireError):
            decode(text)


@given(st.sampled_from(("stop", "ask", "set", "arm", "fire", "status", "pulse")), st.text("{}[]\":,0123456789abcdef ", max_size=60))
def test_any_body_under_a_right_check_gives_only_wire_errors(verb: str, body: str) -> None:
    for decode in (decode_command, decode_answer):
        with pytest.raises(WireError):
            decode(f"atmsd/1 {verb} {check(f'{verb} {body}')} {body}")


def test_a_body_nested_without_end_is_a_wire_error() -> None:
    body = '{"a":' * 150
    with pytest.raises(WireError):
        decode_command(f"atmsd/1 stop {check(f'stop {body}')} {body}")


@pytest.mark.parametrize("change", [("atmsd/1", "atmsd/2"), ("stop", "halt")])
def test_another_version_and_an_unknown_verb_are_refused(change: tuple[str, str]) -> None:
    with pytest.raises(WireError, match="which is not atmsd/1"):
        decode_command(encode(STOP).replace(*change))


def test_a_marker_as_a_box_s_maker_would_write_it_by_hand() -> None:
    """The check is the CRC-32 that gzip writes behind the same text: the verb, a space and the body."""
    assert encode(STOP) == 'atmsd/1 stop 753ba991 {"run":"0123456789abcdef","id":3}'


def test_an_unknown_key_is_refused() -> None:
    body = '{"run":"0123456789abcdef","id":3,"soon":true}'
    with pytest.raises(WireError, match="soon"):
        decode_command(f"atmsd/1 stop {check(f'stop {body}')} {body}")


@given(rates)
def test_every_rate_has_a_period(rate: str) -> None:
    pattern = Pattern(amplitude_pct_mso=1, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz=rate, bursts=1)
    assert 1 <= period_ns(pattern) <= 10**12


@given(st.lists(st.one_of(commands, answers), max_size=6), st.data())
def test_lines_are_the_same_however_they_are_cut(messages: list[AnyCommand | Answer], data: st.DataObject) -> None:
    stream = "".join(f"{encode(message)}\n" for message in messages).encode("ascii")
    reader, lines, rest = LineReader(), list[str](), stream
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        lines += reader.feed(rest[:size])
        rest = rest[size:]
    assert lines == [encode(message) for message in messages]
    assert reader.broken == 0


@given(st.lists(st.binary(max_size=300), max_size=6), st.data())
def test_whatever_came_before_costs_at_most_the_line_it_is_in(garbage: list[bytes], data: st.DataObject) -> None:
    reader = LineReader()
    for part in garbage:
        reader.feed(part)
    cut = data.draw(st.integers(0, 20))
    whole = b"\n" + encode(STOP).encode("ascii") + b"\n"
    assert (reader.feed(whole[:cut]) + reader.feed(whole[cut:]))[-1] == encode(STOP)


def test_a_line_without_end_is_forgotten_and_counted_once() -> None:
    reader = LineReader()
    for _ in range(100):
        assert reader.feed(b"x" * 100) == []
    assert reader.feed(b"\n" + encode(STOP).encode("ascii") + b"\n") == [encode(STOP)]
    assert reader.broken == 1
