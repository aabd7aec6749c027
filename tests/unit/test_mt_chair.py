"""The search at the chair: one intent, grant and receipt for each pulse, arms that only the operator gives, ends that close the ledger."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from calibration.motor_threshold import Method
from daemon import ipc
from daemon.day import DoseReason
from daemon.ledger import CloseState, Intended, Opened, Refused
from daemon.mt_chair import (
    Action,
    ArmPulses,
    ClosePulses,
    Event,
    GrantPulse,
    HuntAsked,
    IntendPulse,
    Judge,
    Judged,
    KeepThreshold,
    OpenPulses,
    Refusal,
    Step,
    StopPulses,
    Stray,
    TakeReceipt,
    VoidPulse,
    advance,
    open_search,
)
from daemon.mt_values import Evidence
from daemon.mt_words import Answer, Confirm, HotspotFound, Phase, PulseWanted, Seen, Setup
from daemon.session_words import (
    ArmAsked,
    ArmChanged,
    CloseAsked,
    HotLost,
    IntentAnswered,
    LedgerClosed,
    ReceiptCame,
    SessionOpened,
    StopAsked,
    Tick,
    TrainBegun,
)

S = 1_000_000_000
TICK = Tick(device_ready=False)
OPENED = SessionOpened(answer=Opened(session_id="s", lease_token=1))


def setup(**changes: object) -> Setup:
    given: dict[str, object] = {
        "patient": "P1",
        "operator": "A",
        "method": Method.PEST,
        "evidence": Evidence.VISUAL,
        "muscle": "APB",
        "side": "left",
        "device": "x100",
        "coil_serial": "type 1",
        "planned_pulses": 60,
        "min_interval_ns": 5 * S,
        "seed": 1,
        "most_mso": 80,
    }
    return Setup(**(given | changes))  # type: ignore[arg-type]


class Chair:
    """A search, a clock, and all that it wanted done."""

    def __init__(self, **changes: object) -> None:
        self.now_ns = 100 * S
        self.state, self.done = open_search(setup(**changes), 4, 7, self.now_ns)
        self.all: list[Action] = list(self.done)

    def happen(self, event: Event, after_s: float = 0.0) -> tuple[Action, ...]:
        self.now_ns += round(after_s * S)
        self.state, self.done = advance(self.state, event, self.now_ns)
        self.all += self.done
        return self.done

    def armed(self) -> "Chair":
        self.happen(OPENED)
        self.happen(ArmAsked())
        self.happen(ArmChanged(arm_no=5, armed=True, stopped=False, why=""))
        return self

    def pulse(self, pulses: int = 1, *, confirmed: bool = True) -> tuple[Action, ...]:
        """The pulse that is wanted, from its intent to its receipt."""
        for _ in range(200):
            self.happen(TICK, 0.05)
            if self.state.pending is not None:
                break
        pending = self.state.pending
        assert pending is not None, self.state
        self.happen(IntentAnswered(grant_no=pending.grant_no, answer=Intended(seq=1)))
        self.happen(TrainBegun(grant_no=pending.grant_no, at_ns=pending.not_before_ns))
        self.now_ns = pending.not_before_ns + S // 4
        return self.happen(ReceiptCame(receipt=receipt(pending.grant_no, pulses, pending.not_before_ns, confirmed)))

    def of(self, kind: type[Action]) -> list[Action]:
        return [action for action in self.all if isinstance(action, kind)]


def receipt(grant_no: int, pulses: int, at_ns: int, confirmed: bool = True) -> ipc.Receipt:
    times = (at_ns, at_ns) if pulses else (None, None)
    return ipc.Receipt(
        run_id="r",
        grant_no=grant_no,
        train=1,
        pulses=pulses,
        confirmed=confirmed,
        broken=pulses == 0,
        why=(),
        first_ns=times[0],
        last_ns=times[1],
        bursts=(),
    )


def at_hotspot(**changes: object) -> Chair:
    chair = Chair(**changes).armed()
    chair.happen(HuntAsked(event=PulseWanted(amplitude_mso=50)))
    chair.pulse()
    if chair.state.setup.evidence is Evidence.VISUAL:
        chair.happen(HuntAsked(event=Answer(number=1, responded=True)))
    return chair


def hunt(chair: Chair, responds: Callable[[int], bool], most: int = 40) -> Chair:
    chair.happen(HuntAsked(event=HotspotFound()))
    for _ in range(most):
        if chair.state.hunt.phase is not Phase.HUNT:
            break
        amplitude_mso = chair.state.wanted.amplitude_mso if chair.state.wanted is not None else 0
        chair.pulse()
        chair.happen(HuntAsked(event=Answer(number=chair.state.hunt.asked, responded=responds(amplitude_mso))))
    return chair


def test_search_reserves_its_pulses_before_anything_else() -> None:
    chair = Chair()
    assert chair.done == (OpenPulses(),)
    assert chair.happen(ArmAsked()) == (Refusal(why="arming is not possible while the search is opening"),)


def test_refused_reservation_ends_the_search() -> None:
    chair = Chair()
    chair.happen(SessionOpened(answer=Refused(reasons=(DoseReason.MT_PULSES,), earliest_utc_us=None)))
    assert chair.state.step is Step.REFUSED
    assert chair.state.is_over


def test_arm_is_for_the_strongest_pulse_that_may_be_given_and_numbers_go_on() -> None:
    chair = Chair()
    chair.happen(OPENED)
    (arm,) = chair.happen(ArmAsked())
    assert isinstance(arm, ArmPulses)
    assert (arm.arm_no, arm.settings.amplitude_pct_mso, arm.settings.pulses) == (5, 80, 1)


def test_no_pulse_is_intended_before_the_arm_is_confirmed() -> None:
    chair = Chair()
    chair.happen(OPENED)
    chair.happen(ArmAsked())
    chair.happen(HuntAsked(event=PulseWanted(amplitude_mso=40)))
    for _ in range(20):
        chair.happen(TICK, 0.05)
    assert not chair.of(IntendPulse)


def test_every_pulse_is_intended_then_granted_then_settled() -> None:
    chair = at_hotspot()
    kinds = [type(action) for action in chair.all if isinstance(action, IntendPulse | GrantPulse | TakeReceipt)]
    assert kinds == [IntendPulse, GrantPulse, TakeReceipt]
    grant = chair.of(GrantPulse)[0]
    assert isinstance(grant, GrantPulse)
    assert (grant.pending.grant_no, grant.arm_no, grant.settings.amplitude_pct_mso) == (8, 5, 50)


def test_grant_expires_two_seconds_after_its_first_moment() -> None:
    chair = at_hotspot()
    (intend,) = chair.of(IntendPulse)
    assert isinstance(intend, IntendPulse)
    assert intend.pending.expires_ns - intend.pending.not_before_ns == 2 * S


def test_pulses_of_a_hunt_keep_the_interval() -> None:
    chair = hunt(at_hotspot(), lambda mso: mso >= 47)
    onsets = [action.pending.not_before_ns for action in chair.of(IntendPulse) if isinstance(action, IntendPulse)]
    assert len(onsets) > 10
    assert all(later - earlier >= 5 * S for earlier, later in pairwise(onsets))


def test_hunt_ends_with_a_threshold_a_closed_ledger_and_is_kept_once_confirmed() -> None:
    chair = hunt(at_hotspot(), lambda mso: mso >= 47)
    assert chair.state.hunt.phase is Phase.CONFIRM
    assert [type(action) for action in chair.all if isinstance(action, StopPulses | ClosePulses)] == [StopPulses, ClosePulses]
    chair.happen(LedgerClosed(state=CloseState.COMPLETE))
    assert chair.state.is_over
    (kept,) = chair.happen(HuntAsked(event=Confirm(by="A", utc_us=1)))
    assert isinstance(kept, KeepThreshold)
    assert 44 < kept.record.value_mso < 49


def test_stop_goes_out_in_every_step_and_takes_the_arm() -> None:
    for chair in (Chair(), Chair().armed(), at_hotspot()):
        assert chair.happen(StopAsked(why="stop: operator"))[0] == StopPulses(why="stop: operator")
        assert chair.state.step is not Step.ARMED


def test_pulse_intended_when_the_stop_comes_is_settled_with_nothing_and_never_granted() -> None:
    chair = Chair().armed()
    chair.happen(HuntAsked(event=PulseWanted(amplitude_mso=40)))
    chair.happen(TICK)
    assert chair.state.pending is not None
    chair.happen(StopAsked(why="operator"))
    done = chair.happen(IntentAnswered(grant_no=8, answer=Intended(seq=1)))
    assert any(isinstance(action, VoidPulse) for action in done)
    assert not chair.of(GrantPulse)


def test_receipt_of_another_grant_goes_to_the_ledger_and_nowhere_else() -> None:
    chair = Chair().armed()
    before = chair.state
    assert [type(action) for action in chair.happen(ReceiptCame(receipt=receipt(3, 1, chair.now_ns)))] == [TakeReceipt]
    assert chair.state == before


def test_ledger_that_refuses_a_pulse_ends_the_search() -> None:
    chair = Chair().armed()
    chair.happen(HuntAsked(event=PulseWanted(amplitude_mso=40)))
    chair.happen(TICK)
    chair.happen(IntentAnswered(grant_no=8, answer=Refused(reasons=(DoseReason.MT_INTERVAL,), earliest_utc_us=None)))
    assert chair.state.hunt.phase is Phase.ABORTED
    assert chair.of(ClosePulses)
    assert not chair.of(GrantPulse)


def test_emg_answers_before_anybody_is_asked_and_silence_asks_the_operator() -> None:
    chair = Chair(evidence=Evidence.EMG).armed()
    chair.happen(HuntAsked(event=PulseWanted(amplitude_mso=50)))
    done = chair.pulse()
    assert any(isinstance(action, Judge) for action in done)
    chair.happen(Judged(number=1, seen=Seen.RESPONSE))
    assert chair.state.hunt.responded_mso == 50
    chair.happen(HuntAsked(event=PulseWanted(amplitude_mso=50)))
    chair.pulse()
    chair.happen(TICK, 2.1)
    assert chair.state.judging is None
    assert chair.state.hunt.waiting is not None


def test_late_judgement_of_an_earlier_pulse_changes_nothing() -> None:
    chair = Chair(evidence=Evidence.EMG).armed()
    chair.happen(HuntAsked(event=PulseWanted(amplitude_mso=50)))
    chair.pulse()
    before = chair.state
    assert chair.happen(Judged(number=9, seen=Seen.NONE)) == ()
    assert chair.state == before


def test_stray_pulse_stops_the_device_and_ends_the_search() -> None:
    chair = at_hotspot()
    done = chair.happen(Stray(at_ns=chair.now_ns))
    assert StopPulses(why="uncommanded pulse") in done
    assert chair.state.hunt.phase is Phase.ABORTED
    assert chair.state.hunt.given == 2


def test_control_that_is_lost_counts_the_pending_pulse_and_closes() -> None:
    chair = Chair().armed()
    chair.happen(HuntAsked(event=PulseWanted(amplitude_mso=40)))
    chair.happen(TICK)
    chair.happen(HotLost())
    assert chair.state.hunt.given == 1
    assert [action.state for action in chair.of(ClosePulses) if isinstance(action, ClosePulses)] == [CloseState.PARTIAL]


def test_search_that_gave_nothing_is_closed_as_aborted() -> None:
    chair = Chair().armed()
    chair.happen(CloseAsked())
    assert [action.state for action in chair.of(ClosePulses) if isinstance(action, ClosePulses)] == [CloseState.ABORTED]


def test_close_waits_for_the_pulse_that_is_out() -> None:
    chair = Chair().armed()
    chair.happen(HuntAsked(event=PulseWanted(amplitude_mso=40)))
    chair.happen(TICK)
    chair.happen(IntentAnswered(grant_no=8, answer=Intended(seq=1)))
    chair.happen(CloseAsked())
    assert not chair.of(ClosePulses)
    chair.happen(ReceiptCame(receipt=receipt(8, 1, chair.now_ns)))
    assert chair.of(ClosePulses)


def test_device_that_does_not_charge_in_time_loses_the_arm() -> None:
    chair = Chair()
    chair.happen(OPENED)
    chair.happen(ArmAsked())
    assert chair.happen(TICK, 15.1) == (StopPulses(why="not charged in time"),)
    assert chair.state.step is Step.OPEN


@pytest.mark.parametrize("pulses", [0, 1])
def test_no_second_pulse_is_intended_while_one_is_out(pulses: int) -> None:
    chair = Chair().armed()
    chair.happen(HuntAsked(event=PulseWanted(amplitude_mso=40)))
    chair.happen(TICK)
    for _ in range(50):
        chair.happen(TICK, 0.05)
    assert len(chair.of(IntendPulse)) == 1
    chair.happen(IntentAnswered(grant_no=8, answer=Intended(seq=1)))
    chair.happen(ReceiptCame(receipt=receipt(8, pulses, chair.now_ns)))
    assert chair.state.pending is None
