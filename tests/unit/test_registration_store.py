"""The day's file of registrations: nothing lost, nothing changed unnoticed, and who may be taken up again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.registration_store import (
    Accepted,
    AnyEntry,
    Checked,
    HeadKey,
    RegistrationStore,
    Rejected,
    StoreTrouble,
    Swept,
    TakenBack,
    read_lines,
    tools_sha256,
)

NOON_S = 1_770_120_000.0  # 2026-02-03 12:00 UTC
EYE = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
MINE = HeadKey(patient="P-1", t1_sha256="a", scalp_sha256="b", tools_sha256="c")
OTHER = HeadKey(patient="P-2", t1_sha256="a", scalp_sha256="b", tools_sha256="c")
ACCEPTED = Accepted(
    by="someone",
    kind="full",
    verdict="GOOD",
    warnings=(),
    mri_from_head=EYE,
    first_mri_from_head=EYE,
    registered={"NAS": (1.0, 2.0, 3.0)},
    fre_mm=1.0,
    surface_rms_mm=0.5,
    share_within_3mm=1.0,
    float_mm=0.1,
    sweep_points=200,
    expected_parts_mm={"points": 0.5},
    accepted_utc_ns=round(NOON_S * 1e9),
    expires_utc_ns=round((NOON_S + 3 * 3600) * 1e9),
)
SLIP = Checked(by="someone", landmark="NAS", tip_in_head_mm=(0.0, 0.0, 0.0), distance_mm=4.0, passed=False, slipped=True)


class Day:
    """A store and the clock that it reads."""

    def __init__(self, folder: Path) -> None:
        self.now_s = NOON_S
        at = folder / "registration-{}.jsonl"
        utc_ns = lambda: round(self.now_s * 1e9)  # noqa: E731  # the test moves it
        self.store = RegistrationStore(lambda day: Path(str(at).format(day)), "chair-1", "1.0", "Europe/Vienna", utc_ns)
        self.path = folder / "registration-2026-02-03.jsonl"

    def add(self, *entries: AnyEntry, head: HeadKey = MINE) -> None:
        for entry in entries:
            self.store.append(head, "plan", entry)


@pytest.fixture
def day(tmp_path: Path) -> Day:
    return Day(tmp_path)


def test_what_is_appended_is_read_back_in_order_with_its_head_and_version(day: Day) -> None:
    day.add(TakenBack(what="x"), Swept(points_in_head_mm=((1.0, 2.0, 3.0),), rejected={"off_scalp": 2}), ACCEPTED)
    lines = read_lines(day.path)
    assert [type(line.entry) for line in lines] == [TakenBack, Swept, Accepted]
    assert lines[-1].entry == ACCEPTED
    assert {(line.head, line.version, line.chair, line.plan_sha256) for line in lines} == {(MINE, "1.0", "chair-1", "plan")}


def test_an_accepted_registration_is_found_again_the_same_day(day: Day) -> None:
    assert day.store.accepted_today(MINE) is None
    day.add(ACCEPTED)
    day.now_s += 3600.0
    assert day.store.accepted_today(MINE) == ACCEPTED


@pytest.mark.parametrize(
    "after",
    [
        lambda day: day.add(Rejected(by="someone")),
        lambda day: day.add(SLIP),
        lambda day: day.add(ACCEPTED, head=OTHER),
        lambda day: day.add(Swept(points_in_head_mm=(), rejected={}), head=OTHER),
        lambda day: setattr(day, "now_s", NOON_S + 3 * 3600.0),
        lambda day: setattr(day, "now_s", NOON_S + 24 * 3600.0),
        lambda day: setattr(day, "now_s", NOON_S - 1.0),
        lambda day: day.path.write_bytes(day.path.read_bytes().replace(b'"fre_mm":1.0', b'"fre_mm":0.1').replace(b"}\n", b" }\n")),
    ],
    ids=["rejected", "slipped", "another head accepted", "another head swept", "expired", "another day", "clock went back", "changed"],
)
def test_it_is_not_found_after_what_ends_it(day: Day, after: Callable[[Day], None]) -> None:
    day.add(ACCEPTED, TakenBack(what="x"))
    after(day)
    assert day.store.accepted_today(MINE) is None


def test_another_pointer_or_image_is_another_head(day: Day) -> None:
    day.add(ACCEPTED)
    assert day.store.accepted_today(HeadKey(patient="P-1", t1_sha256="a", scalp_sha256="b", tools_sha256="d")) is None


def test_a_line_torn_by_a_crash_is_overwritten_and_loses_nothing(day: Day) -> None:
    day.add(ACCEPTED)
    with day.path.open("ab") as file:
        file.write(b'{"utc": "2026')
    assert day.store.accepted_today(MINE) == ACCEPTED
    day.add(TakenBack(what="x"))
    assert [type(line.entry) for line in read_lines(day.path)] == [Accepted, TakenBack]


def test_a_line_that_was_changed_or_lost_is_noticed(day: Day) -> None:
    day.add(TakenBack(what="1"), TakenBack(what="2"), TakenBack(what="3"))
    first, second, third = day.path.read_bytes().splitlines(keepends=True)
    for content in (first + third, first.replace(b'"1"', b'"9"') + second + third, b"nonsense\n" + second):
        day.path.write_bytes(content)
        with pytest.raises(ValueError, match="line"):
            read_lines(day.path)


def test_a_file_that_cannot_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    day = Day(tmp_path / "nowhere")
    with pytest.raises(StoreTrouble, match="Check the disk"):
        day.add(ACCEPTED)


def test_the_file_is_its_owners_alone(day: Day) -> None:
    day.add(ACCEPTED)
    assert day.path.stat().st_mode & 0o777 == 0o600


def test_another_tip_or_another_definition_is_another_pointer() -> None:
    before = tools_sha256({"pointer": "one"}, (1.0, 2.0, 3.0))
    assert tools_sha256({"pointer": "one"}, (1.0, 2.0, 3.1)) != before
    assert tools_sha256({"pointer": "one"}, None) != before
    assert tools_sha256({"pointer": "two"}, (1.0, 2.0, 3.0)) != before
