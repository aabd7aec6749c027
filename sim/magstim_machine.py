"""A Magstim as a machine in time: charges, fires, warms up, keeps its own time limits, and can be handled by people.

Behaves as users of the real units describe it and knows nothing of the driver. Hears nothing: its line is sim.magstim_device, what
each command does sim.magstim_obeying.
"""

from collections.abc import Callable, Iterator

from drivers.magstim_command_wire import UnlockCode
from drivers.magstim_frame_wire import Family
from drivers.magstim_table_wire import read_table
from drivers.magstim_wire import ExtendedStatus, InstrumentStatus, RapidStatus
from sim.magstim_charge import RECHARGE_RAPID_NS, Charge
from sim.magstim_coil import Windings
from sim.magstim_faults import MagstimFaults
from sim.magstim_firing import Pulse, shots
from sim.magstim_settings import DEFAULT_MODEL, DEFAULT_SOFTWARE, Settings, dialect_of
from sim.truth import TruthLog

NS_PER_MS = 1_000_000
FEEL_NS = 100_000_000  # how often the unit looks at its coil and its own time limits
SELF_DISARM_NS = 60_000_000_000  # armed and not fired
ARMED_SILENCE_NS = 1_000_000_000  # without a valid question; then standby, and remote control is dropped
STANDBY_SILENCE_NS = 10_000_000_000  # not known of the real unit
TRAIN_PAUSE_NS = 500_000_000
SINGLE_NS, ENHANCED_SINGLE_NS = 1_000_000_000, 2_000_000_000  # sooner triggers are swallowed


