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
MAIN, TIMING = 1, 2
PAIRED = (Mode.TWIN, Mode.DUAL)
MAX_BURST_RATE_HZ = 20


@dataclass(frozen=True, slots=True)
class Model:
    code: int
    modes: tuple[Mode, ...]
    waveforms: tuple[Waveform, ...]
    max_rate_hz: int


MODELS = {
    "r30": Model(0, (Mode.STANDARD,), (Waveform.BIPHASIC,), 30),
    "x100": Model(1, (Mode.STANDARD,), (Waveform.MONOPHASIC, Waveform.BIPHASIC, Waveform.BURST), 100),
    "r30-option": Model(2, (Mode.STANDARD, *PAIRED), (Waveform.MONOPHASIC, Waveform.BIPHASIC), 30),
    "x100-option": Model(3, tuple(Mode), tuple(Waveform), 100),
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

    def set_train(self, wanted: SetTrain | WriteTrain) -> None:
        """Taken only while the Timing page is shown."""
        limit_hz = MAX_BURST_RATE_HZ if self.waveform is Waveform.BURST else self.model.max_rate_hz
        in_range = (
            1 <= wanted.rate_tenth_hz <= 10 * limit_hz
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

    def set_delays(self, wanted: SetDelays | WriteDelays) -> None:
        if wanted.trigger_in_tenth_ms > 65_000 or abs(wanted.trigger_out_tenth_ms) > 1000 or wanted.charge_ms > 12_000:
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

    @property
    def _pulses_at_once(self) -> int:
        if self.mode in PAIRED:
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
            ba_index=(500 - self.ba_pct) // 5,
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
