"""A MagPro as a machine in time: charges, fires, warms up, and can be handled at its panel, its coil and its mains. No line.

Behaves as users of the real unit describe it and knows nothing of the driver. What it says is kept in order until it is taken.
"""

from collections.abc import Callable, Iterator

from drivers.magventure_wire import (
    AmplitudeReport,
    CoilReport,
    CounterReport,
    Event,
    GainReport,
    LongStatus,
    OriginalAmplitude,
    PageReport,
    PulseFired,
    ShortStatus,
    StatusBits,
    encode_event,
)
from sim.magventure_charge import CHARGE_NS_PER_PCT, Charge
from sim.magventure_coil import CUT_OUT_C, CoilHeat
from sim.magventure_faults import MagVentureFaults
from sim.magventure_pulses import Pulse, TrainShape, pulses
from sim.magventure_settings import COIL_TYPE, DEFAULT_MODEL, INTERNAL_SEQUENCE, MODELS, PROTOCOL, SERIAL, TIMING, Settings
from sim.truth import TruthLog

NS_PER_MS = 1_000_000
FEEL_NS = 250_000_000  # how often the coil's temperature is looked at
DIDT_PER_PCT = 1.5  # A/us at 1 % of the output
MAX_DIDT = 199
UNSCALED_PCT = 100

Due = tuple[int, Callable[[int], None]]


