"""What a Magstim driver keeps and how it makes safe: the state behind drivers.magstim. Sans-IO; hears nothing by itself.

Owns the faults, the disarm, the book of energy and what must hold before a pulse; not the order of a conversation.
"""

from msgspec.structs import replace

from drivers.magstim_asking import Order
from drivers.magstim_command_wire import UnlockCode
from drivers.magstim_conversation import Conversation
from drivers.magstim_energy import DAMAGE_J_PER_MINUTE, EnergyBook, single_pause_s, wait_s
from drivers.magstim_frame_wire import Dialect, Family
from drivers.magstim_models import make_unit, rate_tenth_hz, reasons_against
from drivers.magstim_phases import (
    ARMED_PHASES,
    ARMED_POLL_NS,
    ENABLED_PHASES,
    RECOVERY_LIMIT_NS,
    SAFING_PHASES,
    SELF_DISARM_NS,
    STALE_ARMED_NS,
    STATE_OF,
    Phase,
    polls,
)
from drivers.magstim_picture import condition_reasons, reported, temperature_reason
from drivers.magstim_safing import Safing
from drivers.magstim_table_wire import read_table
from drivers.magstim_watch import CoilRise, TrainWatch
from drivers.protocols import Step
from drivers.values import BurstFired, PanelAct, StimEvent, StimFault, StimReport, StimState, TrainBegan, TrainEnded, TrainSettings

START_BELOW_C = 40  # the unit itself disarms, and cannot be armed, from 40 degrees C on (MAGIC)
STOP_AT_C = 41  # house limit
CUT_OUT_MARGIN_C = 2  # a coil that was last seen so near to the unit's own limit may have reached it since
POLL_FREE_NS = 50_000_000  # before a start that was announced
POLL_FREE_AFTER_NS = 100_000_000
TRAIN_PAUSE_NS = 550_000_000  # after a train the unit waits at least half a second, in which it refuses the settings of one (magpy)
IDLE_WAKE_NS = 1_000_000_000
START_HOLD_NS = 50_000_000  # how long a start waits for the answer to a question that is out; it takes 28 ms at the most

CALL = "Press the unit's own stop or switch its mains off."
CHECK_LINE = "Check that the stimulator is on and that its serial cable is plugged in."
CHECK_CODE = "Check the unlock code of this unit, and that its own screen is unplugged."
LOOK_AT_UNIT = "Look at the unit, then prepare again."
CHECK_COIL = "Look at the unit and its coil: plug, safety switch, temperature."


