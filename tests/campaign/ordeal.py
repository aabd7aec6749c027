"""What is done to one chair in one of its lives: drawn from a seed, so that it can be done again."""

import random
from typing import Final

import msgspec

ALL: Final = ("daemon", "hot", "supervisor")
WALL_STEPS_S: Final = (3.0, -3.0, 60.0, -60.0, 3600.0, -3600.0, 90_000.0)


class Blow(msgspec.Struct, frozen=True, kw_only=True):
    """`what` is done to `whom`, so long after the session's start, for so long."""

    what: str
    whom: tuple[str, ...] = ()
    after_s: float
    for_s: float = 0.0
    step_s: float = 0.0

    @property
    def kind(self) -> str:
        return " ".join((self.what, "+".join(self.whom))).strip()


class Trap(msgspec.Struct, frozen=True, kw_only=True):
    """`then` happens in the process that comes to the place `where` for the nth time."""

    where: str
    nth: int
    then: str  # kill, kill both, stop, step
    for_s: float = 0.0
    step_s: float = 0.0

    @property
    def kind(self) -> str:
        return f"{self.then} at {self.where}"


class Mischief(msgspec.Struct, frozen=True, kw_only=True):
    """Chances that a grant or receipt is lost, sent twice, late, or followed by one from the past, this life's or an earlier one's."""

    drop: float = 0.0
    double: float = 0.0
    delay: float = 0.0
    replay: float = 0.0


class Ordeal(msgspec.Struct, frozen=True, kw_only=True):
    """One life. The last blow ends it, unless the trap has.

    Times run from the session's start; `at_start`: from the start of the processes; `in_train`: from the first pulse of that train.
    """

    seed: int
    blows: tuple[Blow, ...]
    trap: Trap | None = None
    mischief: Mischief | None = None
    at_start: bool = False
    in_train: int | None = None


DAEMON_PLACES: Final = (
    "before opening",
    "after opening",
    "after intent",
    "before grant leaves",
    "after grant leaves",
    "receipt heard",
    "before receipt written",
    "after receipt written",
    "before closing",
    "after closing",
    "before recovery",
    "after recovery",
    "statement",
    "commit",
    "flush",
)
HOT_PLACES: Final = ("grant heard", "before start byte", "after start byte", "burst", "before receipt leaves", "after receipt leaves")
VISITS: Final = {  # so often a place is come to in a session of a quick chair, about
    "statement": 40,
    "commit": 10,
    "flush": 10,
    "burst": 10,
    "after intent": 4,
    "before grant leaves": 4,
    "after grant leaves": 4,
    "grant heard": 4,
    "before start byte": 4,
    "after start byte": 4,
    "receipt heard": 3,
    "before receipt written": 3,
    "after receipt written": 3,
    "before receipt leaves": 3,
    "after receipt leaves": 3,
}
SESSION_S: Final = 2.2  # a session of a quick chair


def draw(seed: int, *, steps_clock: bool) -> Ordeal:
    """An ordeal for a quick chair; `steps_clock`: its wall clock may be set by more than a second."""
    rng = random.Random(seed)
    mischief = None
    if rng.random() < 0.5:
        mischief = Mischief(drop=0.06, double=0.25, delay=0.2, replay=0.3)
    blows = tuple(_disturbance(rng) for _ in range(rng.choice((0, 0, 1, 1, 2))))
    trap = _trap(rng) if rng.random() < 0.45 else None
    if steps_clock and rng.random() < 0.7:
        trap = _clock_trap(rng)
    elif steps_clock:
        blows += (Blow(what="step", after_s=rng.uniform(0, SESSION_S), step_s=rng.choice(WALL_STEPS_S)),)
    after_s = rng.uniform(0.0, SESSION_S) + (1.0 if trap is not None else 0.0)
    at_start = trap is None and rng.random() < 0.1
    last = _end(rng, 0.4 * after_s if at_start else after_s)
    ordered = tuple(sorted((blow for blow in blows if blow.after_s < last.after_s), key=lambda blow: blow.after_s))
    return Ordeal(seed=seed, blows=(*ordered, last), trap=trap, mischief=mischief, at_start=at_start)


def draw_death(seed: int, trains: int, train_s: float) -> Ordeal:
    """The whole host dies at once at a random moment of a train, its unit lives on."""
    rng = random.Random(seed)
    death = Blow(what="kill", whom=ALL, after_s=rng.uniform(0.0, train_s))
    return Ordeal(seed=seed, blows=(death,), in_train=rng.randint(1, trains))


def _disturbance(rng: random.Random) -> Blow:
    after_s = rng.uniform(0.0, SESSION_S)
    return rng.choice(
        (
            Blow(what="stop", whom=("daemon",), after_s=after_s, for_s=rng.uniform(0.1, 2.0)),
            Blow(what="stop", whom=("hot",), after_s=after_s, for_s=rng.uniform(0.05, 0.25)),
            Blow(what="stop", whom=("supervisor",), after_s=after_s, for_s=rng.uniform(0.1, 1.2)),
            Blow(what="stop", whom=("room",), after_s=after_s, for_s=rng.uniform(0.05, 1.0)),
            Blow(what="kill", whom=("room",), after_s=after_s, for_s=rng.uniform(0.1, 0.6)),
            Blow(what="slip", after_s=after_s, for_s=rng.uniform(0.05, 0.4)),
            Blow(what="lock ledger", after_s=after_s, for_s=rng.choice((1.0, 1.0, 2.6))),
            Blow(what="fill disk", after_s=after_s, for_s=1.0),
            Blow(what="step", after_s=after_s, step_s=rng.choice((0.4, -0.4))),
        )
    )


def _end(rng: random.Random, after_s: float) -> Blow:
    if rng.random() < 0.1:
        return Blow(what="ask to leave", whom=("supervisor",), after_s=after_s)
    whom = rng.choice((("daemon",), ("hot",), ("supervisor",), ("daemon", "hot"), ALL, ("daemon", "supervisor"), ("hot", "supervisor")))
    if rng.random() < 0.25:
        return Blow(what="stop then kill", whom=whom, after_s=after_s, for_s=rng.uniform(0.05, 1.0))
    return Blow(what="kill", whom=whom, after_s=after_s)


def _trap(rng: random.Random) -> Trap:
    place = rng.choice(DAEMON_PLACES + HOT_PLACES)
    then = rng.choice(("kill", "kill", "kill both", "stop"))
    return Trap(where=place, nth=rng.randint(1, VISITS.get(place, 1)), then=then, for_s=rng.uniform(0.1, 2.0))


def _clock_trap(rng: random.Random) -> Trap:
    """The clock is set between an intent and its pulses."""
    place = rng.choice(("after intent", "before grant leaves", "grant heard"))
    return Trap(where=place, nth=rng.randint(1, 3), then="step", step_s=rng.choice(WALL_STEPS_S))
