"""The campaign's audit sees what it is there to see: each kind of false record, made by hand, is named."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.ledger import CloseState, Intent, Opened
from daemon.ledger_store import Ledger
from sim.truth import TruthLog
from tests.campaign import chair
from tests.campaign.audit import Audit, Known
from tests.campaign.family import MAGVENTURE, Family
from tests.ledger_cases import at, intended, open_ledger, opened, receipt
from tests.ledger_cases import intent as asked_intent

PULSE_NS = 20_000_000
MS = 1_000_000
AMPLITUDE_PCT = 54


class Trial:
    """One session of a ledger, and the truth beside it."""

    def __init__(self, folder: Path, **asked: object) -> None:
        self._truth_path = folder / "truth.jsonl"
        self.truth = TruthLog(self._truth_path)
        self.ledger: Ledger = open_ledger(folder)
        self.session: Opened = opened(self.ledger, at(0), **asked)
        self._trains = 0

    def close(self) -> None:
        self.truth.close()
        self.ledger.close()

    def intend(self, train: int, seconds: float, **changes: object) -> Intent:
        moment = at(seconds)
        return intended(self.ledger, asked_intent(self.session, train, moment, **changes), moment)

    def give(self, first_ns: int, pulses: int = 30, amplitude_pct: int = AMPLITUDE_PCT) -> None:
        """A train as the device gives it."""
        self._trains += 1
        for number in range(pulses):
            self.truth.pulse(first_ns + number * PULSE_NS, amplitude_pct, enabled=True, train=self._trains)

    def faults(self, known: Known | None = None, restarted_ns: int | None = None, family: Family = MAGVENTURE) -> str:
        return "; ".join(Audit(self.ledger, self._truth_path, known or Known(), family).findings(restarted_ns).faults)


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    trial = Trial(tmp_path)
    yield trial
    trial.close()


def test_a_true_record_is_not_complained_about(trial: Trial) -> None:
    asked = trial.intend(1, 5)
    trial.give(asked.not_before_ns)
    trial.ledger.receive(receipt(asked), at(10))
    trial.ledger.close_session(trial.session.session_id, CloseState.PARTIAL, "operator", at(11))
    assert trial.faults(restarted_ns=at(20).mono_ns) == ""


def test_a_train_whose_receipt_says_less_is_named(trial: Trial) -> None:
    asked = trial.intend(1, 5)
    trial.give(asked.not_before_ns)
    trial.ledger.receive(receipt(asked, pulses=27), at(10))
    faults = trial.faults()
    assert "30 pulses given, 27 counted" in faults
    assert "says 27, the device gave 30" in faults


def test_a_receipt_that_is_confirmed_for_more_than_was_given_is_named(trial: Trial) -> None:
    asked = trial.intend(1, 5)
    trial.give(asked.not_before_ns, pulses=27)
    trial.ledger.receive(receipt(asked), at(10))
    assert trial.faults() == f"receipt of grant 1 of {trial.session.session_id} is confirmed for 30, the device gave 27"


def test_pulses_before_any_intent_are_named(trial: Trial) -> None:
    trial.give(at(2).mono_ns)
    trial.intend(1, 5)
    assert "30 pulses at" in trial.faults()
    assert "under no intent of their own" in trial.faults()


def test_a_grant_that_fired_twice_is_named(trial: Trial) -> None:
    asked = trial.intend(1, 5)
    trial.give(asked.not_before_ns)
    trial.give(asked.not_before_ns + 1_000 * MS)
    assert "under no intent of their own" in trial.faults()


@pytest.mark.parametrize("later_ms", [-1, 2_700])
def test_a_train_outside_the_window_of_its_grant_is_named(trial: Trial, later_ms: int) -> None:
    asked = trial.intend(1, 5)
    trial.give(asked.not_before_ns + later_ms * MS)
    assert "its window was" in trial.faults()


def test_a_train_at_another_amplitude_is_named(trial: Trial) -> None:
    asked = trial.intend(1, 5)
    trial.give(asked.not_before_ns, amplitude_pct=AMPLITUDE_PCT + 1)
    assert f"fired at [{AMPLITUDE_PCT + 1}] % instead of {AMPLITUDE_PCT}" in trial.faults()


def test_a_train_over_a_stepped_clock_is_named(trial: Trial) -> None:
    asked = trial.intend(1, 5)
    trial.give(asked.not_before_ns)
    assert "the clock was stepped" in trial.faults(Known(steps_ns=[at(5.5).mono_ns]))
    assert trial.faults(Known(steps_ns=[at(4).mono_ns])) == ""


def test_a_train_that_began_while_the_daemon_stood_still_is_named(trial: Trial) -> None:
    asked = trial.intend(1, 5)
    trial.give(asked.not_before_ns)
    before, after = at(5.1).mono_ns, at(8).mono_ns
    assert "stood still" in trial.faults(Known(silences_ns=[(before, after)]))
    assert trial.faults(Known(silences_ns=[(before, asked.not_before_ns - 1)])) == ""


def test_trains_too_close_together_are_named(tmp_path: Path) -> None:
    trial = Trial(tmp_path, train_gap_ns=0)  # so that the ledger itself lets it pass
    first = trial.intend(1, 5)
    trial.give(first.not_before_ns)
    last_ns = first.not_before_ns + 29 * PULSE_NS
    trial.ledger.receive(receipt(first, last_mono_ns=last_ns), at(6.6))
    trial.intend(2, 6.6, not_before_ns=last_ns + 100 * MS, expires_ns=last_ns + 2_000 * MS)
    trial.give(last_ns + 100 * MS)
    assert "100.0 ms apart, 250 is the least" in trial.faults()
    trial.close()


def test_a_session_left_open_by_a_restart_is_named(trial: Trial) -> None:
    restarted_ns = at(20).mono_ns
    assert "still open after a restart" in trial.faults(restarted_ns=restarted_ns)
    trial.ledger.close_session(trial.session.session_id, CloseState.PARTIAL, "late", at(30))
    assert "found open and closed as PARTIAL, recovered False" in trial.faults(restarted_ns=restarted_ns)


def test_a_day_beyond_its_limits_is_named(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = trial.intend(1, 5)
    trial.give(asked.not_before_ns)
    monkeypatch.setattr(chair, "SESSIONS_A_DAY", 0)
    faults = trial.faults(family=replace(MAGVENTURE, trains=1, bursts=7, pulses_per_burst=1))
    assert "got 30 pulses in a day, 28 are the most" in faults
    assert "gave 30 pulses, 7 were planned" in faults
    assert "got 1 sessions in a day, 0 are the most" in faults
