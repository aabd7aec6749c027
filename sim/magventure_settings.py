"""What a simulated MagPro is set to, and what it makes of a new setting: taken, moved to its own steps, or silently refused.

No traffic, no pulses. Figures are the simulator's own reading of the maker's tables.
"""

from dataclasses import dataclass, field

from drivers.magventure_command_wire import SetDelays, SetTrain, SetWaveform, WriteDelays, WriteTrain
from drivers.magventure_wire import BURST_IPI_US, PAIRED_IPI_US, DelayReport, Mode, TrainReport, Waveform, WaveformReport
from sim.magventure_pulses import TrainShape

SERIAL = 0x53494D  # "SIM"
COIL_TYPE = 60  # Cool-B65
SETTABLE_PAGES = (1, 2, 3, 4, 7)
MAIN, TIMING, PROTOCOL = 1, 2, 7
INTERNAL_SEQUENCE = 0
PAIRED = (Mode.TWIN, Mode.DUAL)
MAX_BURST_RATE_HZ = 20
MAX_MONOPHASIC_PAIR_RATE_HZ = 5
DUAL_INDEX_OF_ZERO = 100  # in dual mode the ratio's index tells pulse B's amplitude: 100 less the index


@dataclass(frozen=True, slots=True)
class Model:
    code: int
    modes: tuple[Mode, ...]
    waveforms: tuple[Waveform, ...]
    max_rate_hz: int
    max_pair_rate_hz: int


MODELS = {
    "r30": Model(0, (Mode.STANDARD,), (Waveform.BIPHASIC,), 30, 0),
    "x100": Model(1, (Mode.STANDARD,), (Waveform.MONOPHASIC, Waveform.BIPHASIC, Waveform.BURST), 100, 0),
    "r30-option": Model(2, (Mode.STANDARD, *PAIRED), (Waveform.MONOPHASIC, Waveform.BIPHASIC), 30, 5),
    "x100-option": Model(3, tuple(Mode), tuple(Waveform), 100, 50),
}
DEFAULT_MODEL = "x100-option"


