"""When a motor threshold no longer holds, and what a new one is to the one before."""

import msgspec
import pytest

from daemon.mt_rules import RULES, STALE_TEXT, STATED_RULES, Circumstances, Stale, evidence_required, stale_reasons, succession
from daemon.mt_values import Evidence, StatedThreshold, is_far
from tests.mt_cases import MEASURED_US, record

H = 3_600_000_000
NOW = Circumstances(now_utc_us=MEASURED_US + H, max_age_h=24, coil_serial="C-1", device="magventure 1")
STATED = StatedThreshold(value_mso=50.0, measured_utc_us=MEASURED_US)
replace = msgspec.structs.replace


def codes(threshold, now=NOW) -> set[Stale]:
    return {reason.code for reason in stale_reasons(threshold, now)}


def test_a_fresh_threshold_of_this_chair_holds():
    assert stale_reasons(record(), NOW) == ()
    assert stale_reasons(STATED, NOW) == ()


def test_no_threshold_is_a_reason():
    assert codes(None) == {Stale.NONE}


def test_a_threshold_holds_to_the_microsecond_of_its_age_and_no_longer():
    oldest = replace(NOW, now_utc_us=MEASURED_US + 24 * H)
    assert codes(record(), oldest) == set()
    assert codes(record(), replace(oldest, now_utc_us=oldest.now_utc_us + 1)) == {Stale.TOO_OLD}
    assert codes(STATED, replace(oldest, now_utc_us=oldest.now_utc_us + 1)) == {Stale.TOO_OLD}


@pytest.mark.parametrize("age_h", [float("nan"), -1])
def test_an_age_limit_that_is_none_lets_nothing_pass(age_h):
    assert Stale.TOO_OLD in codes(record(), replace(NOW, max_age_h=age_h))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"now_utc_us": MEASURED_US - 1}, Stale.FROM_THE_FUTURE),
        ({"coil_serial": "C-2"}, Stale.OTHER_COIL),
        ({"coil_serial": None}, Stale.OTHER_COIL),
        ({"device": "magventure 2"}, Stale.OTHER_DEVICE),
        ({"device": None}, Stale.OTHER_DEVICE),
        ({"pulse_shape": "biphasic"}, Stale.OTHER_PULSE_SHAPE),
        ({"medication_sha256": "m"}, Stale.MEDICATION),
        ({"last_event_utc_us": MEASURED_US}, Stale.EVENT_SINCE),
    ],
)
def test_each_change_since_the_measurement_is_a_reason(changes, code):
    assert codes(record(), replace(NOW, **changes)) == {code}


def test_a_medication_that_nobody_knows_any_more_is_a_change():
    assert codes(record(medication_sha256="m")) == {Stale.MEDICATION}
    assert codes(record(medication_sha256="m"), replace(NOW, medication_sha256="m")) == set()


def test_a_seizure_before_the_measurement_is_no_reason():
    assert codes(record(), replace(NOW, last_event_utc_us=MEASURED_US - 1)) == set()


def test_a_stated_threshold_is_judged_by_what_a_plan_can_say():
    assert codes(STATED, replace(NOW, last_event_utc_us=MEASURED_US)) == {Stale.EVENT_SINCE}
    assert codes(STATED, replace(NOW, now_utc_us=MEASURED_US - 1)) == {Stale.FROM_THE_FUTURE}
    assert codes(STATED, replace(NOW, coil_serial="C-2")) == set()


def test_where_emg_is_required_neither_the_eye_nor_a_plans_word_will_do():
    emg = replace(NOW, evidence_required=Evidence.EMG)
    assert codes(record(), emg) == set()
    assert codes(record(evidence=Evidence.VISUAL), emg) == {Stale.NOT_BY_EMG}
    assert codes(STATED, emg) == {Stale.NOT_BY_EMG}
    visual = replace(NOW, evidence_required=Evidence.VISUAL)
    assert codes(record(), visual) == codes(record(evidence=Evidence.VISUAL), visual) == codes(STATED, visual) == set()


def test_a_threshold_that_moved_by_more_than_a_fifth_waits_for_a_second_person():
    assert codes(record(previous_mso=41.0)) == {Stale.NEEDS_REPEAT}
    assert codes(record(previous_mso=41.0, second_person="B")) == set()


