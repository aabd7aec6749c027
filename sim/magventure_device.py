"""A MagPro as a machine in time: hears commands, answers them in order, fires, warms up, and can be handled at its panel.

Owns no port and no thread: `hear` and `advance` are given the time, `take_frames` holds what it says. Behaves as users of the real
unit describe it and knows nothing of the driver.
"""

from collections import deque
from collections.abc import Callable, Iterator

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
    WriteDelays,
    WriteTrain,
    decode_command,
)
from drivers.magventure_wire import (
    AmplitudeReport,
    CoilReport,
    CounterReport,
    Event,
    LongStatus,
    PageReport,
    PulseFired,
    ShortStatus,
    StatusBits,
    encode_event,
)
from drivers.values import WireError
from sim.magventure_coil import CUT_OUT_C, CoilHeat
from sim.magventure_faults import MagVentureFaults
from sim.magventure_pulses import Pulse, TrainShape, pulses
from sim.magventure_settings import COIL_TYPE, DEFAULT_MODEL, MODELS, SERIAL, SETTABLE_PAGES, TIMING, Settings
from sim.truth import TruthLog

NS_PER_MS = 1_000_000
FEEL_NS = 250_000_000  # how often the coil's temperature is looked at
DIDT_PER_PCT = 1.5  # A/us at 1 % of the output


