"""What came of a campaign, as values that go over a pipe: lives, chairs, and the sum of it all."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from tests.campaign.afterlife import Afterlife
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
    afterlife: Afterlife | None = None


class ChairResult(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    family: str
    lives: tuple[LifeResult, ...]


class Deaths(msgspec.Struct, frozen=True, kw_only=True):
    """Hosts that died in mid-train. `pulses`: after each death, how often so many; the latest pulse and discharge after one."""

    count: int
    in_train: int
    pulses: dict[int, int]
    latest_pulse_ms: float | None
    latest_discharge_ms: float | None


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
    deaths: dict[str, Deaths]  # by family


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
        deaths={family: _deaths(seen) for family in sorted({each.family for each in results}) if (seen := _afterlives(results, family))},
    )


def _afterlives(results: Sequence[ChairResult], family: str) -> list[Afterlife]:
    mine = [life for result in results if result.family == family for life in result.lives]
    return [life.afterlife for life in mine if life.afterlife is not None]


def _deaths(seen: list[Afterlife]) -> Deaths:
    return Deaths(
        count=len(seen),
        in_train=sum(each.in_train for each in seen),
        pulses=dict(sorted(Counter(each.pulses for each in seen).items())),
        latest_pulse_ms=max((each.last_ms for each in seen if each.last_ms is not None), default=None),
        latest_discharge_ms=max((each.off_ms for each in seen if each.off_ms is not None), default=None),
    )
