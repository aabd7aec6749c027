"""The simulated MagPro against what users of the real one describe: answers to the byte, trains to the nanosecond."""

import random

import pytest
from msgspec.structs import replace

from drivers.magventure_command_wire import (
    AskCounters,
    AskDelays,
    AskLongStatus,
    AskStatus,
    AskTrain,
    AskWaveform,
    Command,
    SelectPage,
    SetAmplitude,
    SetDelays,
    SetEnabled,
    SetTrain,
    SetWaveform,
    StartTrain,
    Trigger,
    WriteTrain,
)
from drivers.magventure_frame_wire import FrameReader
from drivers.magventure_wire import (
    AmplitudeReport,
    CoilReport,
    DelayReport,
    Event,
    LongStatus,
    Mode,
    PageReport,
    PulseFired,
    ShortStatus,
    TrainReport,
    Waveform,
    WaveformReport,
    decode_event,
)
from sim.magventure_charge import CHARGE_NS_PER_PCT
from sim.magventure_device import MagVentureDevice
from sim.magventure_faults import MagVentureFaults, damaged
from tests.magventure_line import MS, START_NS, RememberedTruth

BURST = SetWaveform(
    model=3, mode=Mode.STANDARD, reverse=False, waveform=Waveform.BURST, pulses_per_burst=3, ipi_us=20_000, ba_pct=100
)


class Bench:
    """A unit alone on a bench: commands in, whole frames out, time as told."""

    def __init__(self, model: str = "x100-option") -> None:
        self.truth = RememberedTruth()
        self.faults = MagVentureFaults()
        self.device = MagVentureDevice(self.truth, self.faults, START_NS, model=model)
        self.now_ns = START_NS

    def say(self, *commands: Command) -> None:
        for command in commands:
            self.device.hear(command.body(), self.now_ns)

    def run(self, ms: float) -> list[bytes]:
        self.now_ns += round(ms * MS)
        self.device.advance(self.now_ns)
        return self.device.take_frames()

    def events(self, ms: float) -> list[Event]:
        return [decode_event(body) for frame in self.run(ms) for body in FrameReader().feed(frame, 0)]

    def ask(self, *commands: Command) -> list[Event]:
        """What is said until all is answered."""
        self.say(*commands)
        return self.events(20 * len(commands))

    def enable(self, *before: Command) -> list[Event]:
        """What is said from the enable until the unit is charged, after some settings."""
        self.ask(*before)
        self.say(SetEnabled(on=True))
        return self.events(20 + CHARGE_NS_PER_PCT * self.device.settings.a_pct / MS)

    def make_ready(self, train: SetTrain) -> None:
        self.enable(SetAmplitude(a_pct=50), BURST, SelectPage(page=2), train)

    def pulses_ms(self) -> list[float]:
        """Relative to the first."""
        pulses_ns = self.truth.pulses_ns
        return [(at_ns - pulses_ns[0]) / MS for at_ns in pulses_ns]


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


@pytest.mark.parametrize(
    ("body", "lengths"),
    [
        ("00", [13]),
        ("01 32", [8]),
        ("01 32 28", [8]),
        ("02 01", [8, 8, 8]),
        ("02 00", [8]),
        ("05", [19]),
        ("06 00 32 00 0A 00 14 00 50", [8]),
        ("07 02 00", [8]),
        ("08 00 05 FF EC 00 64 00 00", [8]),
        ("09 00", [14]),
        ("09 00 00 00 00 00 00 00 00 00 00", [14]),
        ("09 01 03 00 00 03 02 00 C8 00 64", [14]),
        ("0A 00", [12]),
        ("0A 01 00 05 FF EC 00 64", [12]),
        ("0B 00", [18]),
        ("0B 01 00 00 32 00 0A 00 14 00 50 01", [18]),
        ("0C 00", [18]),
        ("03", []),  # disabled
        ("04", []),  # disabled
        ("01 65", []),  # 101 %
        ("07 0D 00", []),  # the service page
        ("0E", []),  # no such command
    ],
)
def test_answers_have_the_lengths_that_clients_count_on(body: str, lengths: list[int]) -> None:
    bench = Bench()
    bench.device.hear(bytes.fromhex(body), START_NS)
    assert [len(frame) for frame in bench.run(20)] == lengths


