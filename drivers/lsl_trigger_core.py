"""What a trigger box's driver is made of: what it must be given, what it knows, how it makes safe, how it talks. Sans-IO.

When which is done stands in `lsl_trigger`.
"""

import secrets
from collections.abc import Callable
from typing import Final

from drivers.lsl_bridge_wire import Ping, Pong, encode_word
from drivers.lsl_marker_wire import LineReader
from drivers.lsl_trigger_models import known_model, reasons_against
from drivers.lsl_trigger_picture import ARMED_PHASES, POLL_NS, SAFING_PHASES, STATE_OF, Heard, Phase, condition_reasons, reported
from drivers.lsl_trigger_watch import GRACE_NS, TrainWatch
from drivers.lsl_trigger_wire import AnyCommand, Ask, Command, Status, Stop, encode
from drivers.protocols import Step
from drivers.values import Disabled, PanelAct, Refused, StimEvent, StimFault, StimReport, StimState, TrainSettings

START_BELOW_C: Final = 40  # house limits, below the 43 degrees C at which stimulators are commonly said to disable themselves
STOP_AT_C: Final = 41
RETRY_NS: Final = 100_000_000  # between two tries to disarm
TRIES: Final = 3  # in 300 ms; then the alarm, and the tries go on
SILENCE_NS: Final = 5_000_000_000  # on a fresh line: the bridge starts and the box finds it in one or two seconds
STALE_ARMED_NS: Final = 450_000_000  # 1.5 times 300 ms
STALE_STANDBY_NS: Final = 450_000_000
PONG_NS: Final = 450_000_000  # as a status while armed: a bridge that was not heard for so long may be hung
QUIET_NS: Final = 300_000_000  # three questions unanswered by the bridge itself: it is named before the box is
IDLE_WAKE_NS: Final = 1_000_000_000

CALL: Final = "Press the stimulator's own stop, or switch the mains off."
CHECK_BOX: Final = "Check that the box runs, is on this network, and offers the streams that the chair's file names."
LOOK_AT_BOX: Final = "Look at the box and the stimulator, then prepare again."


def random_run() -> str:
    return secrets.token_hex(8)


class Safing:
    """One effort to disarm the box: a status proves it that has heard this effort's first stop, or a later command."""

    def __init__(self, first_id: int, now_ns: int) -> None:
        self.first_id, self.begun_ns, self.due_ns = first_id, now_ns, now_ns
        self.tries = 0
        self.confirmed_ns: int | None = None
        self._alarmed = self._told = False

    def try_again(self, now_ns: int) -> None:
        self.tries += 1
        self.due_ns = now_ns + RETRY_NS

    def alarm_is_due(self, now_ns: int) -> bool:
        """True once, when three tries have gone unconfirmed."""
        due = self.confirmed_ns is None and not self._alarmed and self.tries >= TRIES and now_ns >= self.due_ns
        self._alarmed = self._alarmed or due
        return due

    def silence_is_due(self, now_ns: int) -> bool:
        """True once, when nothing has confirmed it for so long that there must be nobody."""
        due = self.confirmed_ns is None and not self._told and now_ns - self.begun_ns >= SILENCE_NS
        self._told = self._told or due
        return due

    def observe(self, status: Status, now_ns: int) -> bool:
        """Whether this status is the proof that was missing."""
        is_proof = self.confirmed_ns is None and status.heard >= self.first_id and not status.armed and not status.running
        if is_proof:
            self.confirmed_ns = now_ns
        return is_proof


