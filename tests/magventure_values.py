"""Hypothesis strategies for every event and command of the MagPro's line, each value within its field."""

from hypothesis import strategies as st

from drivers import magventure_command_wire as commands
from drivers import magventure_wire as wire

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