def test_nothing_is_said_unasked_in_an_hour() -> None:
    assert Bench().run(3_600_000) == []


def test_fresh_unit_is_an_x100_with_option_in_standby_and_cool() -> None:
    (status,) = Bench().ask(AskLongStatus())
    assert isinstance(status, LongStatus)
    assert (status.bits.model, status.bits.enabled, status.running, status.serial) == (3, False, False, 0x53494D)
    assert (status.temperature_c, status.coil_type) == (22, 60)


def test_commands_sent_back_to_back_are_answered_in_order_20_ms_apart() -> None:
    bench = Bench()
    bench.say(AskLongStatus(), AskWaveform(), AskTrain(), AskCounters())
    answers = [kinds(bench.events(20)) for _ in range(4)]
    assert answers == [["LongStatus"], ["WaveformReport"], ["TrainReport"], ["CounterReport"]]


def test_enable_says_amplitude_coil_amplitude() -> None:
    events = Bench().ask(SetEnabled(on=True))
    assert kinds(events) == ["AmplitudeReport", "CoilReport", "AmplitudeReport"]
    assert all(event.bits.enabled for event in events if isinstance(event, AmplitudeReport | CoilReport))


def test_trigger_fires_one_burst_with_one_receipt_at_its_first_pulse() -> None:
    bench = Bench()
    bench.enable(SetAmplitude(a_pct=50), BURST)
    (receipt,) = bench.ask(Trigger())
    assert isinstance(receipt, PulseFired)
    assert receipt.didt_a_per_us == 75
    assert bench.run(100) == []
    assert bench.pulses_ms() == [0, 20, 40]


def test_biphasic_trigger_fires_one_pulse() -> None:
    bench = Bench()
    bench.enable(SetAmplitude(a_pct=50))
    bench.ask(Trigger())
    bench.run(100)
    assert len(bench.truth.pulses_ns) == 1


def test_train_has_its_bursts_and_its_gap_from_last_burst_to_first() -> None:
    bench = Bench()
    bench.make_ready(SetTrain(rate_tenth_hz=50, pulses=2, trains=2, gap_tenth_s=10))
    events = bench.ask(StartTrain()) + bench.events(5000)
    assert bench.pulses_ms() == [0, 20, 40, 200, 220, 240, 1200, 1220, 1240, 1400, 1420, 1440]
    assert kinds(events) == ["PageReport", *["PulseFired"] * 4, "PageReport"]
    assert [event.running for event in events if isinstance(event, PageReport)] == [True, False]


def test_disable_between_bursts_ends_the_train_at_once() -> None:
    bench = Bench()
    bench.make_ready(SetTrain(rate_tenth_hz=50, pulses=10, trains=1, gap_tenth_s=10))
    bench.ask(StartTrain())
    bench.run(100)
    end, disabled = bench.ask(SetEnabled(on=False))
    assert isinstance(end, PageReport)
    assert not end.running
    assert isinstance(disabled, AmplitudeReport)
    assert not disabled.bits.enabled
    bench.run(3000)
    assert len(bench.truth.pulses_ns) == 3


def test_disable_inside_a_burst_finishes_the_burst_and_only_then_answers() -> None:
    bench = Bench()
    bench.make_ready(SetTrain(rate_tenth_hz=50, pulses=10, trains=1, gap_tenth_s=10))
    bench.ask(StartTrain())
    bench.run(5)
    bench.say(SetEnabled(on=False), AskStatus())
    assert bench.run(34) == []
    assert kinds(bench.events(1)) == ["PageReport", "AmplitudeReport"]
    assert len(bench.events(5)) == 1
    assert bench.pulses_ms() == [0, 20, 40]


@pytest.mark.parametrize("missing", ["enable", "page"])
def test_train_starts_only_enabled_and_on_the_timing_page(missing: str) -> None:
    bench = Bench()
    bench.make_ready(SetTrain(rate_tenth_hz=50, pulses=10, trains=1, gap_tenth_s=10))
    bench.ask(SetEnabled(on=False) if missing == "enable" else SelectPage(page=1))
    assert bench.ask(StartTrain()) == []
    bench.run(1000)
    assert not bench.truth.pulses_ns


