"""A Magstim 200², BiStim² or Rapid² as a stimulator: what to send when, what its replies mean. Sans-IO: no port, no clock.

Disarmed first and until proven, settings written and read back, one train or pulse per start. The unit confirms no pulse: what was
fired is what the plan had begun. While armed it is asked several times a second, for it disarms itself when nobody does; and nobody
does unless the daemon was heard lately (`may_keep_alive`).
"""

from drivers.magstim_asking import Answered
from drivers.magstim_command_wire import FIRE
from drivers.magstim_core import CALL, CHECK_CODE, CHECK_COIL, CHECK_LINE, LOOK_AT_UNIT, START_HOLD_NS, TRAIN_PAUSE_NS, MagstimCore
from drivers.magstim_models import writing
from drivers.magstim_phases import (
    ARM_ORDER,
    ARMED_PHASES,
    ENABLE_LIMIT_NS,
    ENABLED_PHASES,
    ERROR,
    SETTLE_MARGIN_NS,
    SETTLING_POLL_NS,
    SIMULATOR,
    STALE_ARMED_NS,
    STALE_STANDBY_NS,
    TEMPERATURE,
    VERSION,
    Phase,
    fired_unasked,
    has_dropped,
    order,
    polls,
    read_back,
    remote,
    settle_ns,
    unasked,
)
from drivers.magstim_picture import Picture, condition_reasons, mismatches, tells_status
from drivers.magstim_watch import TrainWatch
from drivers.magstim_wire import Ack, ErrorCode, Reply, Temperature, letter_of
from drivers.protocols import Step
from drivers.values import Disabled, PanelAct, Prepared, Ready, Secured, StimEvent, TrainSettings

BAUD = 9600  # 8N1, no handshake
VERSION_ASKS = 3
OWN_FIRE_NS = 500_000_000  # charge lost within this time of our own pulse was lost by it


