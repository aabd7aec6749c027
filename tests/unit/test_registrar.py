"""The guided registration as a whole, on simulated frames: order, refusals, what stands, what blocks, what survives a restart."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.coverage import Zone
from daemon.config import RegistrationSection
from daemon.reference_check import SCALP, WHOLE
from daemon.registration_store import Accepted, Checked, Fitted, Rejected, Restored, Swept, TakenBack, Touched
from daemon.registration_telling import MAP_POINTS, registration_body
from tests.registrars import Chair
from tests.swept_head import marked, on_scalp

HOUR_NS = 3_600_000_000_000
MINUTE_NS = 60_000_000_000
Test = Callable[[Chair], Coroutine[Any, Any, None]]


@pytest.fixture
def chair(tmp_path: Path) -> Chair:
    made = Chair(tmp_path)
    assert not made.open()
    return made


def on_the_loop(test: Test) -> Callable[[Chair], None]:
    @wraps(test)
    def run(chair: Chair) -> None:
        asyncio.run(test(chair))

    return run


@on_the_loop
async def test_a_head_is_registered_as_the_screen_asks_and_every_step_is_stored(chair: Chair) -> None:
    asked = []
    while (asks := registration_body(chair.registrar).asks) == "touch":
        asked.append(registration_body(chair.registrar).next_landmark)
        await chair.touch(None)
    assert asked == ["NAS", "NAS", "LPA", "LPA", "RPA", "RPA"]
    assert asks == "sweep"
    await chair.fit()
    assert registration_body(chair.registrar).asks == "left_ear"
    await chair.check(None, "LPA")
    assert registration_body(chair.registrar).asks == "accept"
    assert await chair.registrar.accept("someone") is None
    body = registration_body(chair.registrar)
    assert (body.phase, body.asks, body.verdict) == ("accepted", None, "GOOD")
    assert chair.target_error_mm < 1.0
    assert chair.target_error_mm < (body.expected_error_mm or 0.0)
    assert [type(entry) for entry in chair.lines] == [*[Touched] * 6, Swept, Fitted, Checked, Accepted]


@on_the_loop
async def test_the_result_is_told_with_its_parts_its_map_and_its_zones(chair: Chair) -> None:
    await chair.register()
    body = registration_body(chair.registrar)
    assert set(body.expected_parts_mm) == {"landmarks", "points", "regions", "unmodelled", "slip"}
    assert sum(mm**2 for mm in body.expected_parts_mm.values()) == pytest.approx((body.expected_error_mm or 0.0) ** 2)
    assert 100 < len(body.residual_map) <= MAP_POINTS
    assert max(abs(row[3]) for row in body.residual_map) < 3.0
    assert {zone.zone for zone in body.zones} == set(Zone)
    assert sum(zone.points for zone in body.zones) == body.sweep_points
    assert body.side_fact == "capsule on the left"


@on_the_loop
async def test_nothing_is_accepted_before_the_left_ear_was_touched(chair: Chair) -> None:
    await chair.fit()
    refusal = await chair.registrar.accept("someone")
    assert refusal is not None
    assert "left ear" in refusal
    assert chair.registrar.aim() is None


@on_the_loop
async def test_the_right_ear_under_the_tip_is_not_taken_for_the_left(chair: Chair) -> None:
    await chair.fit()
    answer = await chair.check("LPA", "RPA")
    assert "that is RPA by this registration" in answer
    assert "mirrored" in answer
    assert await chair.registrar.accept("someone") is not None
    assert isinstance(await chair.check("NAS", "NAS"), str)


@on_the_loop
async def test_a_key_takes_the_next_landmark_at_once(chair: Chair) -> None:
    for _ in range(40):
        chair.show(chair.in_head(marked()["NAS"]))
    name, touch, _, kept = await chair.registrar.touch(None, at_once=True)  # type: ignore[misc]
    assert (name, touch.taken, kept) == ("NAS", "key", 1)
    chair.times.pass_(MINUTE_NS)
    assert isinstance(await chair.registrar.touch(None, at_once=True), str)


@on_the_loop
async def test_frames_that_waited_are_neither_touched_nor_swept(chair: Chair) -> None:
    place = chair.in_head(marked()["NAS"])
    task = asyncio.ensure_future(chair.registrar.touch("NAS", at_once=False))
    for _ in range(90):
        await asyncio.sleep(0)
        chair.show(place, age_ns=300_000_000)
    assert not task.done()
    for _ in range(90):
        await asyncio.sleep(0)
        chair.show(place)
    assert not isinstance(await task, str)
    while chair.registrar.missing:
        await chair.touch(None)
    chair.registrar.start_sweep()
    chair.show(place, age_ns=300_000_000)
    assert registration_body(chair.registrar).rejected == {"old_frame": 1}


@on_the_loop
async def test_a_landmark_is_retaken_and_a_touch_taken_back(chair: Chair) -> None:
    for _ in range(4):
        await chair.touch(None)
    assert await chair.registrar.retake("NAS") is None
    assert chair.registrar.next_landmark == "NAS"
    assert await chair.registrar.undo() is None
    assert registration_body(chair.registrar).touches == {"NAS": 0, "LPA": 1}
    assert await chair.registrar.retake("RPA") is not None
    assert [type(entry) for entry in chair.lines[-2:]] == [TakenBack, TakenBack]


@on_the_loop
async def test_more_landmarks_of_the_plan_are_offered_after_the_needed_ones_and_used(chair: Chair) -> None:
    for _ in range(10):
        await chair.touch(None)
    assert chair.registrar.next_landmark is None
    await chair.fit()
    assert chair.registrar.fitted is not None
    assert chair.registrar.fitted.landmarks == ("NAS", "LPA", "RPA", "LEX", "REX")


@on_the_loop
async def test_a_sweep_that_lacks_points_goes_on_with_what_was_swept(chair: Chair) -> None:
    said = await chair.fit(points=40)
    assert said is not None
    assert "add" in said
    assert chair.registrar.phase == "sweeping"
    chair.draw(on_scalp(np.random.default_rng(9), 200))
    assert await chair.registrar.end_sweep() is None


@on_the_loop
async def test_exchanged_ears_are_suggested_by_the_surface(chair: Chair) -> None:
    for name, at in (("NAS", "NAS"), ("LPA", "RPA"), ("RPA", "LPA")):
        await chair.touch(name, at)
        await chair.touch(name, at)
    await chair.fit()
    assert registration_body(chair.registrar).swapped == ("LPA", "RPA")
    assert await chair.registrar.accept("someone") is not None


@on_the_loop
async def test_exchanged_landmarks_are_suggested_before_the_sweep(chair: Chair) -> None:
    ats = {"NAS": "LEX", "LEX": "NAS"}
    for name in ("NAS", "LPA", "RPA", "LEX", "REX"):
        await chair.touch(name, ats.get(name, name))
        await chair.touch(name, ats.get(name, name))
    assert "NAS and LEX seem to have been exchanged" in str(chair.registrar.start_sweep())


@on_the_loop
async def test_landmarks_on_a_line_are_refused_before_the_sweep(chair: Chair) -> None:
    marks = {"NAS": (0.0, 0.0, 0.0), "LPA": (-80.0, 0.0, 0.0), "RPA": (80.0, 0.0, 0.0)}
    chair.noise = type("Still", (), {"normal": lambda *_: np.zeros(3)})()  # type: ignore[assignment]
    for name, at in marks.items():
        for _ in range(2):
            await chair.held(chair.registrar.touch(name, at_once=False), at)
    assert "on a line" in str(chair.registrar.start_sweep())


# ---- checks ----


@on_the_loop
async def test_the_gate_is_told_that_a_check_holds_and_when_it_runs_out(chair: Chair) -> None:
    await chair.register()
    aim = chair.registrar.aim()
    assert aim is not None
    assert aim.reference_holds
    assert aim.check_expires_ns is not None
    left_ns = aim.check_expires_ns - chair.times.mono_ns
    assert left_ns == pytest.approx(20 * MINUTE_NS, abs=MINUTE_NS)
    chair.times.pass_(20 * MINUTE_NS)
    assert registration_body(chair.registrar).asks == "check"


@on_the_loop
async def test_a_slipped_reference_shows_its_distance_and_blocks_until_three_touches_or_a_registration(chair: Chair) -> None:
    await chair.register()
    chair.slide(5.0)
    _, distance_mm, complete = await chair.check("NAS", "NAS")
    assert distance_mm == pytest.approx(5.0, abs=1.5)
    assert not complete
    aim, body = chair.registrar.aim(), registration_body(chair.registrar)
    assert aim is not None
    assert not aim.reference_holds
    assert aim.check_expires_ns is None
    assert body.check is not None
    assert (body.asks, body.check.slipped, body.check.worst_mm) == ("register", True, distance_mm)
    chair.slide(-5.0)
    for landmark in WHOLE:
        await chair.check(landmark, landmark)
    aim = chair.registrar.aim()
    assert aim is not None
    assert aim.reference_holds


@on_the_loop
async def test_a_point_of_the_scalp_shows_a_slip_too(chair: Chair) -> None:
    await chair.register()
    crown = chair.registrar.head.treatment.scalp.closest([(0.0, -10.0, 110.0)]).points_mm[0]  # type: ignore[union-attr]
    name, near_mm, complete = await chair.held(chair.registrar.check_touch(SCALP, at_once=False, by="someone"), crown)
    assert (name, complete) == (SCALP, False)
    assert near_mm < 2.0
    answer = await chair.held(chair.registrar.check_touch(SCALP, at_once=False, by="someone"), np.add(crown, (0.0, 0.0, 6.0)))
    assert answer[1] > 4.0
    assert registration_body(chair.registrar).asks == "register"


@on_the_loop
async def test_what_the_last_check_could_not_exclude_is_in_the_stated_error(chair: Chair) -> None:
    await chair.register()
    before = chair.registrar.expected_error_mm
    chair.slide(2.5)
    for landmark in ("NAS", "LPA"):
        await chair.check(landmark, landmark)
    after = chair.registrar.expected_error_mm
    assert before is not None
    assert after is not None
    assert after > before + 0.5


# ---- later sessions ----


@on_the_loop
async def test_a_later_session_must_check_before_anything_fires(chair: Chair) -> None:
    await chair.register()
    chair.times.pass_(HOUR_NS)
    assert chair.open()
    aim = chair.registrar.aim()
    assert aim is not None
    assert aim.check_expires_ns is None
    assert registration_body(chair.registrar).asks == "quick"
    for landmark in WHOLE:
        assert chair.registrar.aim().check_expires_ns is None  # type: ignore[union-attr]
        await chair.check(None, landmark)
    assert chair.registrar.aim().check_expires_ns is not None  # type: ignore[union-attr]
    assert registration_body(chair.registrar).asks is None


@on_the_loop
async def test_a_quick_registration_is_held_against_the_mornings(chair: Chair) -> None:
    await chair.register()
    chair.times.pass_(HOUR_NS)
    chair.open()
    assert chair.registrar.start_quick() is None
    assert chair.registrar.aim() is None
    chair.slide(1.0)
    assert await chair.fit(points=140) is None
    body = registration_body(chair.registrar)
    assert (body.kind, body.verdict) == ("quick", "GOOD")
    assert body.touches == {"NAS": 1, "LPA": 1, "RPA": 1}
    assert body.change_at_target_mm == pytest.approx(1.0, abs=1.0)
    assert not isinstance(await chair.check(None, "LPA"), str)
    assert await chair.registrar.accept("someone") is None
    assert chair.target_error_mm < 1.5


@on_the_loop
async def test_a_quick_registration_too_far_from_the_mornings_asks_for_a_full_one(chair: Chair) -> None:
    await chair.register()
    chair.times.pass_(HOUR_NS)
    chair.open()
    chair.registrar.start_quick()
    chair.slide(6.0)
    await chair.fit(points=140)
    body = registration_body(chair.registrar)
    assert body.reasons == ("differs_from_first",)
    assert body.asks == "repeat"
    assert await chair.registrar.accept("someone") is not None
    assert await chair.registrar.reject("someone") is None
    assert registration_body(chair.registrar).kind == "full"
    await chair.register()
    assert chair.target_error_mm < 1.0


@on_the_loop
async def test_another_head_between_two_sessions_ends_the_registration(chair: Chair) -> None:
    await chair.register()
    assert not chair.open("P-2")
    assert chair.registrar.aim() is None
    await chair.touch("NAS")
    await chair.touch("NAS")
    chair.registrar.start_sweep()
    await chair.register()
    assert not chair.open("P-1")
    assert chair.registrar.phase == "touching"


@on_the_loop
async def test_another_image_of_the_same_patient_is_another_registration(chair: Chair) -> None:
    await chair.register()
    assert not chair.open(t1="another")


# ---- restarts ----


@on_the_loop
async def test_after_a_restart_nothing_stands_until_three_fresh_touches_agree(chair: Chair) -> None:
    await chair.register()
    before = chair.registrar.standing
    chair.restart()
    assert not chair.open()
    assert chair.registrar.phase == "restored"
    for landmark in WHOLE:
        assert chair.registrar.aim() is None
        await chair.check(None, landmark)
    aim, after = chair.registrar.aim(), chair.registrar.standing
    assert aim is not None
    assert before is not None
    assert after is not None
    assert np.allclose(after.mri_from_head.matrix, before.mri_from_head.matrix)
    assert after.expires_ns == pytest.approx(before.expires_ns, abs=1_000)
    assert isinstance(chair.lines[-1], Restored)


@on_the_loop
async def test_after_a_restart_a_strap_that_moved_is_found_and_the_head_registered_anew(chair: Chair) -> None:
    await chair.register()
    chair.restart()
    chair.slide(4.5)
    chair.open()
    await chair.check(None, "NAS")
    assert chair.registrar.phase == "touching"
    assert chair.registrar.aim() is None
    chair.restart()
    chair.open()
    assert chair.registrar.phase == "touching"


@on_the_loop
async def test_after_a_restart_touches_that_are_only_nearly_right_take_nothing_up(chair: Chair) -> None:
    await chair.register()
    chair.restart()
    chair.slide(2.6)
    chair.open()
    for landmark in WHOLE:
        await chair.check(None, landmark)
    assert chair.registrar.aim() is None


@on_the_loop
async def test_after_a_restart_touching_a_landmark_begins_a_new_registration(chair: Chair) -> None:
    await chair.register()
    chair.restart()
    chair.open()
    await chair.touch("NAS")
    assert registration_body(chair.registrar).phase == "touching"
    await chair.register()
    assert registration_body(chair.registrar).kind == "full"


@on_the_loop
async def test_what_was_rejected_is_not_taken_up_after_a_restart(chair: Chair) -> None:
    await chair.register()
    await chair.registrar.reject("someone")
    assert isinstance(chair.lines[-1], Rejected)
    chair.restart()
    chair.open()
    assert chair.registrar.phase == "touching"


@on_the_loop
async def test_what_cannot_be_stored_does_not_count(chair: Chair) -> None:
    await chair.fit()
    await chair.check(None, "LPA")
    path = chair.folder / "registration-2026-02-03.jsonl"
    path.unlink()
    path.mkdir()
    refusal = await chair.registrar.accept("someone")
    assert refusal is not None
    assert "cannot be written" in refusal
    assert chair.registrar.aim() is None


def test_a_site_that_tightens_the_checks_gets_them_tighter(tmp_path: Path) -> None:
    async def run() -> None:
        chair = Chair(tmp_path, RegistrationSection(check_valid_min=5.0, check_block_mm=2.0, check_warn_mm=1.5))
        chair.open()
        await chair.register()
        aim = chair.registrar.aim()
        assert aim is not None
        assert (aim.check_expires_ns or 0) - chair.times.mono_ns <= 5 * MINUTE_NS
        chair.slide(2.9)
        await chair.check("NAS", "NAS")
        assert registration_body(chair.registrar).asks == "register"

    asyncio.run(run())