class MagVentureMachine:
    """One unit, in standby at room temperature. `events_per_burst` above one: a receipt for each pulse of a burst."""

    def __init__(
        self, truth: TruthLog, faults: MagVentureFaults, now_ns: int, *, model: str = DEFAULT_MODEL, events_per_burst: int = 1
    ) -> None:
        self.faults = faults
        self._truth = truth
        self._model = MODELS[model]
        self._events_per_burst = events_per_burst
        self._heat = CoilHeat(now_ns)
        self._charge = Charge(now_ns)
        self._coil_type = COIL_TYPE
        self._feel_ns = now_ns
        self._frames: list[bytes] = []
        self.settings = Settings(self._model)
        self.enabled = self.running = False
        self._charged_ns: int | None = None  # when an enable under way is done
        self._to_come: Iterator[Pulse] = iter(())
        self._next_pulse: Pulse | None = None
        self._train: int | None = None
        self._trains_begun = 0
        self._stimuli = 0
        self._disable_waits = False  # for the end of a burst
        self._shown_c = self._temperature_c

    def take_frames(self) -> list[bytes]:
        """What was said since the last call, in order."""
        frames, self._frames = self._frames, []
        return frames

    def _say(self, *events: Event) -> None:
        self._frames += [encode_event(event) for event in events]

    # ---- time -------------------------------------------------------------------------------------------------------

    def _due(self) -> Iterator[Due]:
        """What is to be done, and when."""
        if self._next_pulse is not None:
            yield self._next_pulse.at_ns, self._fire
        if self._charged_ns is not None:
            yield self._charged_ns, self._become_enabled
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

    # ---- acts, of a command or of a hand at the panel ---------------------------------------------------------------

    def enable(self, now_ns: int) -> None:
        """Charge, which takes a moment; refused, but answered, while the coil is too hot or missing."""
        if self._heat.shown_c >= CUT_OUT_C or not self._coil_type or self.enabled:
            self._answer_enable()
        elif self._charged_ns is None:
            self._charged_ns = now_ns + CHARGE_NS_PER_PCT * self._wanted_pct

    def _become_enabled(self, now_ns: int) -> None:
        self._charged_ns = None
        self._charge.fill(now_ns, self.settings.a_pct)
        self.enabled = True
        self._truth.charged(now_ns, enabled=True)
        self._answer_enable()

    def _answer_enable(self) -> None:
        self._say(self._amplitude_report(), self._coil_report(), self._amplitude_report())

    @property
    def _wanted_pct(self) -> int:
        return max(self.settings.a_pct, self.settings.b_pct if self.settings.has_pairs else 0)

    def disable(self, now_ns: int) -> None:
        """End a train at once, but finish a burst begun; then discharge."""
        if self.faults.stuck_enabled and self.enabled:
            return
        if self._next_pulse is not None and not self._next_pulse.opens_burst:
            self._disable_waits = True
            return
        self._end_firing()
        self._discharge(now_ns)
        self._say(self._amplitude_report())

    def _discharge(self, now_ns: int) -> None:
        self._disable_waits = False
        self._charged_ns = None
        self._charge.drain()
        if self.enabled:
            self.enabled = False
            self._truth.charged(now_ns, enabled=False)

    def trigger(self, now_ns: int) -> None:
        """One pulse, pair or burst; nothing while disabled or firing."""
        if self.enabled and self._next_pulse is None:
            self._train = None
            self._begin_firing(self.settings.single_shape(), now_ns)

    def start_train(self, now_ns: int) -> None:
        """The train of the Timing page or the protocol of the Protocol page; nothing while disabled, firing, or on another page."""
        is_ready = self.enabled and self._next_pulse is None and not self.running
        if self.faults.ignores_start or not is_ready:
            return
        if self.settings.page == PROTOCOL:
            self._begin_train(self.settings.protocol_shape(), now_ns)
            self._say(self._original_amplitude(), GainReport(gain_a_pct=UNSCALED_PCT, gain_b_pct=UNSCALED_PCT, bits=self._bits()))
        elif self.settings.page == TIMING and self.settings.timing_control == INTERNAL_SEQUENCE:
            self._begin_train(self.settings.shape(self.faults.extra_bursts), now_ns)

    def set_amplitude(self, a_pct: int, b_pct: int | None = None) -> None:
        self.settings.set_amplitude(a_pct, b_pct)
        self._say(self._amplitude_report())

    def show_page(self, page: int) -> None:
        self.settings.page = page
        self._say(self._page_report())

    def turn_rate(self, rate_tenth_hz: int) -> None:
        """A knob of the Timing page: no event tells of it."""
        self.settings.rate_tenth_hz = rate_tenth_hz

    def plug_coil(self, coil_type: int, now_ns: int) -> None:
        """Another coil, 0 for none: the device never stays charged through it, and no burst is finished."""
        self._coil_type = coil_type
        self._say(self._coil_report())
        if self.enabled or self._charged_ns is not None:
            self._end_firing()
            self._discharge(now_ns)
            self._say(self._amplitude_report())

    def reset(self, now_ns: int) -> None:
        """Power off and on: standby, settings as at power-on, not a word about it."""
        self._next_pulse = None
        self.running = False
        self._discharge(now_ns)
        self.settings = Settings(self._model)
        self._frames.clear()

    # ---- firing -----------------------------------------------------------------------------------------------------

    def _begin_train(self, shape: TrainShape, now_ns: int) -> None:
        self._trains_begun += 1
        self._train = self._trains_begun
        self.running = True
        self._say(self._page_report())
        self._begin_firing(shape, now_ns)

    def _begin_firing(self, shape: TrainShape, now_ns: int) -> None:
        self._to_come = pulses(shape, now_ns, self.faults.rate_factor)
        self._next_pulse = next(self._to_come)

    def _fire(self, now_ns: int) -> None:
        pulse = self._next_pulse
        if pulse is None:
            return
        is_second_of_pair = self.settings.has_pairs and not pulse.opens_burst
        amplitude_pct = self.settings.b_pct if is_second_of_pair else self.settings.a_pct
        self._charge.pass_time(now_ns, self.settings.a_pct, self.faults.recharge_pct_per_s)
        self._truth.pulse(now_ns, amplitude_pct, enabled=self.enabled, train=self._train)
        self._stimuli += 1
        self._heat.pass_time(now_ns, self.faults.heating_c_per_s)
        self._heat.pulse(amplitude_pct)
        has_receipt = pulse.opens_burst or (self._events_per_burst > 1 and not self.settings.has_pairs)
        if has_receipt and not self.faults.loses_receipts:
            self._say(self._receipt(pulse))
        if not is_second_of_pair:  # which has a capacitor of its own
            self._charge.pulse(self.settings.waveform)
        self._next_pulse = next(self._to_come, None)
        if pulse.closes_burst and self._disable_waits:
            self.disable(now_ns)
        elif pulse.closes_all:
            self._end_firing()
        self._tell_temperature(now_ns)

    def _receipt(self, pulse: Pulse) -> PulseFired:
        """A pair's one receipt tells of both pulses."""
        sag = DIDT_PER_PCT * max(0.0, 1 - self.faults.sag_pct_per_burst / 100 * pulse.burst)
        second_pct = self.settings.b_pct if self.settings.has_pairs else 0
        first, second = (min(MAX_DIDT, round(sag * pct)) for pct in (self._charge.pct, second_pct))
        return PulseFired(didt_a_per_us=first, didt_b_per_us=second, bits=self._bits())

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

    def _original_amplitude(self) -> OriginalAmplitude:
        return OriginalAmplitude(a_pct=self.settings.a_pct, b_pct=self.settings.b_pct, bits=self._bits())
