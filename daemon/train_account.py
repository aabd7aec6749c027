"""The account of one granted train, from its start byte to its receipt: what was asked, seen, stopped, and what counts.

Pure. When a receipt is due and who gets it is `firing`'s.
"""

from dataclasses import dataclass, field

from daemon.burst_clock import BurstClock
from daemon.ipc import Grant, PulsePose, Receipt
from daemon.pacing import TrainTally, burst_period_ns, bursts_given
from drivers.values import TrainSettings

START_LATE_NS = 300_000_000  # a device that has not begun this long after its start byte never does


@dataclass(slots=True)
class Train:
    """One granted train from its start byte to its receipt."""

    grant: Grant
    started_ns: int
    damaged_before: int
    bursts: list[PulsePose] = field(default_factory=list)
    stop_asked_ns: int | None = None
    ended_ns: int | None = None
    link_lost: bool = False
    why: tuple[str, ...] = ()
    clock: BurstClock | None = None  # where the host paces its bursts

    @property
    def asked(self) -> int:
        """Bursts that the device was asked for, at once or one by one."""
        return self.grant.settings.bursts if self.clock is None else self.clock.asked

    @property
    def planned_end_ns(self) -> int:
        settings = self.grant.settings
        if self.clock is not None:
            return self.clock.latest_end_ns + burst_length_ns(settings)
        return self.started_ns + (settings.bursts - 1) * burst_period_ns(settings.burst_hz) + burst_length_ns(settings)


def burst_length_ns(settings: TrainSettings) -> int:
    """First pulse to last pulse of one burst."""
    return (settings.pulses_per_burst - 1) * settings.intra_burst_interval_us * 1000


def bursts_seen(train: Train, is_estimate: bool, now_ns: int) -> int:
    """For people who watch: bursts reported so far, or where the device reports none those that the plan has begun."""
    if not is_estimate:
        return len(train.bursts)
    until_ns = now_ns if train.ended_ns is None else train.ended_ns
    begun = (until_ns - train.started_ns) // burst_period_ns(train.grant.settings.burst_hz) + 1
    return min(train.grant.settings.bursts, begun)


def counted(train: Train, damaged: int) -> tuple[int, bool]:
    """Bursts that count, and whether the device confirmed them; `damaged` is the link's count of lost bytes now."""
    settings = train.grant.settings
    tally = TrainTally(
        bursts_planned=train.asked,
        started_ns=train.started_ns,
        events_ns=tuple(burst.at_ns for burst in train.bursts),
        stop_asked_ns=train.stop_asked_ns,
        ended_ns=train.ended_ns,
        link_sound=not train.link_lost and damaged == train.damaged_before,
    )
    return bursts_given(tally, burst_period_ns(settings.burst_hz))


def is_short(train: Train, damaged: int) -> bool:
    """Whether it gave less than it was granted for, as far as is known now."""
    return counted(train, damaged)[0] < train.grant.settings.bursts


def receipt_of(train: Train, run_id: str, damaged: int) -> Receipt:
    """What the train gave: never less than the device reported; `damaged` is the link's count of lost bytes now."""
    grant = train.grant
    events_ns = tuple(burst.at_ns for burst in train.bursts)
    bursts, confirmed = counted(train, damaged)
    latest_ns = train.planned_end_ns + START_LATE_NS if train.ended_ns is None else train.ended_ns
    told_ns = events_ns[-1] + burst_length_ns(grant.settings) if events_ns else train.started_ns
    last_ns = told_ns if confirmed else max(told_ns, latest_ns)
    return Receipt(
        run_id=run_id,
        grant_no=grant.grant_no,
        train=grant.train,
        pulses=bursts * grant.settings.pulses_per_burst,
        confirmed=confirmed,
        broken=bursts < grant.settings.bursts,
        why=train.why or _left_out(train),
        first_ns=None if bursts == 0 else (events_ns[0] if events_ns else train.started_ns),
        last_ns=None if bursts == 0 else last_ns,
        bursts=tuple(train.bursts),
    )


def _left_out(train: Train) -> tuple[str, ...]:
    count = 0 if train.clock is None else train.clock.left_out
    return (f"{count} bursts came too late and were left out",) if count else ()


def zero_receipt(grant: Grant, why: tuple[str, ...]) -> Receipt:
    """For a grant that was never begun."""
    return nothing_given(grant.run_id, grant.grant_no, grant.train, why)


def nothing_given(run_id: str, grant_no: int, train: int, why: tuple[str, ...]) -> Receipt:
    """For a train of which it is certain that not one pulse of it was given."""
    return Receipt(
        run_id=run_id,
        grant_no=grant_no,
        train=train,
        pulses=0,
        confirmed=True,
        broken=True,
        why=tuple(str(reason) for reason in why),
        first_ns=None,
        last_ns=None,
        bursts=(),
    )
