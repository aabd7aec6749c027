"""Random and mutated frames into every codec, some thousands of what `python -m bench fuzz` throws by the million."""

from collections.abc import Callable, Sequence

import pytest

from bench.fuzz import fuzz
from bench.fuzz_codecs import Talk, codecs

FRAMES = 3000
DIRECTIONS = [pytest.param(*direction, id=name) for language in codecs().values() for name, direction in language.items()]


@pytest.mark.parametrize(("new_talk", "valid"), DIRECTIONS)
def test_damage_gives_only_wire_errors_and_costs_one_frame(new_talk: Callable[[], Talk], valid: Sequence[bytes]) -> None:
    tally = fuzz(new_talk(), valid, FRAMES, seed=7)
    assert tally.frames == FRAMES
    assert tally.read >= FRAMES // 3
    assert tally.unsynced == []


@pytest.mark.parametrize(("new_talk", "valid"), DIRECTIONS)
def test_every_frame_of_a_sound_session_is_read(new_talk: Callable[[], Talk], valid: Sequence[bytes]) -> None:
    talk = new_talk()
    assert [len(talk.feed(each, 0)) for each in valid] == [1] * len(valid)

