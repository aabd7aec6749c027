"""Which frames count for a calibration, and when a tip is still."""

import math

import msgspec
import pytest

from daemon.calibration_samples import StillTip, pose_of, poses_of
from tests.bench_frames import FRAME_NS, MS, news, pose, sample, unseen

NOW_NS = 100 * FRAME_NS + 20 * MS
AT = (10.0, 20.0, -1500.0)


def test_a_fresh_frame_of_a_tool_seen_well_counts() -> None:
    found = pose_of(news(100, pose("pointer")), "pointer", NOW_NS)
    assert not isinstance(found, str)
    assert (found.to, found.frm) == ("tracker", "pointer")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"fit_rms_mm": 0.351}, "badly"),
        ({"fit_rms_mm": None}, "badly"),
        ({"flagged": True}, "edge"),
        ({"wxyz": None}, "not seen"),
    ],
)
def test_a_tool_that_is_not_seen_well_does_not_count(changes: dict[str, object], why: str) -> None:
    found = pose_of(news(100, pose("pointer"), **changes), "pointer", NOW_NS)
    assert isinstance(found, str) and why in found


def test_a_frame_older_than_100_ms_does_not_count() -> None:
    frame = news(100, pose("pointer"))
    assert not isinstance(pose_of(frame, "pointer", 100 * FRAME_NS + 100 * MS), str)
    assert pose_of(frame, "pointer", 100 * FRAME_NS + 100 * MS + 1) == "the camera's frames are old"


def test_a_frame_of_unknown_age_does_not_count() -> None:
    frame = msgspec.structs.replace(news(100, pose("pointer")), exposed_ns=None)
    assert pose_of(frame, "pointer", NOW_NS) == "the camera's frames are old"


def test_several_tools_count_only_together() -> None:
    both = news(100, pose("coil"), pose("pointer"))
    assert len(poses_of(both, ("coil", "pointer"), NOW_NS)) == 2
    one = news(100, unseen("coil", 100), sample(pose("pointer"), 100))
    assert poses_of(one, ("coil", "pointer"), NOW_NS) == "coil not seen"


def held(still: StillTip, first: int, last: int, at: tuple[float, float, float] = AT, wobble_mm: float = 0.0) -> object:
    found = None
    for number in range(first, last):
        x = at[0] + wobble_mm * math.sqrt(2.0) * math.sin(0.7 * number)
        found = still.add((x, at[1], at[2]), number * FRAME_NS)
    return found


def test_a_second_of_stillness_is_a_touch() -> None:
    still = StillTip()
    assert held(still, 0, 60) is None
    touch = still.add(AT, 60 * FRAME_NS + 40)
    assert touch is not None
    assert (touch.point_mm, touch.spread_mm, touch.dropped) == (AT, 0.0, 0)


def test_a_tip_that_shakes_is_no_touch() -> None:
    assert held(StillTip(), 0, 90, wobble_mm=0.52) is None
    assert held(StillTip(), 0, 90, wobble_mm=0.48) is not None


def test_outliers_are_dropped_and_told() -> None:
    still = StillTip()
    held(still, 0, 30)
    still.add((15.0, 20.0, -1500.0), 30 * FRAME_NS)
    held(still, 31, 61)
    touch = still.add(AT, 61 * FRAME_NS)
    assert touch is not None
    assert (touch.dropped, touch.point_mm) == (1, AT)


def test_a_tip_that_was_on_its_way_for_a_quarter_of_the_second_is_no_touch() -> None:
    still = StillTip()
    for number in range(15):
        still.add((10.0 + 2.0 * (15 - number), 20.0, -1500.0), number * FRAME_NS)
    assert held(still, 15, 61) is None
    assert held(still, 61, 66) is not None


def test_a_second_of_which_more_than_a_fifth_are_outliers_is_no_touch() -> None:
    def touches(elsewhere: int) -> bool:
        still = StillTip()
        held(still, 0, elsewhere, at=(10.0, 25.0, -1500.0))
        return held(still, elsewhere, 62) is not None

    assert touches(13)
    assert not touches(14)


def test_too_few_frames_are_no_touch() -> None:
    still = StillTip()
    found = [still.add(AT, number * 60 * MS) for number in range(40)]
    assert found == [None] * 40


def test_a_tip_unseen_for_longer_than_200_ms_begins_anew() -> None:
    still = StillTip()
    held(still, 0, 50)
    assert still.add(AT, 50 * FRAME_NS + 201 * MS) is None
    assert held(still, 65, 110) is None


def test_the_next_point_is_touched_only_once_the_tip_has_left_the_last() -> None:
    still = StillTip(AT)
    assert held(still, 0, 120) is None
    assert not still.has_left
    assert held(still, 120, 200, at=(25.0, 20.0, -1500.0)) is not None
