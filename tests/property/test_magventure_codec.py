"""Codecs of the MagPro's line: any split reads alike, garbage yields only WireError, what is written is read."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from drivers import magventure_command_wire as commands
from drivers import magventure_wire as wire
from drivers.magventure_frame_wire import MAX_BODY, FrameReader, frame
from drivers.values import WireError

byte = st.integers(0, 255)
pct = st.integers(0, 100)
word = st.integers(0, 65_535)
signed_word = st.integers(-32_768, 32_767)
long = st.integers(-(2**31), 2**31 - 1)
flag = st.booleans()
mode = st.sampled_from(wire.Mode)
waveform = st.sampled_from(wire.Waveform)
burst = st.integers(2, 5)
bits = st.builds(wire.StatusBits, mode=mode, waveform=waveform, enabled=flag, model=st.integers(0, 7))
status = {
    "bits": bits,
    "serial": st.integers(0, 2**24 - 1),
    "temperature_c": byte,
    "coil_type": byte,
    "a_pct": pct,
    "b_pct": pct,
}

EVENTS = st.one_of(
    st.builds(wire.ShortStatus, **status),
    st.builds(
        wire.LongStatus,
        **status,
        original_a_pct=byte,
        original_b_pct=byte,
        factor_a_pct=byte,
        factor_b_pct=byte,
        page=byte,
        running=flag,
    ),
    st.builds(wire.AmplitudeReport, a_pct=pct, b_pct=pct, bits=bits),
    st.builds(wire.PulseFired, didt_a_per_us=byte, didt_b_per_us=byte, bits=bits),
    st.builds(wire.CoilReport, temperature_c=byte, coil_type=byte, bits=bits),
    st.builds(wire.MepReport, max_uv=long, min_uv=long, time_us=long, peak_to_peak_uv=st.none() | long),
    st.builds(wire.OriginalAmplitude, a_pct=pct, b_pct=pct, bits=bits),
    st.builds(wire.GainReport, gain_a_pct=byte, gain_b_pct=byte, bits=bits),
    st.builds(wire.PageReport, page=byte, running=flag, bits=bits),
    st.builds(
        wire.WaveformReport,
        flag=byte,
        model_byte=byte,
        mode=mode,
        reverse=flag,
        waveform=waveform,
        pulses_per_burst=burst,
        ipi_index=word,
        ba_index=byte,
    ),
    st.builds(wire.DelayReport, trigger_in_tenth_ms=word, trigger_out_tenth_ms=signed_word, charge_ms=word),
    st.builds(
        wire.TrainReport,
        timing_control=byte,
        rate_tenth_hz=word,
        pulses=word,
        trains=word,
        gap_tenth_s=word,
        warning=flag,
        ramp_up_pct=byte,
        ramp_up_trains=byte,
    ),
    st.builds(wire.CounterReport, trains=word, total_pulses=st.integers(0, 2**24 - 1), stimuli=word, page=byte),
)
train = {"rate_tenth_hz": word, "pulses": word, "trains": word, "gap_tenth_s": word}
delays = {"trigger_in_tenth_ms": word, "trigger_out_tenth_ms": signed_word, "charge_ms": word}
COMMANDS = st.one_of(
    *(
        st.builds(kind)
        for kind in (
            commands.AskStatus,
            commands.AskLongStatus,
            commands.AskWaveform,
            commands.AskDelays,
            commands.AskTrain,
            commands.AskCounters,
            commands.Trigger,
            commands.StartTrain,
        )
    ),
    st.builds(commands.SetAmplitude, a_pct=pct, b_pct=st.none() | pct),
    st.builds(commands.SetEnabled, on=flag),
    st.builds(commands.SetTrain, **train),
    st.builds(commands.WriteTrain, timing_control=byte, warning=flag, **train),
    st.builds(commands.SelectPage, page=byte),
    st.builds(commands.SetDelays, **delays),
    st.builds(commands.WriteDelays, **delays),
    st.builds(
        commands.SetWaveform,
        model=byte,
        mode=mode,
        reverse=flag,
        waveform=waveform,
        pulses_per_burst=burst,
        ipi_us=word.map(lambda tenth_ms: 100 * tenth_ms),
        ba_pct=word,
    ),
)
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