class MagstimCore:
    """One unit of the given model with one coil. A fault stands in `report` until it is acknowledged or the next `prepare`.

    `coil_type` is the site's name for the coil: the unit tells only that one is there. `software` is the first number of a Rapid²'s
    version, by which it is planned before the unit has told its own; one that tells another is not used. `spent_before_joules` is what
    the minute before the first connection may have taken; the default supposes the worst, so that a Rapid² rests for a minute after a
    start of the host. Temperature limits may only be lowered. Raises Refused for an unknown model or mains voltage, ValueError for
    limits above the built-in ones.
    """

    def __init__(
        self,
        model: str,
        coil_type: int,
        *,
        max_amplitude_pct_mso: int,
        mains_v: int = 240,
        software: int | None = None,
        unlock: UnlockCode | None = None,
        ignore_coil_switch: bool = False,
        spent_before_joules: float = DAMAGE_J_PER_MINUTE,
        start_temp_c: int = START_BELOW_C,
        stop_temp_c: int = STOP_AT_C,
        where: str = "stimulator",
    ) -> None:
        if start_temp_c > START_BELOW_C or stop_temp_c > STOP_AT_C or start_temp_c > stop_temp_c:
            limits = f"{START_BELOW_C} and {STOP_AT_C} degrees C"
            raise ValueError(f"{where}: the temperature limits {start_temp_c} and {stop_temp_c} may only be below {limits}")
        if not 0 <= max_amplitude_pct_mso <= 100:
            raise ValueError(f"{where}: the amplitude ceiling must be 0 to 100 %")
        self._unit = make_unit(model, mains_v, max_amplitude_pct_mso, read_table(), where)
        self._coil_type = coil_type
        self._told_software = software if self._unit.model.family is Family.RAPID else None
        self._unlock = unlock
        self._ignores_coil_switch = ignore_coil_switch
        self._start_temp_c, self._stop_temp_c = start_temp_c, stop_temp_c
        self._energy = EnergyBook(spent_before_joules)
        self._rise = CoilRise()
        self._alive_until_ns = 0
        self._pause_until_ns = 0  # after a train the unit takes no settings of one
        self._phase = Phase.OFF
        self._forget()
        self._report = StimReport(received_ns=0, state=StimState.DISCONNECTED)

    def _forget(self) -> None:
        """All that was known through the transport that is now gone; not what the hardware has borne."""
        self._talk = Conversation(self._unit.model.family)
        self._safing: Safing | None = None
        self._owes_disabled = False
        self._version_asks = 0
        self._has_read_all = False
        self._watch: TrainWatch | None = None
        self._starts = 0
        self._unasked: TrainWatch | None = None  # what somebody else fired
        self._prepared: TrainSettings | None = None
        self._wanted: TrainSettings | None = None
        self._fault: str | None = None
        self._fault_clears_when_secured = False
        self._poll_ns = 0
        self._polls_done = 0
        self._settled_ns = 0
        self._deadline_ns = 0  # of settling, arming or recovering
        self._armed_ns = 0  # when it was armed or last fired
        self._quiet_ns: int | None = None  # an announced start
        self._unwritten: tuple[Order, ...] = ()  # settings, and the questions behind them
        self._events: list[StimEvent] = []

    @property
    def report(self) -> StimReport:
        return self._report

    @property
    def estimates(self) -> bool:
        return True

    @property
    def damaged(self) -> int:
        """Bytes that could not be read, and one for each start: the receipts of its pulses are missing, always."""
        return self._talk.reader.dropped + self._starts

    @property
    def prepared(self) -> TrainSettings | None:
        return self._prepared

    def can(self, settings: TrainSettings) -> tuple[str, ...]:
        dialect = self._talk.dialect
        if not self._talk.knows_language:
            dialect = Dialect(family=dialect.family, software=self._told_software)
        return reasons_against(settings, self._unit, dialect)

    def least_gap_s(self, settings: TrainSettings) -> float:
        """The pause that the unit needs after such a train. For settings that it `can`."""
        rate = rate_tenth_hz(settings.burst_hz)
        if settings.bursts == 1 or rate is None:
            return single_pause_s(self._unit.model.family, settings.amplitude_pct_mso)
        return wait_s(self._unit.joules(settings.amplitude_pct_mso), rate / 10, settings.bursts)

    def may_keep_alive(self, until_ns: int) -> None:
        """The daemon was heard: until then the unit may be kept armed. Never takes back what a later call or beat allowed."""
        self._alive_until_ns = max(self._alive_until_ns, until_ns)

    def start_is_due(self, at_ns: int) -> None:
        """A start is planned for then: no question is put in the 50 ms before."""
        self._quiet_ns = at_ns

    # ---- trains and their energy --------------------------------------------------------------------------------------------

    def _begin_train(self, watch: TrainWatch, now_ns: int) -> None:
        watch.began_ns = now_ns
        self._rise.begin(self._talk.picture.hottest_tenth_c)
        self._events.append(TrainBegan(at_ns=now_ns))

    def _end_train(self, watch: TrainWatch, at_ns: int) -> None:
        """What it may have given is entered in the book of energy; then the unit recovers."""
        if watch.ended_ns is not None:
            return
        watch.ended_ns = self._armed_ns = at_ns
        given = replace(watch.settings, bursts=watch.begun_by(at_ns))
        if given.bursts:
            self._energy.fired(at_ns, self._joules(given), self.least_gap_s(given))
        if watch.sent_ns is not None:
            self._pause_until_ns = at_ns + TRAIN_PAUSE_NS
            self._rise.end()
            self._events.append(TrainEnded(at_ns=at_ns))
        if self._phase is Phase.FIRING:
            fault = watch.short_fault(at_ns)
            if fault:
                self._fail(fault, LOOK_AT_UNIT, at_ns)
            else:
                self._recover(at_ns)

    def _joules(self, settings: TrainSettings) -> float:
        """Energy of a train; none is known of the models that pace none."""
        is_rapid = self._unit.model.family is Family.RAPID
        return self._unit.joules(settings.amplitude_pct_mso) * settings.bursts if is_rapid else 0.0

    def _recover(self, now_ns: int) -> None:
        self._phase = Phase.RECOVERING
        self._deadline_ns = max(now_ns, self._may_start_ns(now_ns)) + RECOVERY_LIMIT_NS
        self._polls_done, self._poll_ns = 0, now_ns + ARMED_POLL_NS

    def _may_start_ns(self, now_ns: int) -> int:
        joules = 0.0 if self._prepared is None else self._joules(self._prepared)
        return self._energy.may_start_ns(min(joules, DAMAGE_J_PER_MINUTE), now_ns)

    # ---- making safe --------------------------------------------------------------------------------------------------------

    def _fail(self, what: str, remedy: str, now_ns: int) -> None:
        self._tell_fault(what, remedy, now_ns)
        self._prepared = None
        if self._phase not in SAFING_PHASES:
            self._make_safe(now_ns)

    def _fail_order(self, what: str, remedy: str, now_ns: int) -> None:
        """In standby a refused remote control is only told; anywhere else what came of a setting is in doubt."""
        if self._phase is Phase.IDLE:
            self._tell_fault(what, remedy, now_ns)
        else:
            self._fail(what, remedy, now_ns)

    def _tell_fault(self, what: str, remedy: str, now_ns: int) -> None:
        """A fault stands, unless it is of the line alone: that one never hides or clears another."""
        self._events.append(StimFault(what=what, remedy=remedy, at_ns=now_ns))
        is_of_the_line = self._phase is Phase.SECURING
        if not is_of_the_line or self._fault is None or self._fault_clears_when_secured:
            self._fault = what
            self._fault_clears_when_secured = is_of_the_line

    def _refusal(self, what: str, remedy: str, now_ns: int) -> Step[StimEvent]:
        self._events.append(StimFault(what=what, remedy=remedy, at_ns=now_ns))
        return self._step(now_ns)

    def _make_safe(self, now_ns: int) -> None:
        self._owes_disabled = True
        if self._phase is not Phase.SECURING:
            self._phase = Phase.STOPPING
        if self._safing is None or self._safing.confirmed_ns is not None:
            self._begin_safing(now_ns)
        elif self._safing.is_silent:
            self._talk.send(self._safing.try_again(now_ns))

    def _begin_safing(self, now_ns: int) -> None:
        self._talk.line.clear()
        self._unwritten = ()
        self._safing = Safing()
        self._talk.send(self._safing.try_again(now_ns))

    def _rest(self, now_ns: int) -> None:
        self._phase = Phase.IDLE
        self._safing = self._watch = None
        self._poll_ns = now_ns

    def _secure_again(self, now_ns: int) -> None:
        """Nobody answers: begin as on a fresh line."""
        self._phase, self._prepared = Phase.SECURING, None
        self._tell_fault("no answer to several questions in a row", CHECK_LINE, now_ns)
        self._talk.found_enabled = self._talk.found_running = False
        self._has_read_all, self._version_asks = False, 0
        self._begin_safing(now_ns)

    def _explain_drop(self, now_ns: int) -> None:
        """The unit left the armed state: its own limits first, then a hand at it."""
        reasons = self._reasons_of_condition(START_BELOW_C - CUT_OUT_MARGIN_C)
        if reasons:
            self._fail("the unit disarmed itself: " + "; ".join(reasons), CHECK_COIL, now_ns)
        elif now_ns - self._armed_ns >= SELF_DISARM_NS:
            self._fail("the unit disarmed itself: armed for a minute and nothing was fired", "Arm again when all is ready.", now_ns)
        else:
            self._take_acts(["disabled at the unit or by itself"], now_ns)

    def _take_acts(self, acts: list[str], now_ns: int) -> None:
        if not acts:
            return
        self._events += [PanelAct(what=act, at_ns=now_ns) for act in acts]
        if self._phase in ARMED_PHASES or self._phase is Phase.PREPARING:
            self._fail("changed without being asked: " + "; ".join(acts), LOOK_AT_UNIT, now_ns)
        elif self._phase is Phase.IDLE:
            self._prepared = None
            self._make_safe(now_ns)

    def _tell_unasked(self, now_ns: int) -> None:
        """Every pulse that somebody else's start may have given until the unit was confirmed off."""
        unasked_train, self._unasked = self._unasked, None
        if unasked_train is not None:
            given = replace(unasked_train.settings, bursts=unasked_train.begun_by(now_ns))
            self._events += [BurstFired(at_ns=now_ns, didt_a_per_us=None, asked=False)] * given.bursts
            self._energy.fired(now_ns, self._joules(given), self.least_gap_s(given))
            self._pause_until_ns = now_ns + TRAIN_PAUSE_NS

    # ---- what must hold -----------------------------------------------------------------------------------------------------

    def _reasons_of_condition(self, limit_c: int) -> list[str]:
        too_warm = temperature_reason(self._talk.picture.hottest_tenth_c, limit_c)
        return condition_reasons(self._talk.picture, self._unit) + ([too_warm] if too_warm else [])

    def _reasons_against_control(self) -> list[str]:
        if not self._talk.knows_language:
            return ["its software version is not known"]
        if self._told_software not in (None, self._talk.dialect.software):
            return [f"its software is {self._talk.dialect.software}, the chair file says {self._told_software}"]
        if self._talk.dialect.needs_unlock and self._unlock is None:
            return ["its software asks for an unlock code and none is configured"]
        return []

    def _reasons_not_to_charge(self, phase: Phase, stale_ns: int, now_ns: int) -> list[str]:
        """What must hold before the unit is armed, and again before a train."""
        reasons = []
        if self._phase is not phase:
            reasons.append(f"the unit is {self._phase.name.lower()}, not {phase.name.lower()}")
        if self._prepared is None:
            reasons.append("no settings are read back equal")
        if now_ns - self._talk.status_ns > stale_ns:
            reasons.append("its last status is too old")
        if now_ns >= self._alive_until_ns:
            reasons.append("the daemon was not heard lately")
        if self._talk.picture.rapid is not None and self._talk.picture.rapid.train:
            reasons.append("a train may be running")
        rise = self._rise.reason(self._talk.picture.hottest_tenth_c, self._stop_temp_c)
        return reasons + self._reasons_of_condition(self._start_temp_c) + ([rise] if rise else [])

    # ---- what goes out ------------------------------------------------------------------------------------------------------

    def _step(self, now_ns: int) -> Step[StimEvent]:
        report = self._described()
        if report != self._report:
            self._report = report
            self._events.append(report)
        step = Step[StimEvent](wake_ns=self._wake_ns(now_ns), send=self._talk.take_unsent(), events=tuple(self._events))
        self._events.clear()
        return step

    def _described(self) -> StimReport:
        has_fault = self._fault is not None and self._phase not in ARMED_PHASES and self._phase is not Phase.OFF
        state = StimState.FAULT if has_fault else STATE_OF[self._phase]
        return reported(self._talk.picture, self._unit, state, self._talk.status_ns, self._coil_type, self._fault)

    def _wake_ns(self, now_ns: int) -> int:
        times = [now_ns + IDLE_WAKE_NS]
        if self._phase is not Phase.OFF:
            times += [at_ns for at_ns in (self._talk.reader.expires_ns, self._talk.line.expires_ns) if at_ns is not None]
        if self._safing is not None and self._safing.confirmed_ns is None:
            times.append(self._safing.due_ns)
        elif polls(self._phase, self._talk.dialect) is not None and self._talk.line.is_empty:
            times.append(self._next_poll_ns(now_ns))
        if self._phase in ARMED_PHASES:
            times += self._armed_deadlines_ns(now_ns)
        return min(times)

    def _next_poll_ns(self, now_ns: int) -> int:
        """Never just before a start that was announced."""
        quiet_ns = self._quiet_ns
        if self._phase is Phase.READY and quiet_ns is not None and quiet_ns - POLL_FREE_NS <= now_ns < quiet_ns + POLL_FREE_AFTER_NS:
            return quiet_ns + POLL_FREE_AFTER_NS
        return self._poll_ns

    def _armed_deadlines_ns(self, now_ns: int) -> list[int]:
        times = [self._alive_until_ns]
        if self._phase in ENABLED_PHASES:
            times.append(self._talk.status_ns + STALE_ARMED_NS)
        if self._phase in (Phase.ARMING, Phase.RECOVERING):
            times.append(self._deadline_ns)
        if self._phase is Phase.RECOVERING and self._may_start_ns(now_ns) > now_ns:
            times.append(self._may_start_ns(now_ns))
        deadline_ns = None if self._watch is None else self._watch.deadline_ns()
        if self._phase is Phase.STARTING and self._watch is not None and self._watch.sent_ns is None:
            deadline_ns = self._watch.asked_ns + START_HOLD_NS
        return times if deadline_ns is None else [*times, deadline_ns]
