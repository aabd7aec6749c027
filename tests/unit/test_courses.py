"""Courses as data, the limits they bring, and the day that shifts and is never compressed."""

import re
from fractions import Fraction
from pathlib import Path

import pytest

from daemon.course import Course, Doses, Given, Spacing, course_files, load_course, next_onset_us, read_course, remaining_onsets_us
from daemon.limits import LimitFault, effective_limits, merge, product_layer
from daemon.protocol import BadProtocol, UnknownProtocol, load_protocol
from tests import sites

S, HOUR = 1_000_000, 3_600_000_000
# id: sessions, pulses of the fullest day, pulses of the course (None: not found in print)
PUBLISHED: dict[str, tuple[int, int | None, int | None]] = {
    "course.standard10hz_36": (36, 3000, 108_000),
    "course.standard_itbs_36": (36, 600, 21_600),
    "course.saint": (50, 18_000, 90_000),
    "course.taylor_atms": (50, 18_000, 90_000),
    "course.one_d": (20, 12_000, 12_000),
    "course.dcs_single_day": (10, 18_000, 18_000),
    "course.duprat2016": (20, 8100, 32_400),
    "course.brocker2019": (20, 5346, 35_640),
    "course.george2014": (9, 18_000, 54_000),
    "course.camh_8x600": (40, 4800, 24_000),
    "course.vgr_2x1200": (30, 2400, 36_000),
    "course.dmpfc_2x_60min": (40, None, None),
    "course.dmpfc_2x_30min": (40, None, None),
    "course.dmpfc_2x_0min": (40, None, None),
    "course.twice_daily_10hz": (30, 6000, 90_000),
}


def doses(course: Course) -> Doses:
    assert course.protocol is not None
    return course.doses(load_protocol(course.protocol).timing)


def saint() -> Doses:
    return doses(load_course("saint"))


def test_every_published_course_with_figures_ships() -> None:
    assert course_files().keys() == PUBLISHED.keys()


@pytest.mark.parametrize("course_id", PUBLISHED)
def test_course_gives_its_published_totals(course_id: str) -> None:
    course = load_course(course_id)
    sessions, of_day, pulses = PUBLISHED[course_id]
    assert sum(course.sessions_by_day) == sessions
    per_session = course.pulses_per_session
    assert (None if per_session is None else per_session * max(course.sessions_by_day)) == of_day
    assert (None if per_session is None else per_session * sessions) == pulses
    if course.protocol is not None:
        assert (doses(course).pulses_per_day, doses(course).pulses, doses(course).sessions) == (of_day, pulses, sessions)


def test_hourly_saint_has_8_s_to_spare() -> None:
    assert saint().measured_gap_us == 3_008_160_000
    assert saint().day_first_to_last_us == 32_991_840_000
    assert [saint().session_onset_us(session) for session in (1, 2, 10)] == [0, HOUR, 9 * HOUR]


def test_spacing_that_is_not_found_is_unknown_and_not_zero() -> None:
    unknown = doses(load_course("george2014"))
    assert (unknown.period_us, unknown.measured_gap_us, unknown.session_onset_us(2), unknown.day_first_to_last_us) == (None,) * 4
    assert unknown.session_onset_us(1) == 0


def test_pause_counts_from_the_last_pulse() -> None:
    assert doses(load_course("duprat2016")).measured_gap_us == 900 * S


def test_sessions_may_differ_from_day_to_day() -> None:
    course = load_course("brocker2019")
    assert (course.sessions_by_day, course.days_differ) == ((1, 2, 2, 3, 3, 3, 3, 3), True)
    assert not load_course("saint").days_differ


def test_what_rests_on_memory_says_so() -> None:
    recalled = {course_id for course_id in PUBLISHED if load_course(course_id).on_memory}
    assert recalled == {"course.standard10hz_36", "course.taylor_atms", "course.one_d"}


def test_course_takes_the_place_of_the_protocol_s_own_day() -> None:
    layer = load_course("standard_itbs_36").limit_layer(load_protocol("itbs600"))
    own = ("max_sessions_per_day", "max_pulses_per_day", "max_course_sessions", "max_treatment_days")
    assert [layer.limits[key] for key in own] == [1, 600, 36, 36]
    assert (layer.name, layer.limits["min_gap_s"], layer.limits["max_intensity_pct_rmt"]) == ("protocol", 3000, 120)
    assert layer.sha256 == f"{load_protocol('itbs600').sha256}+{load_course('standard_itbs_36').sha256}"


def test_course_of_a_protocol_without_days_of_its_own_decides_every_limit() -> None:
    limits = effective_limits((load_course("vgr_2x1200").limit_layer(load_protocol("itbs1200")),), "UTC")
    assert (limits.max_sessions_per_day, limits.max_pulses_per_day, limits.max_treatment_days, limits.min_gap_s) == (2, 2400, 15, 900)


def test_twenty_sessions_a_day_loosen_the_product_s_ceiling_and_are_refused_without_a_licence() -> None:
    merged = merge((product_layer(), load_course("one_d").limit_layer(load_protocol("itbs600"))))
    assert [(refused.key, refused.code) for refused in merged.refused] == [("max_sessions_per_day", LimitFault.LOOSENS)]