def test_train_settings_are_taken_on_the_timing_page_only() -> None:
    bench = Bench()
    bench.ask(SetTrain(rate_tenth_hz=50, pulses=10, trains=3, gap_tenth_s=80))
    (report,) = bench.ask(AskTrain())
    assert isinstance(report, TrainReport)
    assert report.pulses == 1
    bench.ask(SelectPage(page=2), SetTrain(rate_tenth_hz=50, pulses=10, trains=3, gap_tenth_s=80))
    (report,) = bench.ask(AskTrain())
    assert isinstance(report, TrainReport)
    assert (report.rate_tenth_hz, report.pulses, report.trains, report.gap_tenth_s) == (50, 10, 3, 80)


def test_values_off_the_devices_steps_are_moved_silently() -> None:
    bench = Bench()
    bench.ask(SelectPage(page=2), WriteTrain(timing_control=0, rate_tenth_hz=333, pulses=1040, trains=1, gap_tenth_s=1, warning=True))
    (report,) = bench.ask(AskTrain())
    assert isinstance(report, TrainReport)
    assert (report.rate_tenth_hz, report.pulses, report.warning) == (330, 1000, True)


def test_r30_refuses_the_burst_waveform_silently() -> None:
    bench = Bench("r30")
    (report,) = bench.ask(BURST)
    assert isinstance(report, WaveformReport)
    assert report.waveform is Waveform.BIPHASIC


def test_delays_of_command_8_are_read_back_by_command_10() -> None:
    bench = Bench()
    bench.ask(SetDelays(trigger_in_tenth_ms=5, trigger_out_tenth_ms=-20, charge_ms=100))
    assert bench.ask(AskDelays()) == [DelayReport(trigger_in_tenth_ms=5, trigger_out_tenth_ms=-20, charge_ms=100)]


def test_coil_at_43_degrees_disables_the_device_and_keeps_it_so() -> None:
    bench = Bench()
    bench.make_ready(SetTrain(rate_tenth_hz=50, pulses=1000, trains=1, gap_tenth_s=10))
    bench.ask(StartTrain())
    bench.faults.heating_c_per_s = 10.0
    events = bench.events(5000)
    assert not bench.device.enabled
    assert not bench.device.running
    assert max(event.temperature_c for event in events if isinstance(event, CoilReport)) >= 43
    fired = len(bench.truth.pulses_ns)
    bench.ask(SetEnabled(on=True), StartTrain())
    assert not bench.device.enabled
    assert len(bench.truth.pulses_ns) == fired


def test_pulses_warm_the_coil_and_rest_cools_it() -> None:
    bench = Bench()
    bench.enable(
        SetAmplitude(a_pct=100), BURST, SelectPage(page=2), SetTrain(rate_tenth_hz=50, pulses=200, trains=1, gap_tenth_s=10)
    )
    bench.say(StartTrain())
    steps = [event.temperature_c for event in bench.events(40_000) if isinstance(event, CoilReport)]
    assert steps == sorted(steps)
    assert 26 <= steps[-1] <= 29
    cooled = [event.temperature_c for event in bench.events(3_600_000) if isinstance(event, CoilReport)]
    assert cooled == sorted(cooled, reverse=True)
    assert cooled[-1] == 22


def test_coil_pulled_out_disables() -> None:
    bench = Bench()
    bench.ask(SetEnabled(on=True))
    bench.device.plug_coil(0, bench.now_ns)
    assert not bench.device.enabled
    bench.ask(SetEnabled(on=True))
    assert not bench.device.enabled


def test_power_cycle_ends_a_train_without_a_word() -> None:
    bench = Bench()
    bench.make_ready(SetTrain(rate_tenth_hz=50, pulses=10, trains=1, gap_tenth_s=10))
    bench.ask(StartTrain())
    bench.device.reset(bench.now_ns)
    assert bench.run(5000) == []
    assert len(bench.truth.pulses_ns) == 1
    assert bench.truth.charged_states[-1][1] is False