def test_every_reason_is_given_at_once_with_its_words():
    now = Circumstances(
        now_utc_us=MEASURED_US + 25 * H,
        max_age_h=24,
        coil_serial="C-2",
        device="x",
        pulse_shape="y",
        medication_sha256="m",
        evidence_required=Evidence.EMG,
        last_event_utc_us=MEASURED_US,
    )
    reasons = stale_reasons(record(previous_mso=41.0, evidence=Evidence.VISUAL), now)
    assert {reason.code for reason in reasons} == set(RULES) - {Stale.FROM_THE_FUTURE}
    assert all(reason.text and reason.remedy for reason in reasons)


def test_every_code_has_its_words_and_its_rule():
    assert set(STALE_TEXT) == set(Stale) == {*RULES, Stale.NONE}
    assert set(STATED_RULES) < set(RULES)


@pytest.mark.parametrize(
    ("basis", "outside", "site", "expected"),
    [
        ("cleared:K201158", False, False, None),
        ("research:P-1", False, False, Evidence.EMG),
        ("cleared:K201158", True, False, Evidence.EMG),
        ("cleared:K201158", False, True, Evidence.EMG),
    ],
)
def test_emg_is_required_for_research_outside_the_tables_and_where_the_site_wants_it(basis, outside, site, expected):
    assert evidence_required(basis, outside_admitted=outside, site_requires_emg=site) is expected


# ---- succession --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("new", "far"), [(60.0, False), (60.1, True), (40.0, False), (39.9, True), (50.0, False)])
def test_a_fifth_is_near_and_more_is_far(new, far):
    assert is_far(new, 50.0) is far


def test_the_first_threshold_follows_nothing():
    assert msgspec.to_builtins(succession(None, 50.0, "A")) == {"previous_mso": None, "second_person": None}


def test_a_threshold_follows_the_last_one():
    assert msgspec.to_builtins(succession(record(), 70.0, "A")) == {"previous_mso": 50.0, "second_person": None}
    assert msgspec.to_builtins(succession(record(), 55.0, "B")) == {"previous_mso": 50.0, "second_person": "A"}
    assert msgspec.to_builtins(succession(record(), 70.0, "B")) == {"previous_mso": 50.0, "second_person": None}


def test_another_persons_near_value_confirms_the_one_that_moved():
    moved = record(value_mso=62.0, previous_mso=50.0)
    found = succession(moved, 60.5, "B")
    assert (found.previous_mso, found.second_person) == (50.0, "A")
    assert not record(value_mso=60.5, operator="B", previous_mso=50.0, second_person="A").needs_repeat


@pytest.mark.parametrize("operator", ["A", " a "])
def test_nobody_confirms_their_own_value(operator):
    found = succession(record(value_mso=62.0, previous_mso=50.0), 62.0, operator)
    assert (found.previous_mso, found.second_person) == (50.0, None)


def test_a_second_value_far_from_the_first_is_held_against_the_one_believed_before():
    found = succession(record(value_mso=75.0, previous_mso=50.0), 52.0, "B")
    assert (found.previous_mso, found.second_person) == (50.0, None)
    assert not record(value_mso=52.0, operator="B", previous_mso=found.previous_mso).needs_repeat


# ---- the record --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"value_mso": 0.0}, "above 0"),
        ({"value_mso": 100.1}, "above 0"),
        ({"value_mso": float("nan")}, "above 0"),
        ({"n_pulses": 0}, "needs pulses"),
        *(({name: " "}, "names patient") for name in ("patient", "muscle", "coil_serial", "device", "operator")),
    ],
)
def test_what_is_no_threshold_cannot_be_built(changes, told):
    with pytest.raises(ValueError, match=told):
        record(**changes)


def test_a_record_is_read_back_as_it_was_kept():
    pose = ((1.0, 0.0, 0.0, 2.5), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    kept = record(mri_from_coil=pose, medication_sha256="m", pulse_shape="biphasic")
    assert msgspec.json.decode(msgspec.json.encode(kept), type=type(kept)) == kept