@dataclass(slots=True)
class Settings:
    """As at power-on; every `set_*` leaves what it refuses as it was."""

    model: Model
    mode: Mode = Mode.STANDARD
    reverse: bool = False
    waveform: Waveform = Waveform.BIPHASIC
    pulses_per_burst: int = 3
    ipi_us: int = 20_000
    ba_pct: int = 100
    a_pct: int = 0
    b_pct: int = 0
    page: int = MAIN
    timing_control: int = 0
    rate_tenth_hz: int = 10
    pulses: int = 1
    trains: int = 1
    gap_tenth_s: int = 10
    warning: bool = False
    delays: DelayReport = field(default_factory=lambda: DelayReport(trigger_in_tenth_ms=0, trigger_out_tenth_ms=0, charge_ms=0))

    def set_waveform(self, wanted: SetWaveform) -> None:
        bursts_in_pairs = wanted.waveform is Waveform.BURST and wanted.mode in PAIRED
        if wanted.mode not in self.model.modes or wanted.waveform not in self.model.waveforms or bursts_in_pairs:
            return
        self.mode, self.reverse, self.waveform = wanted.mode, wanted.reverse, wanted.waveform
        self.pulses_per_burst = wanted.pulses_per_burst
        self.ipi_us = min(self._intervals, key=lambda ipi_us: abs(ipi_us - wanted.ipi_us))
        self.ba_pct = min(500, max(20, 5 * round(wanted.ba_pct / 5)))
        self._follow_ratio()

    def set_amplitude(self, a_pct: int, b_pct: int | None) -> None:
        """In the twin mode the ratio alone decides about pulse B."""
        self.a_pct = a_pct
        self.b_pct = self.b_pct if b_pct is None else b_pct
        self._follow_ratio()

    def _follow_ratio(self) -> None:
        if self.mode is Mode.TWIN:
            self.b_pct = min(100, round(self.a_pct * self.ba_pct / 100))

    def set_train(self, wanted: SetTrain | WriteTrain) -> None:
        """Taken only while the Timing page is shown."""
        in_range = (
            1 <= wanted.rate_tenth_hz <= 10 * self._max_rate_hz
            and 1 <= wanted.pulses <= 2000
            and 1 <= wanted.trains <= 500
            and 1 <= wanted.gap_tenth_s <= 1200
        )
        if self.page != TIMING or not in_range:
            return
        self.rate_tenth_hz = wanted.rate_tenth_hz if wanted.rate_tenth_hz <= 200 else 10 * round(wanted.rate_tenth_hz / 10)
        self.pulses = wanted.pulses if wanted.pulses <= 1000 else 100 * round(wanted.pulses / 100)
        self.trains, self.gap_tenth_s = wanted.trains, wanted.gap_tenth_s
        if isinstance(wanted, WriteTrain) and wanted.timing_control <= 3:
            self.timing_control, self.warning = wanted.timing_control, wanted.warning

    @property
    def _max_rate_hz(self) -> int:
        if self.mode in PAIRED:
            return MAX_MONOPHASIC_PAIR_RATE_HZ if self.waveform is Waveform.MONOPHASIC else self.model.max_pair_rate_hz
        return MAX_BURST_RATE_HZ if self.waveform is Waveform.BURST else self.model.max_rate_hz

    def set_delays(self, wanted: SetDelays | WriteDelays) -> None:
        out_of_range = wanted.trigger_in_tenth_ms > 65_000 or abs(wanted.trigger_out_tenth_ms) > 1000 or wanted.charge_ms > 12_000
        before_an_external_start = wanted.trigger_out_tenth_ms < 0 and self.timing_control != INTERNAL_SEQUENCE
        if out_of_range or before_an_external_start:
            return
        self.delays = DelayReport(
            trigger_in_tenth_ms=wanted.trigger_in_tenth_ms,
            trigger_out_tenth_ms=wanted.trigger_out_tenth_ms,
            charge_ms=wanted.charge_ms,
        )

    @property
    def _intervals(self) -> tuple[int, ...]:
        return PAIRED_IPI_US if self.mode in PAIRED else BURST_IPI_US

    def shape(self, extra_bursts: int = 0) -> TrainShape:
        """The train on the Timing page."""
        return TrainShape(
            pulses_per_burst=self._pulses_at_once,
            ipi_us=self.ipi_us,
            rate_tenth_hz=self.rate_tenth_hz,
            bursts=self.pulses + extra_bursts,
            trains=self.trains,
            gap_tenth_s=self.gap_tenth_s,
        )

    def single_shape(self) -> TrainShape:
        """What one trigger fires."""
        return TrainShape(
            pulses_per_burst=self._pulses_at_once, ipi_us=self.ipi_us, rate_tenth_hz=10, bursts=1, trains=1, gap_tenth_s=0
        )

    def protocol_shape(self) -> TrainShape:
        """What is stored on the Protocol page: ten triggers, one a second."""
        return TrainShape(
            pulses_per_burst=self._pulses_at_once, ipi_us=self.ipi_us, rate_tenth_hz=10, bursts=10, trains=1, gap_tenth_s=0
        )

    @property
    def has_pairs(self) -> bool:
        return self.mode in PAIRED

    @property
    def _pulses_at_once(self) -> int:
        if self.has_pairs:
            return 2
        return self.pulses_per_burst if self.waveform is Waveform.BURST else 1

    def waveform_report(self) -> WaveformReport:
        return WaveformReport(
            flag=0,
            model_byte=self.model.code,
            mode=self.mode,
            reverse=self.reverse,
            waveform=self.waveform,
            pulses_per_burst=self.pulses_per_burst,
            ipi_index=self._intervals.index(self.ipi_us) if self.ipi_us in self._intervals else 0,
            ba_index=DUAL_INDEX_OF_ZERO - self.b_pct if self.mode is Mode.DUAL else (500 - self.ba_pct) // 5,
        )

    def train_report(self) -> TrainReport:
        return TrainReport(
            timing_control=self.timing_control,
            rate_tenth_hz=self.rate_tenth_hz,
            pulses=self.pulses,
            trains=self.trains,
            gap_tenth_s=self.gap_tenth_s,
            warning=self.warning,
            ramp_up_pct=100,
            ramp_up_trains=0,
        )