class MagVentureDevice:
    """One unit, in standby at room temperature. `reply_delay_ms` passes before each answer, and before what was asked is done."""

    def __init__(
        self,
        truth: TruthLog,
        faults: MagVentureFaults,
        now_ns: int,
        *,
        model: str = DEFAULT_MODEL,
        reply_delay_ms: float = 20,
        events_per_burst: int = 1,
    ) -> None:
        self.faults = faults
        self._truth = truth
        self._model = MODELS[model]
        self._reply_delay_ms = reply_delay_ms
        self._events_per_burst = events_per_burst
        self._heat = CoilHeat(now_ns)
        self._coil_type = COIL_TYPE
        self._feel_ns = now_ns
        self._frames: list[bytes] = []
        self.settings = Settings(self._model)
        self.enabled = self.running = False
        self._commands: deque[tuple[int, Command]] = deque()
        self._last_due_ns = now_ns
        self._to_come: Iterator[Pulse] = iter(())
        self._next_pulse: Pulse | None = None
        self._train: int | None = None
        self._trains_begun = 0
        self._stimuli = 0
        self._disable_waits = False  # for the end of a burst
        self._stop_ignored_until_ns: int | None = None
        self._shown_c = self._temperature_c

    # ---- the line ---------------------------------------------------------------------------------------------------

    def hear(self, body: bytes, now_ns: int) -> None:
        """A body with a right checksum; what is no command is ignored."""
        if self.faults.deaf:
            return
        try:
            command = decode_command(body)
        except WireError:
            return
        delay_ms = self._reply_delay_ms if self.faults.reply_delay_ms is None else self.faults.reply_delay_ms
        self._last_due_ns = max(now_ns, self._last_due_ns) + round(delay_ms * NS_PER_MS)
        self._commands.append((self._last_due_ns, command))

    def take_frames(self) -> list[bytes]:
        """What was said since the last call, in order."""
        frames, self._frames = self._frames, []
        return frames

    def _say(self, *events: Event) -> None:
        self._frames += [encode_event(event) for event in events]

    # ---- time -------------------------------------------------------------------------------------------------------

    @property
    def next_ns(self) -> int:
        """When `advance` has something to do at the earliest."""
        return min(at_ns for at_ns, _ in self._due())

    def advance(self, now_ns: int) -> None:
        """Do all that is due up to `now_ns`, each thing at its own time."""
        while True:
            at_ns, act = min(self._due(), key=lambda due: due[0])
            if at_ns > now_ns:
                return
            act(at_ns)

    def _due(self) -> Iterator[tuple[int, Callable[[int], None]]]:
        if self._next_pulse is not None:
            yield self._next_pulse.at_ns, self._fire
        if self._commands and not self._disable_waits:
            yield self._commands[0][0], self._obey
        yield self._feel_ns, self._feel

    def _feel(self, now_ns: int) -> None:
        self._feel_ns = now_ns + FEEL_NS
        self._heat.pass_time(now_ns, self.faults.heating_c_per_s)
        self._tell_temperature(now_ns)

    def _tell_temperature(self, now_ns: int) -> None:
        if self._shown_c != self._temperature_c:
            self._shown_c = self._temperature_c
            self._say(self._coil_report())
        if self._heat.shown_c >= CUT_OUT_C and self.enabled:
            self.disable(now_ns)

    @property
    def _temperature_c(self) -> int:
        broken = self.faults.reports_temperature_c
        return self._heat.shown_c if broken is None else broken

    # ---- commands ---------------------------------------------------------------------------------------------------

    def _obey(self, now_ns: int) -> None:
        _, command = self._commands.popleft()
        match command:
            case AskStatus():
                self._say(self._short_status())
            case AskLongStatus():
                self._say(self._long_status())
            case AskWaveform():
                self._say(self.settings.waveform_report())
            case AskTrain():
                self._say(self.settings.train_report())
            case AskDelays():
                self._say(self.settings.delays)
            case AskCounters():
                self._say(self._counters())
            case Trigger():
                self.trigger(now_ns)
            case StartTrain():
                self.start_train(now_ns)
            case SetEnabled():
                self._obey_enable(command.on, now_ns)
            case _:
                self._obey_setting(command)

    def _obey_setting(self, command: Command) -> None:
        match command:
            case SetAmplitude():
                self.set_amplitude(command.a_pct, command.b_pct)
            case SelectPage() if command.page in SETTABLE_PAGES:
                self.show_page(command.page)
            case SetWaveform():
                self.settings.set_waveform(command)
                self._say(self.settings.waveform_report())
            case SetTrain():
                self._set_train(command)
                self._say(self._page_report())
            case WriteTrain():
                self._set_train(command)
                self._say(self.settings.train_report())
            case SetDelays():  # clients wait for eight bytes, as after every other setting
                self.settings.set_delays(command)
                self._say(self._page_report())
            case WriteDelays():
                self.settings.set_delays(command)
                self._say(self.settings.delays)

    def _set_train(self, command: SetTrain | WriteTrain) -> None:
        if not self.running:
            self.settings.set_train(command)

    def _obey_enable(self, on: bool, now_ns: int) -> None:
        if on:
            if not self.faults.ignores_enable:
                self.enable(now_ns)
            return
        if self._stop_ignored_until_ns is None:
            self._stop_ignored_until_ns = now_ns + round(self.faults.ignores_stop_ms * NS_PER_MS)
        if now_ns >= self._stop_ignored_until_ns:
            self._stop_ignored_until_ns = None
            self.faults.ignores_stop_ms = 0.0
            self.disable(now_ns)

    # ---- acts, of a command or of a hand at the panel ---------------------------------------------------------------

    def enable(self, now_ns: int) -> None:
        """Charge; refused, but answered, while the coil is too hot or missing."""
        if self._heat.shown_c < CUT_OUT_C and self._coil_type and not self.enabled:
            self.enabled = True
            self._truth.charged(now_ns, enabled=True)
        self._say(self._amplitude_report(), self._coil_report(), self._amplitude_report())

    def disable(self, now_ns: int) -> None:
        """End a train at once, but finish a burst begun; then discharge."""
        if self._next_pulse is not None and not self._next_pulse.opens_burst:
            self._disable_waits = True
            return
        self._disable_waits = False
        self._end_firing()
        if self.enabled:
            self.enabled = False
            self._truth.charged(now_ns, enabled=False)
        self._say(self._amplitude_report())

    def trigger(self, now_ns: int) -> None:
        """One pulse or burst; nothing while disabled or firing."""
        if self.enabled and self._next_pulse is None:
            self._train = None
            self._begin_firing(self.settings.single_shape(), now_ns)

    def start_train(self, now_ns: int) -> None:
        """The train of the Timing page; nothing while disabled, firing, on another page or under external control."""
        is_ready = self.enabled and self._next_pulse is None and not self.running
        if self.faults.ignores_start or not is_ready or self.settings.page != TIMING or self.settings.timing_control:
            return
        self._trains_begun += 1
        self._train = self._trains_begun
        self.running = True
        self._say(self._page_report())
        self._begin_firing(self.settings.shape(self.faults.extra_bursts), now_ns)

    def set_amplitude(self, a_pct: int, b_pct: int | None = None) -> None:
        self.settings.a_pct = a_pct
        self.settings.b_pct = self.settings.b_pct if b_pct is None else b_pct
        self._say(self._amplitude_report())

    def show_page(self, page: int) -> None:
        self.settings.page = page
        self._say(self._page_report())

    def turn_rate(self, rate_tenth_hz: int) -> None:
        """A knob of the Timing page: no event tells of it."""
        self.settings.rate_tenth_hz = rate_tenth_hz

    def plug_coil(self, coil_type: int, now_ns: int) -> None:
        """Another coil, 0 for none: the device never stays charged through it."""
        self._coil_type = coil_type
        self._say(self._coil_report())
        if self.enabled:
            self.disable(now_ns)

    def reset(self, now_ns: int) -> None:
        """Power off and on: standby, settings as at power-on, not a word about it."""
        if self.enabled:
            self._truth.charged(now_ns, enabled=False)
        self.enabled = self.running = self._disable_waits = False
        self._next_pulse = None
        self.settings = Settings(self._model)
        self._commands.clear()
        self._frames.clear()

    # ---- firing -----------------------------------------------------------------------------------------------------

    def _begin_firing(self, shape: TrainShape, now_ns: int) -> None:
        self._to_come = pulses(shape, now_ns, self.faults.rate_factor)
        self._next_pulse = next(self._to_come)

    def _fire(self, now_ns: int) -> None:
        pulse = self._next_pulse
        if pulse is None:
            return
        self._truth.pulse(now_ns, self.settings.a_pct, enabled=self.enabled, train=self._train)
        self._stimuli += 1
        self._heat.pass_time(now_ns, self.faults.heating_c_per_s)
        self._heat.pulse(self.settings.a_pct)
        if (pulse.opens_burst or self._events_per_burst > 1) and not self.faults.loses_receipts:
            sag = max(0.0, 1 - self.faults.sag_pct_per_burst / 100 * pulse.burst)
            didt = min(199, round(DIDT_PER_PCT * self.settings.a_pct * sag))
            self._say(PulseFired(didt_a_per_us=didt, didt_b_per_us=0, bits=self._bits()))
        self._next_pulse = next(self._to_come, None)
        if pulse.closes_burst and self._disable_waits:
            self.disable(now_ns)
        elif pulse.closes_all:
            self._end_firing()
        self._tell_temperature(now_ns)

    def _end_firing(self) -> None:
        self._next_pulse = None
        if self.running and not self.faults.stuck_running:
            self.running = False
            self._say(self._page_report())

    # ---- reports ----------------------------------------------------------------------------------------------------

    def _bits(self) -> StatusBits:
        return StatusBits(
            mode=self.settings.mode, waveform=self.settings.waveform, enabled=self.enabled, model=self._model.code
        )

    def _amplitude_report(self) -> AmplitudeReport:
        return AmplitudeReport(a_pct=self.settings.a_pct, b_pct=self.settings.b_pct, bits=self._bits())

    def _coil_report(self) -> CoilReport:
        return CoilReport(temperature_c=self._temperature_c, coil_type=self._coil_type, bits=self._bits())

    def _page_report(self) -> PageReport:
        return PageReport(page=self.settings.page, running=self.running, bits=self._bits())

    def _short_status(self) -> ShortStatus:
        return ShortStatus(
            bits=self._bits(),
            serial=SERIAL,
            temperature_c=self._temperature_c,
            coil_type=self._coil_type,
            a_pct=self.settings.a_pct,
            b_pct=self.settings.b_pct,
        )

    def _long_status(self) -> LongStatus:
        return LongStatus(
            bits=self._bits(),
            serial=SERIAL,
            temperature_c=self._temperature_c,
            coil_type=self._coil_type,
            a_pct=self.settings.a_pct,
            b_pct=self.settings.b_pct,
            original_a_pct=self.settings.a_pct,
            original_b_pct=self.settings.b_pct,
            factor_a_pct=100,
            factor_b_pct=100,
            page=self.settings.page,
            running=self.running,
        )

    def _counters(self) -> CounterReport:
        return CounterReport(
            trains=self.settings.trains,
            total_pulses=self.settings.trains * self.settings.pulses,
            stimuli=self._stimuli % 65_536,
            page=self.settings.page,
        )
