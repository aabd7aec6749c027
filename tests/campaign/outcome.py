"""What came of a campaign, as values that go over a pipe: lives, chairs, and the sum of it all."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from tests.campaign.ordeal import Ordeal


class LifeResult(msgspec.Struct, frozen=True, kw_only=True):
    """`given` and `counted`: pulses in all lives so far. `log`: what the processes printed, where there are faults."""

    ordeal: Ordeal
    struck: tuple[str, ...]
    given: int
    counted: int
    faults: tuple[str, ...]
    seconds: float
    log: str = ""


class ChairResult(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    lives: tuple[LifeResult, ...]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """`struck`: blows and traps that fell, by kind. `fired`: lives with at least one pulse."""

    runs: int
    fired: int
    kill_points: int
    struck: dict[str, int]
    given: int
    counted: int
    faulty_chairs: tuple[int, ...]
    seconds: float


def summarize(results: Sequence[ChairResult], seconds: float) -> Summary:
    struck: Counter[str] = Counter()
    fired = 0
    for result in results:
        before = 0
        for life in result.lives:
            struck.update(life.struck)
            fired += life.given > before
            before = life.given
    return Summary(
        runs=sum(len(result.lives) for result in results),
        fired=fired,
        kill_points=struck.total(),
        struck=dict(struck.most_common()),
        given=sum(result.lives[-1].given for result in results),
        counted=sum(result.lives[-1].counted for result in results),
        faulty_chairs=tuple(result.seed for result in results if any(life.faults for life in result.lives)),
        seconds=seconds,
    )