class TriggerCore:
    """One box with one stimulator behind it.

    `receipt_stream`: where the box tells of each pulse; without one nothing confirms a pulse, and `unconfirmed_signed_by` must name who
    answers for counts that are estimated. Amplitude, coil and temperature are what the box reports; nothing stands in for them.
    The temperature limits may only be lowered. Raises Refused for an unknown model or missing receipts that nobody has signed for, and
    ValueError for limits above the built-in ones.
    """

    def __init__(
        self,
        model: str,
        coil_type: int,
        *,
        box_serial: int,
        max_amplitude_pct_mso: int,
        receipt_stream: str | None,
        unconfirmed_signed_by: str | None = None,
        start_temp_c: int = START_BELOW_C,
        stop_temp_c: int = STOP_AT_C,
        where: str = "trigger box",
        new_run: Callable[[], str] = random_run,
    ) -> None:
        if start_temp_c > START_BELOW_C or stop_temp_c > STOP_AT_C or start_temp_c > stop_temp_c:
            limits = f"{START_BELOW_C} and {STOP_AT_C} degrees C"
            raise ValueError(f"{where}: the temperature limits {start_temp_c} and {stop_temp_c} may only be below {limits}")
        if not 0 <= max_amplitude_pct_mso <= 100:
            raise ValueError(f"{where}: the amplitude ceiling must be 0 to 100 %")
        if receipt_stream is None and not (unconfirmed_signed_by or "").strip():
            remedy = "Name the box's receipt stream, or have the site sign for pulses that nothing confirms (unconfirmed_signed_by)."
            raise Refused("no receipt stream is configured: pulses would be triggered that nothing confirms", where, remedy)
        self._model = known_model(model, where)
        self._coil_type, self._box_serial = coil_type, box_serial
        self._max_amplitude_pct_mso = max_amplitude_pct_mso
        self._has_receipts = receipt_stream is not None
        self._start_temp_c, self._stop_temp_c = start_temp_c, stop_temp_c
        self._new_run = new_run
        self._phase = Phase.OFF
        self._alive_until_ns = 0
        self._report = StimReport(received_ns=0, state=StimState.DISCONNECTED)
        self._left: tuple[str, int] | None = None  # where the box's count of pulses stood when the line was lost at rest
        self._forget()

    def _forget(self) -> None:
        """All that was known through the line that is now gone."""
        self._run = self._new_run()
        self._id = 0
        self._reader = LineReader()
        self._unreadable = self._unconfirmed = 0
        self._heard = Heard(self._box_serial, self._run)
        self._pong: Pong | None = None
        self._pong_ns = 0
        self._safing: Safing | None = None
        self._owes_disabled = False
        self._watch: TrainWatch | None = None
        self._owed: tuple[int, int] | None = None  # pulses given by a status, and by when their receipts must be here
        self._prepared: TrainSettings | None = None
        self._wanted: TrainSettings | None = None
        self._order_id = 0  # of the command whose outcome is awaited
        self._fault: str | None = None
        self._fault_clears_when_secured = False
        self._worries: set[str] = set()
        self._poll_ns = 0
        self._deadline_ns = 0  # of settling or of charging
        self._bytes = bytearray()
        self._events: list[StimEvent] = []

    @property
    def report(self) -> StimReport:
        return self._report

    @property
    def estimates(self) -> bool:
        return not self._has_receipts

    @property
    def damaged(self) -> int:
        """Without receipts nothing of a train is confirmed: each start of one counts as damage too."""
        return self._reader.broken + self._unreadable + self._heard.receipts.damaged + self._unconfirmed

    @property
    def prepared(self) -> TrainSettings | None:
        return self._prepared

    def can(self, settings: TrainSettings) -> tuple[str, ...]:
        return reasons_against(settings, self._model, self._max_amplitude_pct_mso)

    def may_keep_alive(self, until_ns: int) -> None:
        """The box disarms itself when it hears nothing for a second: it is kept armed until then, and disarmed after."""
        self._alive_until_ns = max(self._alive_until_ns, until_ns)

    def start_is_due(self, at_ns: int) -> None:
        """Nothing to be done: a question that is out does not delay a start."""

    # ---- talking ----------------------------------------------------------------------------------------------------

    def _next_id(self, now_ns: int) -> int:
        self._id += 1
        self._heard.asked(self._id, now_ns)
        return self._id

    def _say(self, command: AnyCommand) -> None:
        self._bytes += encode(command).encode("ascii") + b"\n"

    def _ask(self, now_ns: int) -> None:
        self._say(Ask(run=self._run, id=self._next_id(now_ns)))
        self._ping()

    def _ping(self) -> None:
        self._bytes += encode_word(Ping(id=self._id)).encode("ascii") + b"\n"

    def _order(self, make: Callable[[int], Command], now_ns: int) -> int:
        """Send one command whose outcome is awaited."""
        self._order_id = self._next_id(now_ns)
        self._say(make(self._order_id))  # type: ignore[arg-type]  # every maker makes one of the commands
        return self._order_id

    # ---- making safe ------------------------------------------------------------------------------------------------

    def _fail(self, what: str, remedy: str, now_ns: int) -> None:
        self._tell_fault(what, remedy, now_ns)
        self._prepared = None
        if self._phase not in SAFING_PHASES:
            self._make_safe(now_ns)

    def _tell_fault(self, what: str, remedy: str, now_ns: int) -> None:
        """A fault stands, unless it is of the line alone: that one never hides or clears another."""
        self._events.append(StimFault(what=what, remedy=remedy, at_ns=now_ns))
        is_of_the_line = self._phase is Phase.SECURING
        if not is_of_the_line or self._fault is None or self._fault_clears_when_secured:
            self._fault = what
            self._fault_clears_when_secured = is_of_the_line

    def _worry(self, what: str, remedy: str, now_ns: int) -> None:
        """A fault that is told once for as long as the line lasts."""
        if what not in self._worries:
            self._worries.add(what)
            self._fail(what, remedy, now_ns)

    def _refusal(self, what: str, remedy: str, now_ns: int) -> Step[StimEvent]:
        self._events.append(StimFault(what=what, remedy=remedy, at_ns=now_ns))
        return self._step(now_ns)

    def _take_acts(self, acts: list[str], now_ns: int) -> None:
        if not acts:
            return
        self._prepared = None
        self._events += [PanelAct(what=act, at_ns=now_ns) for act in acts]
        status = self._heard.status
        if self._phase in ARMED_PHASES or self._phase is Phase.PREPARING:
            self._fail("changed without being asked: " + "; ".join(acts), LOOK_AT_BOX, now_ns)
        elif status is not None and (status.armed or status.running):
            self._make_safe(now_ns)

    def _make_safe(self, now_ns: int) -> None:
        self._owes_disabled = True
        if self._phase is not Phase.SECURING:
            self._phase = Phase.STOPPING
        if self._safing is None or self._safing.confirmed_ns is not None:
            self._begin_safing(now_ns)

    def _begin_safing(self, now_ns: int) -> None:
        self._safing = Safing(self._id + 1, now_ns)
        self._say_stop(self._safing, now_ns)

    def _say_stop(self, safing: Safing, now_ns: int) -> None:
        safing.try_again(now_ns)
        self._bytes += b"\n"  # ends a line that a dead owner left half written
        self._say(Stop(run=self._run, id=self._next_id(now_ns)))
        self._ping()

    def _advance_safing(self, now_ns: int) -> None:
        safing = self._safing
        if safing is None or safing.confirmed_ns is not None or now_ns < safing.due_ns:
            return
        if safing.alarm_is_due(now_ns):
            if self._owes_disabled:
                self._events.append(Disabled(confirmed=False, at_ns=now_ns))
            if self._heard.status is not None:
                self._tell_fault("the box does not confirm that it is disarmed", CALL, now_ns)
        if safing.silence_is_due(now_ns) and self._heard.status is None:
            self._tell_fault("no answer", f"Now {self._who_is_missing(now_ns)}. {CHECK_BOX}", now_ns)
        self._say_stop(safing, now_ns)

    def _secure_again(self, now_ns: int) -> None:
        """Begin as on a fresh line, in a new conversation."""
        self._phase, self._prepared = Phase.SECURING, None
        self._run = self._new_run()
        self._heard.begin(self._run)
        self._begin_safing(now_ns)

    # ---- what is known of the way to the box --------------------------------------------------------------------------

    def _who_is_missing(self, now_ns: int) -> str:
        pong = self._pong
        if pong is None or now_ns - self._pong_ns > QUIET_NS:
            return "the bridge to LSL is silent"
        if not pong.listened:
            return "nobody listens to our trigger stream"
        return "the box says nothing" if pong.status else "the box offers no status stream"

    def _reasons_of_the_way(self, now_ns: int) -> list[str]:
        """Whether the bridge lives and all streams are there, and no other of their names."""
        pong = self._pong
        if pong is None or now_ns - self._pong_ns > PONG_NS:
            return ["the bridge to LSL is silent"]
        reasons = []
        if self._has_receipts and not pong.receipts:
            reasons.append("the box's receipt stream is missing")
        if pong.rivals:
            reasons.append(f"{pong.rivals} more streams on this network have the names that the chair's file gives to its own")
        return reasons

    def _reasons_not_to_charge(self, phase: Phase, stale_ns: int, limit_c: int, now_ns: int) -> list[str]:
        """What must hold before the box is armed, and again before a train."""
        status = self._heard.status
        reasons = [] if self._phase is phase else [f"the box is {self._phase.name.lower()}, not {phase.name.lower()}"]
        if self._prepared is None:
            reasons.append("no settings are read back equal")
        if status is None or now_ns - self._heard.as_of_ns > stale_ns:
            return [*reasons, "its last status is too old"]
        if now_ns >= self._alive_until_ns:
            reasons.append("the daemon was not heard lately")
        if status.running:
            reasons.append("a train may be running")
        return [*reasons, *condition_reasons(status, limit_c), *self._reasons_of_the_way(now_ns)]

    # ---- what goes out ----------------------------------------------------------------------------------------------

    def _step(self, now_ns: int) -> Step[StimEvent]:
        report = self._described()
        if report != self._report:
            self._report = report
            self._events.append(report)
        step = Step[StimEvent](wake_ns=self._wake_ns(now_ns), send=bytes(self._bytes), events=tuple(self._events))
        self._bytes.clear()
        self._events.clear()
        return step

    def _described(self) -> StimReport:
        has_fault = self._fault is not None and self._phase not in ARMED_PHASES and self._phase is not Phase.OFF
        return reported(self._heard.status, self._heard.as_of_ns, StimState.FAULT if has_fault else STATE_OF[self._phase], self._fault)

    def _wake_ns(self, now_ns: int) -> int:
        times = [now_ns + IDLE_WAKE_NS]
        if self._phase is Phase.OFF:
            return times[0]
        if self._safing is not None and self._safing.confirmed_ns is None:
            times.append(self._safing.due_ns)
        elif self._phase in POLL_NS:
            times.append(self._poll_ns)
        deadline_ns = None if self._watch is None else self._watch.deadline_ns()
        if self._phase in (Phase.STARTING, Phase.FIRING) and deadline_ns is not None:
            times.append(deadline_ns)
        if self._owed is not None:
            times.append(self._owed[1])
        if self._phase in ARMED_PHASES:
            times += [self._heard.as_of_ns + STALE_ARMED_NS, self._alive_until_ns]
        if self._phase in (Phase.PREPARING, Phase.ARMING) and self._deadline_ns > now_ns:
            times.append(self._deadline_ns)
        return min(times)

    def _note_owed(self, given: int | None, now_ns: int) -> None:
        """Receipts that a status speaks of and that have not come by the end of the grace are missing."""
        if given is not None and self._owed is None and not self._heard.receipts.is_complete(given):
            self._owed = (given, now_ns + GRACE_NS)

    def _settle_owed(self, now_ns: int) -> None:
        if self._owed is not None and now_ns >= self._owed[1]:
            self._heard.receipts.give_up(self._owed[0])
            self._owed = None