def test_enable_is_answered_when_the_unit_is_charged() -> None:
    bench = Bench()
    bench.ask(SetAmplitude(a_pct=60))
    bench.say(SetEnabled(on=True))
    assert bench.run(79) == []
    assert not bench.device.enabled
    assert [len(frame) for frame in bench.run(1)] == [8, 8, 8]
    assert bench.device.enabled


def test_disable_while_charging_is_obeyed_and_the_enable_comes_to_nothing() -> None:
    bench = Bench()
    bench.ask(SetAmplitude(a_pct=60))
    bench.say(SetEnabled(on=True))
    bench.run(30)
    assert kinds(bench.ask(SetEnabled(on=False))) == ["AmplitudeReport"]
    assert bench.run(2000) == []
    assert not bench.device.enabled


def receipts(bench: Bench, ms: float) -> list[int]:
    return [event.didt_a_per_us for event in bench.events(ms) if isinstance(event, PulseFired)]


BIPHASIC = replace(BURST, waveform=Waveform.BIPHASIC)


@pytest.mark.parametrize(
    ("rate_hz", "amplitude", "sags"), [(10, 100, False), (30, 100, False), (50, 100, False), (100, 50, False), (100, 100, True)]
)
def test_output_sags_at_the_highest_rate_and_strength_alone(rate_hz: int, amplitude: int, sags: bool) -> None:
    bench = Bench()
    train = SetTrain(rate_tenth_hz=10 * rate_hz, pulses=50, trains=1, gap_tenth_s=10)
    bench.enable(SetAmplitude(a_pct=amplitude), BIPHASIC, SelectPage(page=2), train)
    bench.say(StartTrain())
    slopes = receipts(bench, 6000)
    assert len(slopes) == 50
    assert (min(slopes) < 0.9 * slopes[0]) is sags


def test_weak_supply_sags_at_ten_pulses_a_second() -> None:
    bench = Bench()
    bench.faults.recharge_pct_per_s = 20.0
    bench.enable(SetAmplitude(a_pct=60), BIPHASIC, SelectPage(page=2), SetTrain(rate_tenth_hz=100, pulses=40, trains=1, gap_tenth_s=10))
    bench.say(StartTrain())
    slopes = receipts(bench, 6000)
    assert slopes == sorted(slopes, reverse=True)
    assert slopes[-1] < 0.9 * slopes[0]


def test_monophasic_pulse_spends_all_its_charge_and_a_second_later_it_is_back() -> None:
    bench = Bench()
    bench.enable(SetAmplitude(a_pct=50), replace(BURST, waveform=Waveform.MONOPHASIC))
    bench.say(Trigger())
    assert receipts(bench, 40) == [75]
    bench.say(Trigger())
    assert receipts(bench, 40)[0] < 75
    bench.run(1000)
    bench.say(Trigger())
    assert receipts(bench, 40) == [75]


TWIN = replace(BURST, mode=Mode.TWIN, waveform=Waveform.BIPHASIC, ipi_us=10_000, ba_pct=80)


def test_twin_pair_has_one_receipt_for_both_pulses_and_a_ratio_between_them() -> None:
    bench = Bench()
    bench.ask(SetAmplitude(a_pct=50), TWIN)
    (report,) = bench.ask(AskWaveform())
    assert isinstance(report, WaveformReport)
    assert (report.mode, report.ipi_us, report.ba_pct) == (Mode.TWIN, 10_000, 80)
    (status,) = bench.ask(AskStatus())
    assert isinstance(status, ShortStatus)
    assert (status.a_pct, status.b_pct) == (50, 40)
    bench.enable()
    (receipt,) = bench.ask(Trigger())
    assert isinstance(receipt, PulseFired)
    assert (receipt.didt_a_per_us, receipt.didt_b_per_us) == (75, 60)
    assert bench.run(100) == []
    assert bench.pulses_ms() == [0, 10]


def test_dual_mode_has_two_amplitudes_and_tells_the_second_by_its_index() -> None:
    bench = Bench()
    bench.ask(replace(TWIN, mode=Mode.DUAL), SetAmplitude(a_pct=50, b_pct=30))
    (report,) = bench.ask(AskWaveform())
    assert isinstance(report, WaveformReport)
    assert report.ba_index == 70
    assert report.ba_pct is None


