"""Which markers of another program's stream may be put to the session at all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from daemon.lsl_requests import IDS_KEPT, Against, Marker, RequestDesk, Want

MS = 1_000_000
NOW_NS = 5_000_000 * MS


def marker(number: int = 1, want: str = "train", *, age_ms: float = 3, waited_ms: float = 0, rivals: int = 0) -> Marker:
    text = json.dumps({"v": 1, "id": f"r{number}", "want": want})
    stamped_ns = NOW_NS - round(age_ms * MS)
    return Marker(text=text, stamped_ns=stamped_ns, arrived_ns=NOW_NS - round(waited_ms * MS), rivals=rivals)


def against(one: Marker, desk: RequestDesk | None = None, now_ns: int = NOW_NS) -> Against | None:
    return (desk or RequestDesk()).judge(one, now_ns).against


def test_a_fresh_request_is_let_through() -> None:
    judged = RequestDesk().judge(marker(), NOW_NS)
    assert judged.against is None
    assert judged.request is not None
    assert (judged.request.want, judged.request.id, judged.age_ns) == (Want.TRAIN, "r1", 3 * MS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "train",
        "{}",
        '{"v":1,"id":"a","want":"session"}',
        '{"v":2,"id":"a","want":"train"}',
        '{"v":1,"id":"","want":"train"}',
        '{"v":1,"id":"two words","want":"train"}',
        '{"v":1,"id":"a","want":"train","amplitude":90}',
        '{"v":1,"id":7,"want":"train"}',
        "[" * 100_000,
        '{"v":1,"id":"' + "a" * 65 + '","want":"train"}',
    ],
)
def test_what_is_no_request_is_refused(text: str) -> None:
    judged = RequestDesk().judge(replace(marker(), text=text), NOW_NS)
    assert (judged.request, judged.against) == (None, Against.MALFORMED)


@given(st.text(max_size=100))
def test_any_text_is_judged(text: str) -> None:
    assert RequestDesk().judge(replace(marker(), text=text), NOW_NS).against is Against.MALFORMED


@pytest.mark.parametrize(("age_ms", "why"), [(1000, None), (1001, Against.TOO_OLD), (-100, None), (-101, Against.FROM_THE_FUTURE)])
def test_a_request_older_than_a_second_or_from_the_future_is_refused(age_ms: float, why: Against | None) -> None:
    assert against(marker(age_ms=age_ms)) is why


@pytest.mark.parametrize(("waited_ms", "why"), [(1000, None), (1001, Against.TOO_OLD)])
def test_a_request_that_waited_for_the_daemon_is_old_whatever_its_sender_says(waited_ms: float, why: Against | None) -> None:
    assert against(marker(age_ms=0, waited_ms=waited_ms)) is why


def test_the_same_id_again_is_refused_however_late() -> None:
    desk = RequestDesk()
    assert against(marker(), desk) is None
    later_ns = NOW_NS + 3_600_000 * MS
    again = replace(marker(), stamped_ns=later_ns, arrived_ns=later_ns)
    assert against(again, desk, later_ns) is Against.DOUBLE


def test_an_id_that_was_refused_is_used_up_too() -> None:
    desk = RequestDesk()
    assert against(marker(age_ms=2000), desk) is Against.TOO_OLD
    assert against(marker(), desk) is Against.DOUBLE


def test_ids_are_not_kept_without_end() -> None:
    desk = RequestDesk()
    for number in range(IDS_KEPT + 1):
        against(marker(number), desk)
    assert against(marker(1), desk) is Against.DOUBLE
    assert len(desk._ids) == IDS_KEPT


@pytest.mark.parametrize(("after_ms", "why"), [(499, Against.TOO_MANY), (500, None)])
def test_requests_follow_each_other_at_half_a_second_at_the_least(after_ms: int, why: Against | None) -> None:
    desk = RequestDesk()
    against(marker(), desk)
    later_ns = NOW_NS + after_ms * MS
    assert against(replace(marker(2), stamped_ns=later_ns, arrived_ns=later_ns), desk, later_ns) is why


def test_two_streams_of_the_configured_name_ask_for_nothing() -> None:
    assert against(marker(rivals=1)) is Against.RIVAL_STREAM


def test_a_flood_is_counted_and_not_told_one_by_one() -> None:
    desk = RequestDesk()
    told = [desk.judge(replace(marker(), text="flood"), NOW_NS + number).told for number in range(100)]
    assert sum(told) == 10
    assert desk.judge(replace(marker(), text="flood"), NOW_NS + 1_000_000_100).told


def test_what_is_let_through_is_told_even_in_a_flood() -> None:
    desk = RequestDesk()
    for number in range(50):
        desk.judge(replace(marker(), text="flood"), NOW_NS + number)
    assert desk.judge(marker(), NOW_NS).told