class MagstimMachine:
    """One unit, in standby under local control, at room temperature."""

    def __init__(
        self,
        truth: TruthLog,
        faults: MagstimFaults,
        now_ns: int,
        *,
        model: str = DEFAULT_MODEL,
        software: str = DEFAULT_SOFTWARE,
        unlock: str | None = None,
    ) -> None:
        self.faults = faults
        self.model, self.software = model, software
        self.dialect = dialect_of(model, software)
        self.unlock = None if unlock is None or not self.dialect.needs_unlock else UnlockCode(unlock.encode("latin-1"))
        self._truth = truth
        self._table = read_table()
        self.windings = Windings(now_ns)
        self._trains_begun = 0
        self.coil_present = True
        self._power_on(now_ns)

    def _power_on(self, now_ns: int) -> None:
        self.settings = Settings(model=self.model, dialect=self.dialect, table=self._table)
        self.remote = self.armed = self.running = False
        self.charge = Charge(now_ns)
        self._feel_ns = now_ns
        self._heard_ns = now_ns  # the last valid question
        self._armed_ns = now_ns  # when it was armed or last fired
        self._wait_until_ns = now_ns
        self._next_single_ns = now_ns
        self._to_come: Iterator[Pulse] = iter(())
        self._next_pulse: Pulse | None = None
        self._train: int | None = None
        self._stop_ignored_until_ns: int | None = None

    # ---- time -------------------------------------------------------------------------------------------------------

    def was_asked(self, now_ns: int) -> None:
        """A valid question or command: the host is there."""
        self._heard_ns = now_ns

    def due(self) -> Iterator[tuple[int, Callable[[int], None]]]:
        """What happens by itself, and when."""
        if self._next_pulse is not None:
            yield self._next_pulse.at_ns, self._fire
        if self.armed:
            yield self._heard_ns + ARMED_SILENCE_NS, self._give_up_host
            yield self._armed_ns + SELF_DISARM_NS, self.disarm
        elif self.remote:
            yield self._heard_ns + STANDBY_SILENCE_NS, self._give_up_host
        yield self._feel_ns, self._feel

    def _give_up_host(self, now_ns: int) -> None:
        self.remote = False
        self.disarm(now_ns)

    def _feel(self, now_ns: int) -> None:
        self._feel_ns = now_ns + FEEL_NS
        self.windings.pass_time(now_ns, self.faults.heating_c_per_s)
        if self.armed and not self._may_stay_armed:
            self.disarm(now_ns)

    # ---- what it is -------------------------------------------------------------------------------------------------

    @property
    def _may_stay_armed(self) -> bool:
        return self.coil_present and not self.windings.is_too_hot and not self.faults.error

    @property
    def coil_is_ready(self) -> bool:
        return self.coil_present and (not self.faults.coil_switch_open or self.settings.ignores_coil_switch)

    @property
    def may_arm(self) -> bool:
        has_supply = self.dialect.family is not Family.RAPID or not self.faults.supply_missing
        return self._may_stay_armed and self.coil_is_ready and has_supply

    def is_ready(self, now_ns: int) -> bool:
        at_rest = not self.running and now_ns >= self._wait_until_ns
        return self.armed and at_rest and not self.faults.never_ready and self.charge.is_full(now_ns)

    def is_waiting(self, now_ns: int) -> bool:
        return not self.running and now_ns < self._wait_until_ns

    def status(self, now_ns: int) -> InstrumentStatus:
        ready = self.is_ready(now_ns)
        return InstrumentStatus(
            standby=not self.armed,
            armed=self.armed and not ready,
            ready=ready,
            coil_present=self.coil_present,
            replace_coil=self.faults.replace_coil,
            error=bool(self.faults.error),
            fatal=self.faults.error.endswith("!"),
            remote=self.remote,
        )

    def rapid_status(self, now_ns: int) -> RapidStatus:
        return RapidStatus(
            enhanced=self.settings.enhanced,
            train=self.running or (self.faults.stuck_running and self._trains_begun > 0),
            wait=self.is_waiting(now_ns),
            single_pulse=self.settings.is_single,
            supply=not self.faults.supply_missing,
            coil_ready=self.coil_is_ready,
            theta_supply=self.model == "plus1",
        )

    def extended_status(self) -> ExtendedStatus:
        delays = self.dialect.has_long_delay and self.settings.charge_delay_ms > 0
        return ExtendedStatus(plus1=self.model == "plus1", charge_delay=delays)

    @property
    def tenths_c(self) -> tuple[int, int]:
        broken = self.faults.reports_tenth_c
        return self.windings.tenths_c if broken is None else (broken, broken)

    # ---- acts, of a command or of a hand ----------------------------------------------------------------------------

    def arm(self, now_ns: int) -> None:
        if not self.armed:
            self.armed, self._armed_ns = True, now_ns
            self.charge.begin(self.settings.a_pct, now_ns)
            self._truth.charged(now_ns, enabled=True)

    def obey_disarm(self, now_ns: int) -> None:
        """The command; a fault may have it ignored."""
        if self.faults.stuck_armed:
            return
        if self._stop_ignored_until_ns is None:
            self._stop_ignored_until_ns = now_ns + round(self.faults.ignores_stop_ms * NS_PER_MS)
        if now_ns >= self._stop_ignored_until_ns:
            self._stop_ignored_until_ns = None
            self.faults.ignores_stop_ms = 0.0
            self.disarm(now_ns)

    def disarm(self, now_ns: int) -> None:
        """End a train at once and discharge."""
        self._next_pulse = None
        self._end_train(now_ns)
        self.charge.discharge()
        if self.armed:
            self.armed = False
            self._truth.charged(now_ns, enabled=False)

    def trigger(self, now_ns: int) -> None:
        """Fire what is set, if ready: by command, foot switch or trigger input. Single pulses that come too soon are swallowed."""
        if not self.is_ready(now_ns) or self._next_pulse is not None or self.faults.ignores_fire:
            return
        is_rapid = self.dialect.family is Family.RAPID
        if is_rapid and self.settings.is_single:
            if now_ns < self._next_single_ns:
                return
            enhanced = self.settings.enhanced and self.settings.a_pct > 100
            self._next_single_ns = now_ns + (ENHANCED_SINGLE_NS if enhanced else SINGLE_NS)
        self._train = None
        if is_rapid and not self.settings.is_single:
            if not self.settings.tenth_hz or self.settings.pulses + self.faults.extra_pulses < 1:
                return
            self._trains_begun += 1
            self._train, self.running = self._trains_begun, True
        self._to_come = shots(self.settings, now_ns, self.faults.extra_pulses, self.faults.rate_factor)
        self._next_pulse = next(self._to_come)

    def plug_coil(self, present: bool, now_ns: int) -> None:
        """The unit never stays armed through it."""
        self.coil_present = present
        if self.armed and not present:
            self.disarm(now_ns)

    def turn_power(self, pct: int, now_ns: int) -> None:
        """A knob, where the unit has one."""
        if self.settings.set_power(pct):
            self.charge.follow(pct, now_ns)

    def reset(self, now_ns: int) -> None:
        """Power off and on: standby, local, settings as at power-on, not a word about it."""
        self.disarm(now_ns)
        self._power_on(now_ns)

    # ---- firing -----------------------------------------------------------------------------------------------------

    def _fire(self, now_ns: int) -> None:
        pulse = self._next_pulse
        if pulse is None:
            return
        self.charge.pass_time(now_ns)
        amplitude_pct = round(self.charge.pct) if pulse.power == "a" else self.settings.b_pct
        self._truth.pulse(now_ns, amplitude_pct, enabled=self.armed, train=self._train)
        self._armed_ns = now_ns
        self.windings.pass_time(now_ns, self.faults.heating_c_per_s)
        self.windings.pulse(amplitude_pct)
        self._next_pulse = next(self._to_come, None)
        if self.dialect.family is not Family.RAPID:
            self.charge.pause(now_ns + self.settings.pause_ns)
        elif pulse.is_last:
            self.charge.pause(now_ns + RECHARGE_RAPID_NS)
            self._end_train(now_ns)
        if not self._may_stay_armed:
            self.disarm(now_ns)

    def _end_train(self, now_ns: int) -> None:
        if self.running:
            self.running = False
            self._wait_until_ns = now_ns + TRAIN_PAUSE_NS
