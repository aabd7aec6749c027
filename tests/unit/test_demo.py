"""The demo's last word: it may be good only when truth, ledger and what was shown all agree."""

import json
from typing import Any

import msgspec
import pytest
from rich.console import Console

from sim.demo_events import SENTENCES, Event, sentence
from sim.demo_show import Show
from sim.demo_summary import Summary, summarise
from sim.demo_verdict import Ledger

MS, S = 1_000_000, 1_000_000_000
START_NS = 50 * S
TRAIN_NS = {1: 100 * S, 2: 110 * S, 3: 120 * S}
GIVEN_BURSTS = {1: 4, 2: 10, 3: 10}
SLIP_NS = TRAIN_NS[1] + 650 * MS
OFF_NS = SLIP_NS + 80 * MS


def burst_ns(train: int, burst: int) -> int:
    return TRAIN_NS[train] + burst * 200 * MS


def truth_lines() -> list[dict[str, Any]]:
    pulses = [
        {
            "kind": "pulse",
            "mono_ns": burst_ns(train, burst) + index * 20 * MS,
            "amplitude_pct": 45,
            "enabled": True,
            "train": train,
            "lateral_mm": 0.4,
        }
        for train, bursts in GIVEN_BURSTS.items()
        for burst in range(bursts)
        for index in range(3)
    ]
    return sorted([*pulses, {"kind": "disabled", "mono_ns": OFF_NS}], key=lambda entry: entry["mono_ns"])


def ledger() -> dict[str, Any]:
    trains = [
        {
            "train": train,
            "amplitude_pct": 45,
            "not_before_mono_ns": TRAIN_NS[train] - S,
            "counted_pulses": 3 * bursts,
            "pulse_mono_ns": [burst_ns(train, burst) + 22 * MS for burst in range(bursts)],
        }
        for train, bursts in GIVEN_BURSTS.items()
    ]
    session = {"session_id": "a", "state": "PARTIAL", "planned_pulses": 90, "counted_pulses": 72, "trains": trains, "ungranted": []}
    return {"verified": True, "sessions": [session], "ungranted": []}


def events() -> list[dict[str, Any]]:
    return [
        {"event": "slip", "mono_ns": SLIP_NS, "mm": 8.0},
        {"event": "done", "mono_ns": 125 * S, "pulses": 72, "planned": 90, "broken": 1},
        {"event": "session_refused", "mono_ns": 126 * S, "session": 2, "reasons": ["MIN_GAP"], "earliest_utc": "2026-05-04T14:05:07.5Z"},
    ]


def judged(truth: list[dict[str, Any]], said: dict[str, Any], happened: list[dict[str, Any]]) -> Summary:
    text = "".join(json.dumps(entry) + "\n" for entry in truth)
    return summarise(text, msgspec.convert(said, Ledger), msgspec.convert(happened, list[Event]), START_NS)


def test_a_day_as_it_should_be_is_summed_up_in_one_line_without_trouble() -> None:
    summary = judged(truth_lines(), ledger(), events())
    assert summary.troubles == ()
    assert summary.line == ("90 planned, 72 delivered, 1 slip held after 0.08 s, second session refused until 14:05 UTC, ledger = truth")


def test_a_pulse_that_the_ledger_does_not_count_is_a_difference() -> None:
    truth = [*truth_lines(), {**truth_lines()[0], "mono_ns": 123 * S}]
    summary = judged(truth, ledger(), events())
    assert any("1 pulses were given that the ledger does not count" in trouble for trouble in summary.troubles)
    assert summary.line.endswith("ledger ≠ truth")


def test_a_pulse_that_the_ledger_counts_and_nobody_gave_is_a_difference() -> None:
    summary = judged(truth_lines()[:-1], ledger(), events())
    assert summary.line.endswith("ledger ≠ truth")


def test_pulses_moved_from_one_train_to_the_next_are_a_difference_although_the_sum_agrees() -> None:
    said = ledger()
    said["sessions"][0]["trains"][1]["counted_pulses"] -= 3
    said["sessions"][0]["trains"][2]["counted_pulses"] += 3
    assert judged(truth_lines(), said, events()).line.endswith("ledger ≠ truth")


def test_a_receipt_long_after_its_pulse_is_a_difference() -> None:
    said = ledger()
    said["sessions"][0]["trains"][0]["pulse_mono_ns"][3] += 400 * MS
    assert judged(truth_lines(), said, events()).line.endswith("ledger ≠ truth")


def test_a_pulse_at_another_amplitude_than_the_ledger_says_is_a_difference() -> None:
    truth = truth_lines()
    truth[0]["amplitude_pct"] = 60
    assert any("not given at 45 %" in trouble for trouble in judged(truth, ledger(), events()).troubles)


def test_a_pulse_from_a_stimulator_that_was_off_is_a_difference() -> None:
    truth = truth_lines()
    truth[0]["enabled"] = False
    assert any("while the stimulator was off" in trouble for trouble in judged(truth, ledger(), events()).troubles)