@pytest.mark.parametrize(
    ("model", "taken"),
    [
        ("r30", {(Mode.STANDARD, Waveform.BIPHASIC)}),
        ("x100", {(Mode.STANDARD, waveform) for waveform in (Waveform.MONOPHASIC, Waveform.BIPHASIC, Waveform.BURST)}),
        (
            "r30-option",
            {(mode, wave) for mode in (Mode.STANDARD, Mode.TWIN, Mode.DUAL) for wave in (Waveform.MONOPHASIC, Waveform.BIPHASIC)},
        ),
        (
            "x100-option",
            {(mode, wave) for mode in Mode for wave in Waveform if wave is not Waveform.BURST or mode not in (Mode.TWIN, Mode.DUAL)},
        ),
    ],
)
def test_each_model_takes_its_own_modes_and_waveforms(model: str, taken: set[tuple[Mode, Waveform]]) -> None:
    got = set()
    for mode in Mode:
        for waveform in Waveform:
            bench = Bench(model)
            bench.ask(replace(BURST, mode=mode, waveform=waveform))
            (report,) = bench.ask(AskWaveform())
            assert isinstance(report, WaveformReport)
            got.add((report.mode, report.waveform))
    assert got == taken


@pytest.mark.parametrize(
    ("model", "waveform", "fastest_hz"),
    [
        ("r30", BIPHASIC, 30),
        ("r30-option", BIPHASIC, 30),
        ("r30-option", TWIN, 5),
        ("x100", BIPHASIC, 100),
        ("x100", BURST, 20),
        ("x100-option", TWIN, 50),
        ("x100-option", replace(TWIN, waveform=Waveform.MONOPHASIC), 5),
    ],
)
def test_each_model_takes_its_own_rates(model: str, waveform: SetWaveform, fastest_hz: int) -> None:
    bench = Bench(model)
    bench.ask(SelectPage(page=2), waveform)
    for rate_hz in (fastest_hz, fastest_hz + 1):
        bench.ask(SetTrain(rate_tenth_hz=10 * rate_hz, pulses=5, trains=1, gap_tenth_s=10))
    (report,) = bench.ask(AskTrain())
    assert isinstance(report, TrainReport)
    assert report.rate_tenth_hz == 10 * fastest_hz


def test_protocol_page_runs_what_is_stored_there() -> None:
    bench = Bench()
    bench.enable(SetAmplitude(a_pct=40), SelectPage(page=7))
    bench.say(StartTrain())
    told = kinds(bench.events(12_000))
    assert told[:4] == ["PageReport", "OriginalAmplitude", "GainReport", "PulseFired"]
    assert told[-1] == "PageReport"
    assert len(bench.truth.pulses_ns) == 10


def test_trigger_out_before_the_pulse_is_for_internal_sequences_alone() -> None:
    bench = Bench()
    bench.device.settings.timing_control = 1
    before = SetDelays(trigger_in_tenth_ms=0, trigger_out_tenth_ms=-5, charge_ms=0)
    bench.ask(before)
    assert bench.device.settings.delays.trigger_out_tenth_ms == 0
    bench.device.settings.timing_control = 0
    bench.ask(before)
    assert bench.device.settings.delays.trigger_out_tenth_ms == -5


def test_stuck_enabled_unit_obeys_no_disable_but_the_coils_plug() -> None:
    bench = Bench()
    bench.enable(SetAmplitude(a_pct=50))
    bench.faults.stuck_enabled = True
    assert bench.ask(SetEnabled(on=False)) == []
    bench.device.disable(bench.now_ns)
    assert bench.device.enabled
    bench.device.plug_coil(0, bench.now_ns)
    assert not bench.device.enabled


def test_same_seed_damages_alike_and_no_fault_damages_nothing() -> None:
    faults = MagVentureFaults()
    data = bytes(range(200))
    assert damaged(data, faults, random.Random(1)) == data
    faults.drop_byte_probability = faults.duplicate_byte_probability = 0.1
    assert damaged(data, faults, random.Random(1)) == damaged(data, faults, random.Random(1)) != data