def test_next_session_waits_for_plan_and_limit_alike() -> None:
    hourly, gap = Spacing(onset_to_onset_s=Fraction(3600)), 3000 * S
    assert next_onset_us(hourly, gap, Given(first_us=0, last_us=591_840_000)) == HOUR
    assert next_onset_us(hourly, gap, Given(first_us=0, last_us=600 * S)) == HOUR
    assert next_onset_us(hourly, gap, Given(first_us=0, last_us=600 * S + 1)) == HOUR + 1


def test_pause_of_the_plan_and_gap_of_the_limit_the_longer_one_counts() -> None:
    last = Given(first_us=0, last_us=100 * S)
    assert next_onset_us(Spacing(pause_s=Fraction(900)), 3000 * S, last) == 3100 * S
    assert next_onset_us(Spacing(pause_s=Fraction(3600)), 3000 * S, last) == 3700 * S
    assert next_onset_us(Spacing(), 900 * S, last) == 1000 * S


def test_day_without_a_hitch_is_hourly() -> None:
    assert remaining_onsets_us(saint(), 1, 3000 * S, (), 0) == tuple(session * HOUR for session in range(10))


def test_late_session_moves_every_later_one() -> None:
    late = Given(first_us=HOUR + 60 * S, last_us=HOUR + 60 * S + 591_840_000)
    onsets = remaining_onsets_us(saint(), 1, 3000 * S, (Given(first_us=0, last_us=591_840_000), late), late.last_us)
    assert onsets == tuple(session * HOUR + 60 * S for session in range(2, 10))


def test_paused_session_moves_every_later_one_by_what_exceeds_the_slack() -> None:
    paused = Given(first_us=0, last_us=591_840_000 + 20 * S)  # 8.16 s of it fit into the hour
    onsets = remaining_onsets_us(saint(), 1, 3000 * S, (paused,), paused.last_us)
    assert onsets[0] == HOUR + 11_840_000
    assert onsets[-1] == 9 * HOUR + 11_840_000


def test_day_that_is_resumed_late_begins_now() -> None:
    given = (Given(first_us=0, last_us=591_840_000),)
    onsets = remaining_onsets_us(saint(), 1, 3000 * S, given, 5 * HOUR)
    assert onsets[:2] == (5 * HOUR, 6 * HOUR)
    assert len(onsets) == 9


def test_full_day_leaves_nothing() -> None:
    assert remaining_onsets_us(doses(load_course("standard_itbs_36")), 36, 3000 * S, (Given(first_us=0, last_us=S),), HOUR) == ()


def test_unknown_course_is_refused_with_the_known_ids() -> None:
    with pytest.raises(UnknownProtocol, match=r"no course 'nap'.*Known are: course\.brocker2019, "):
        load_course("nap")


def changed(folder: Path, old: str = "", new: str = "") -> Path:
    text = course_files()["course.saint"].read_text(encoding="utf-8").replace('"course.saint"', '"course.ours"')
    assert old in text
    path = folder / "course.ours.toml"
    path.write_text(text.replace(old, new, 1) if old else text, encoding="utf-8")
    return path


def test_site_course_must_be_signed_by_a_physician(tmp_path: Path) -> None:
    text = changed(tmp_path).read_text(encoding="utf-8")
    sites.signed(tmp_path / "courses/course.ours.toml", text, sites.INVESTIGATOR)
    with pytest.raises(BadProtocol, match="no physician has signed it"):
        load_course("course.ours", tmp_path)
    sites.signed(tmp_path / "courses/course.ours.toml", text, sites.PHYSICIAN)
    assert load_course("ours", tmp_path).signed_by == ("Physician A",)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('id = "course.ours"', 'id = "course.mine"', "is not the file's name"),
        ("sessions_by_day = [10, 10, 10, 10, 10]", "sessions_by_day = []", "a day has no session, or there is no day"),
        ("sessions_by_day = [10, 10, 10, 10, 10]", "sessions_by_day = [10, 0]", "a day has no session, or there is no day"),
        ("sessions_by_day = [10, 10, 10, 10, 10]", 'sessions_by_day = ["10"]', "sessions_by_day: Expected `int`"),
        ('onset_to_onset_s = "3600"', 'onset_to_onset_s = "1 h"', "plain decimals"),
        ('onset_to_onset_s = "3600"', "onset_to_onset_s = 3600", "onset_to_onset_s: Expected `str | null`"),
        ('onset_to_onset_s = "3600"', 'onset_to_onset_s = "3600"\npause_s = "3000"', "two readings of one thing"),
        ("pulses_per_session = 1800", "pulses_per_session = 0", "pulses_per_session is not positive"),
        ("min_gap_s = 3000", "min_gap = 3000", "limits.min_gap: UNKNOWN_LIMIT"),
        ("min_gap_s = 3000", 'min_gap_s = "3000"', "limits.min_gap_s: BAD_VALUE"),
        ('"limits.min_gap_s"', '"limits.max_gap_s"', "no source is named for limits.min_gap_s"),
        ('title = "SAINT: ten iTBS 1800 a day, five days"', 'title = ""', "title is empty"),
        ("pulses_per_session = 1800", "pulses = 1800", "pulses: unknown field"),
    ],
)
def test_course_is_refused_by_the_fault_in_it(tmp_path: Path, old: str, new: str, fault: str) -> None:
    with pytest.raises(BadProtocol, match=re.escape(fault)):
        read_course(changed(tmp_path, old, new))