def test_an_earlier_run_in_the_same_folder_is_left_out() -> None:
    truth, said = truth_lines(), ledger()
    truth.insert(0, {**truth[0], "mono_ns": 10 * S})
    early = [{**said["sessions"][0]["trains"][0], "not_before_mono_ns": 9 * S, "pulse_mono_ns": [10 * S], "counted_pulses": 1}]
    said["sessions"].insert(0, {**said["sessions"][0], "session_id": "earlier", "trains": early})
    assert judged(truth, said, events()).troubles == ()


def test_a_broken_chain_of_hashes_is_trouble_although_the_counts_agree() -> None:
    assert judged(truth_lines(), {**ledger(), "verified": {"first_bad_seq": 3}}, events()).troubles


def test_a_pulse_that_nobody_granted_is_trouble() -> None:
    assert judged(truth_lines(), {**ledger(), "ungranted": [{"pulses": 1}]}, events()).troubles


def test_a_slip_that_was_never_held_is_trouble() -> None:
    truth = [entry for entry in truth_lines() if entry["kind"] == "pulse"]
    assert any("never off" in trouble for trouble in judged(truth, ledger(), events()).troubles)


def test_a_slip_held_late_is_trouble() -> None:
    truth = [{**entry, "mono_ns": SLIP_NS + 900 * MS} if entry["kind"] == "disabled" else entry for entry in truth_lines()]
    assert any("only 0.90 s after" in trouble for trouble in judged(truth, ledger(), events()).troubles)


def test_pulses_off_target_after_the_hold_are_trouble() -> None:
    truth = truth_lines()
    truth[-1]["lateral_mm"] = 8.0
    assert any("off target" in trouble for trouble in judged(truth, ledger(), events()).troubles)


def test_a_day_without_slip_refusal_or_end_is_trouble_each() -> None:
    for index in range(3):
        happened = events()
        del happened[index]
        assert judged(truth_lines(), ledger(), happened).troubles


def test_a_screen_that_showed_another_count_is_trouble() -> None:
    happened = events()
    happened[1]["pulses"] = 75
    assert any("said 75" in trouble for trouble in judged(truth_lines(), ledger(), happened).troubles)


def test_an_operator_who_gave_up_is_the_first_trouble_and_the_only_one() -> None:
    gave_up = [{"event": "failed", "mono_ns": 60 * S, "why": "no daemon"}]
    summary = judged([], {**ledger(), "sessions": []}, gave_up)
    assert summary.troubles == ("the operator gave up: no daemon",)


def test_every_sentence_can_be_spoken() -> None:
    full = Event(
        event="",
        mono_ns=0,
        session=1,
        landmark="NAS",
        touches=1,
        spread_mm=0.2,
        verdict="GOOD",
        sweep_points=200,
        distance_mm=0.8,
        kind="full",
        surface_rms_mm=0.3,
        expected_error_mm=1.7,
        moves=2,
        mm=8.0,
        why=["off_target"],
        planned=90,
        pulses=72,
        broken=1,
        reasons=["MIN_GAP"],
        earliest_utc="2026-05-04T14:05:00Z",
    )
    for name in SENTENCES:
        assert sentence(msgspec.structs.replace(full, event=name))
    assert sentence(msgspec.structs.replace(full, event="lease")) is None


def _gate(word: str) -> str:
    reasons = [{"row": "Coil aside"}, {"row": "Not armed"}]
    return json.dumps({"topic": "v1/gate", "body": {"word": word, "reasons": reasons}})


def test_without_a_terminal_each_change_is_one_line_and_no_change_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("distance_to_target_mm", "target_error_mm", "angular_error_deg", "twist_error_deg")
    with Show(Console(force_terminal=False, width=60)) as show:
        show.telemetry(json.dumps({"topic": "v1/coil/error", "body": dict(zip(names, (12.34, 1.0, 0.5, -0.04), strict=True))}))
        show.telemetry(_gate("AIM"))
        show.telemetry(_gate("AIM"))
        show.telemetry(json.dumps({"topic": "v1/coil/error", "body": dict.fromkeys(names)}))
        show.telemetry(_gate("TRACKING LOST"))
        show.telemetry(json.dumps({"topic": "link", "state": "silent"}))
    first, second = capsys.readouterr().out.splitlines()
    assert "[12.3mm  1.0mm  0.5°  0.0°]" in first
    assert "Coil aside, Not armed" in first
    assert "[--mm  --mm  --°  --°]" in second


def test_on_a_terminal_the_picture_holds_the_word_and_what_was_told(capsys: pytest.CaptureFixture[str]) -> None:
    with Show(Console(force_terminal=True, width=80)) as show:
        show.telemetry(_gate("READY"))
        show.tell("Armed.")
    picture = capsys.readouterr().out
    assert "READY" in picture
    assert "Armed." in picture