class MagstimStimulator(MagstimCore):
    """One unit as every stimulator is used; what it must be given stands in `MagstimCore`."""

    def connected(self, now_ns: int) -> Step[StimEvent]:
        self._forget()
        self._energy.open(now_ns)
        self._phase = Phase.SECURING
        self._begin_safing(now_ns)
        return self._step(now_ns)

    def disconnected(self, now_ns: int) -> Step[StimEvent]:
        was_armed = self._phase in ARMED_PHASES or self._talk.picture.enabled
        if self._watch is not None:
            self._end_train(self._watch, max(now_ns, self._watch.last_due_ns))  # a running train may go on to its end
        self._forget()
        self._phase = Phase.OFF
        if was_armed:
            what = "the line was lost while the unit was armed: it disarms itself within a second, a running train may go on to its end"
            self._tell_fault(what, CALL, now_ns)
        return self._step(now_ns)

    def feed(self, data: bytes, now_ns: int) -> Step[StimEvent]:
        if self._phase is not Phase.OFF:
            self._give_up_late(now_ns)  # before it is read: an answer that is late tells nothing certain
            self._receive(self._talk.reader.feed(data, now_ns), now_ns)
        return self._step(now_ns)

    def tick(self, now_ns: int) -> Step[StimEvent]:
        if self._phase is not Phase.OFF:
            self._receive(self._talk.reader.expire(now_ns), now_ns)
        return self._step(now_ns)

    def prepare(self, settings: TrainSettings, now_ns: int) -> Step[StimEvent]:
        reasons = list(self.can(settings))
        if self._phase is not Phase.IDLE:
            reasons.append(f"the unit is {self._phase.name.lower()}, not in standby")
        reasons += self._reasons_against_control()
        if reasons:
            return self._refusal("the train cannot be prepared: " + "; ".join(reasons), "Change the plan or wait for standby.", now_ns)
        self._phase = Phase.PREPARING
        self._fault = self._prepared = None
        self._wanted = settings
        write_ns = max(now_ns, self._pause_until_ns)
        self._settled_ns = write_ns + settle_ns(self._talk.picture.power_pct, settings.amplitude_pct_mso)
        self._deadline_ns = self._settled_ns + SETTLE_MARGIN_NS
        commands = writing(settings, self._unit, ignore_coil_switch=self._ignores_coil_switch)
        orders = [order(command, self._talk.dialect) for command in commands]
        self._unwritten = (remote(self._unlock, self._talk.dialect), *orders, *read_back(self._talk.dialect))
        self._poll_ns = write_ns
        self._advance(now_ns)
        return self._step(now_ns)

    def enable(self, now_ns: int) -> Step[StimEvent]:
        reasons = self._reasons_not_to_charge(Phase.IDLE, STALE_STANDBY_NS, now_ns)
        if reasons:
            return self._refusal("the unit is not armed: " + "; ".join(reasons), "Prepare first, from standby.", now_ns)
        self._phase = Phase.ARMING
        self._armed_ns = now_ns
        self._deadline_ns = now_ns + ENABLE_LIMIT_NS
        self._talk.line.put((ARM_ORDER, *read_back(self._talk.dialect)))
        self._advance(now_ns)
        return self._step(now_ns)

    def start_train(self, now_ns: int) -> Step[StimEvent]:
        """Fire at once, or, where a question is out, behind its answer (28 ms at the most): the line carries one thing at a time."""
        reasons = self._reasons_not_to_charge(Phase.READY, STALE_ARMED_NS, now_ns)
        if reasons or self._prepared is None:
            return self._refusal("nothing is fired: " + "; ".join(reasons), "Prepare and arm first, keep the pauses.", now_ns)
        self._phase = Phase.STARTING
        self._watch = TrainWatch(self._prepared, now_ns)
        self._starts += 1
        self._advance(now_ns)
        return self._step(now_ns)

    def start_burst(self, now_ns: int) -> Step[StimEvent]:
        """Refused: these units make no bursts."""
        return self._refusal("a Magstim cannot be paced by the host in bursts", "Let the unit pace the train.", now_ns)

    def end_train(self, now_ns: int) -> Step[StimEvent]:
        """Refused: there is never a train of bursts to end."""
        return self._refusal("a Magstim cannot be paced by the host in bursts", "Let the unit pace the train.", now_ns)

    def acknowledge(self, now_ns: int) -> Step[StimEvent]:
        if self._phase is Phase.IDLE:
            self._fault = None
        return self._step(now_ns)

    def stop(self, now_ns: int) -> Step[StimEvent]:
        if self._phase is Phase.OFF:
            self._events.append(Disabled(confirmed=False, at_ns=now_ns))
        else:
            self._make_safe(now_ns)
        return self._step(now_ns)

    # ---- bytes in -----------------------------------------------------------------------------------------------------------

    def _receive(self, replies: list[Reply], now_ns: int) -> None:
        for reply in replies:
            self._observe(reply, now_ns)
        self._advance(now_ns)

    def _observe(self, reply: Reply, now_ns: int) -> None:
        answered = self._talk.line.take(reply)
        fires = answered is None and letter_of(reply) == "E" and self._phase is Phase.STARTING
        if answered is None and not fires and self._safing is None:
            return  # nobody waits for it: a late one, which tells nothing certain
        old, before_ns = self._talk.picture, self._talk.status_ns
        self._talk.note(reply, now_ns)
        if self._phase is Phase.SECURING:
            self._talk.note_found(reply)
        if isinstance(reply, Temperature):
            self._rise.felt(max(reply.first_tenth_c, reply.second_tenth_c))
        self._follow_safing(reply, now_ns)
        if fires:
            self._take_fire_answer(reply, now_ns)
        elif tells_status(reply):
            self._report_acts(old, before_ns, now_ns)
            self._follow_train(now_ns)
        self._check_condition(reply, now_ns)
        if answered is not None:
            self._take_answer(answered, now_ns)

    def _take_answer(self, answered: Answered, now_ns: int) -> None:
        if answered.is_refused and not answered.order.is_question:
            remedy = CHECK_CODE if answered.order.letter == "Q" else LOOK_AT_UNIT
            self._fail_order(f"the unit refuses {answered.order.what} ({type(answered.reply).__name__})", remedy, now_ns)
        if self._talk.line.is_empty:
            self._conclude(now_ns)

    def _take_fire_answer(self, reply: Reply, now_ns: int) -> None:
        watch = self._watch
        if watch is None or watch.sent_ns is None:
            return
        watch.answered = True
        if not isinstance(reply, Ack):
            self._fail(f"the unit refuses to fire ({type(reply).__name__})", LOOK_AT_UNIT, now_ns)
            return
        self._phase = Phase.FIRING
        self._polls_done, self._poll_ns = 0, now_ns
        if watch.is_single:
            self._begin_train(watch, now_ns)

    def _follow_train(self, now_ns: int) -> None:
        watch, rapid = self._watch, self._talk.picture.rapid
        if watch is None or self._phase is not Phase.FIRING:
            return
        if watch.is_single:
            self._end_train(watch, now_ns)
        elif rapid is not None:
            if (rapid.train or rapid.wait) and watch.began_ns is None:
                self._begin_train(watch, now_ns)
            if watch.began_ns is not None and not rapid.train:
                self._end_train(watch, now_ns)

    def _report_acts(self, old: Picture, before_ns: int, now_ns: int) -> None:
        new = self._talk.picture
        watch = self._watch
        is_ours = watch is not None and watch.ended_ns is not None and now_ns - watch.ended_ns < OWN_FIRE_NS
        if fired_unasked(old, new, self._phase) and not is_ours and self._wanted is not None:
            self._unasked = TrainWatch(self._wanted, before_ns)
            self._unasked.sent_ns = before_ns
            self._fail("something was fired that nobody here asked for", "Keep hands and triggers off the stimulator.", now_ns)
        elif has_dropped(old, new, self._phase):
            self._explain_drop(now_ns)
        else:
            self._take_acts(unasked(old, new, self._phase), now_ns)

    def _check_condition(self, reply: Reply, now_ns: int) -> None:
        status = self._talk.picture.status
        if self._phase in ARMED_PHASES:
            reasons = self._reasons_of_condition(self._stop_temp_c)
            if reasons:
                self._fail("; ".join(reasons), CHECK_COIL, now_ns)
        elif self._phase is Phase.IDLE and isinstance(reply, ErrorCode) and status is not None and status.error:
            reasons = condition_reasons(self._talk.picture, self._unit)
            self._tell_fault("; ".join(reasons), "Look the code up in the unit's manual.", now_ns)

    # ---- what follows from answers ------------------------------------------------------------------------------------------

    def _conclude(self, now_ns: int) -> None:
        """All that was asked is answered: what follows."""
        status = self._talk.picture.status
        differ = () if self._wanted is None else mismatches(self._wanted, self._talk.picture, self._unit)
        if self._phase is Phase.SECURING:
            self._conclude_securing(now_ns)
        elif self._phase is Phase.PREPARING:
            self._conclude_preparing(differ, now_ns)
        elif self._phase in ARMED_PHASES and differ:
            self._take_acts(list(differ), now_ns)
        elif self._phase is Phase.ARMING and status is not None and status.ready:
            self._armed_ns = now_ns
            self._events.append(Ready(at_ns=now_ns))
            self._recover(now_ns)
        elif self._phase is Phase.IDLE:
            if differ and self._prepared is not None:
                self._prepared = None
                self._events += [PanelAct(what=act, at_ns=now_ns) for act in differ]
            if self._talk.error_is_unnamed:
                self._talk.line.put((ERROR,))

    def _conclude_preparing(self, differ: tuple[str, ...], now_ns: int) -> None:
        """The power takes time to follow: read back again until that has passed and all is equal, or the time is up."""
        if self._unwritten:
            return
        if now_ns < self._settled_ns or (differ and now_ns < self._deadline_ns):
            self._poll_ns = now_ns + SETTLING_POLL_NS if now_ns >= self._settled_ns else min(now_ns + SETTLING_POLL_NS, self._settled_ns)
        elif self._wanted is not None:
            self._phase = Phase.IDLE
            self._prepared = None if differ else self._wanted
            self._events.append(Prepared(settings=self._wanted, mismatches=differ, at_ns=now_ns))

    def _conclude_securing(self, now_ns: int) -> None:
        """Confirmed in standby: first the software's version, for the language depends on it, then all the rest, once."""
        talk = self._talk
        if talk.dialect.is_rapid and talk.dialect.software is None and self._version_asks < VERSION_ASKS:
            self._version_asks += 1
            talk.line.put((VERSION,))
        elif not self._has_read_all:
            self._has_read_all = True
            talk.line.put((*(read_back(talk.dialect) if talk.knows_language else (TEMPERATURE,)), SIMULATOR))
        elif talk.picture.rapid is not None and talk.picture.rapid.train:
            self._has_read_all = False
            self._begin_safing(now_ns)
        else:
            self._finish_securing(now_ns)

    def _finish_securing(self, now_ns: int) -> None:
        talk = self._talk
        if self._fault_clears_when_secured:
            self._fault = None
        found_running = talk.found_running or (talk.found_enabled and not talk.knows_language)  # what cannot be read is supposed
        self._events.append(Secured(found_enabled=talk.found_enabled, found_running=found_running, at_ns=now_ns))
        if found_running:
            self._pause_until_ns = now_ns + TRAIN_PAUSE_NS
        self._rest(now_ns)
        if not self._reasons_against_control():
            talk.line.put((remote(self._unlock, talk.dialect),))

    def _follow_safing(self, reply: Reply, now_ns: int) -> None:
        safing = self._safing
        if safing is None or safing.confirmed_ns is not None:
            return
        proof = safing.observe(reply, self._talk.dialect, now_ns)
        if proof is not None:
            self._talk.send(proof)
        if safing.confirmed_ns is None:
            return
        if self._watch is not None:
            self._end_train(self._watch, now_ns)
        self._tell_unasked(now_ns)
        if self._owes_disabled:
            self._owes_disabled = False
            self._events.append(Disabled(confirmed=True, at_ns=now_ns))
        if self._phase is Phase.STOPPING:
            self._rest(now_ns)
        else:
            self._conclude_securing(now_ns)

    # ---- time ---------------------------------------------------------------------------------------------------------------

    def _give_up_late(self, now_ns: int) -> None:
        unanswered = self._talk.line.expire(now_ns)
        if unanswered is not None:
            remedy = CHECK_CODE if unanswered.letter == "Q" else CHECK_LINE
            self._fail_order(f"no answer to {unanswered.what} within 300 ms: what came of it is not known", remedy, now_ns)

    def _advance(self, now_ns: int) -> None:
        self._give_up_late(now_ns)
        if self._phase not in ARMED_PHASES and self._talk.nobody_answers():
            self._secure_again(now_ns)
        self._advance_safing(now_ns)
        self._advance_armed(now_ns)
        self._advance_start(now_ns)
        self._poll(now_ns)
        self._talk.send_next(now_ns)

    def _advance_safing(self, now_ns: int) -> None:
        safing = self._safing
        if safing is None or safing.confirmed_ns is not None or now_ns < safing.due_ns:
            return
        if not safing.round_is_over(now_ns):
            self._talk.send(safing.try_again(now_ns))
        elif safing.alarm():
            if self._owes_disabled:
                self._events.append(Disabled(confirmed=False, at_ns=now_ns))
            if self._talk.picture.status is None:
                self._tell_fault("no answer", CHECK_LINE, now_ns)
            else:
                self._tell_fault("the unit does not confirm that it is disarmed", CALL, now_ns)

    def _advance_armed(self, now_ns: int) -> None:
        if self._phase not in ARMED_PHASES:
            return
        overdue = None if self._watch is None else self._watch.overdue_fault(now_ns)
        if now_ns >= self._alive_until_ns:
            self._fail("the daemon was not heard: the unit is not kept armed", "See why the daemon is late, then start again.", now_ns)
        elif self._phase in ENABLED_PHASES and now_ns >= self._talk.status_ns + STALE_ARMED_NS:
            self._fail("no status for 450 ms while armed", CHECK_LINE, now_ns)
        elif overdue:
            self._fail(overdue, LOOK_AT_UNIT, now_ns)
        elif self._phase is Phase.ARMING and now_ns >= self._deadline_ns:
            self._fail("not ready within 3 s of the arm command", LOOK_AT_UNIT, now_ns)
        elif self._phase is Phase.RECOVERING:
            self._advance_recovery(now_ns)

    def _advance_recovery(self, now_ns: int) -> None:
        status, rapid = self._talk.picture.status, self._talk.picture.rapid
        is_at_rest = rapid is None or not (rapid.train or rapid.wait)
        if status is not None and status.ready and is_at_rest and now_ns >= self._may_start_ns(now_ns):
            self._phase = Phase.READY
        elif now_ns >= self._deadline_ns:
            self._fail("not ready again in time", LOOK_AT_UNIT, now_ns)

    def _advance_start(self, now_ns: int) -> None:
        """The fire command goes out once no question is; what its answer tells has been looked at by then."""
        watch = self._watch
        if self._phase is not Phase.STARTING or watch is None or watch.sent_ns is not None:
            return
        if self._talk.line.out is None:
            watch.sent_ns = self._armed_ns = now_ns
            self._talk.line.clear()
            self._talk.send(FIRE)
        elif now_ns >= watch.asked_ns + START_HOLD_NS:
            self._fail("an answer is late: nothing was fired", CHECK_LINE, now_ns)

    def _poll(self, now_ns: int) -> None:
        if self._phase is Phase.PREPARING and self._unwritten:
            self._write_settings(now_ns)
            return
        plan = polls(self._phase, self._talk.dialect)
        if plan is None or not self._talk.line.is_empty or now_ns < self._next_poll_ns(now_ns):
            return
        interval_ns, cycle = plan
        self._talk.line.put(cycle[self._polls_done % len(cycle)])
        self._polls_done += 1
        self._poll_ns = now_ns + interval_ns

    def _write_settings(self, now_ns: int) -> None:
        """Not before a train's pause is over: until then the unit refuses them."""
        if now_ns >= self._poll_ns:
            self._talk.line.put(self._unwritten)
            self._unwritten = ()
