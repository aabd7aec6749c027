"""Disarm a stimulator over an open port, blocking, with a deadline: what a supervisor does when nobody else can any more.

Opens no port and knows no device; whose fault it was and what a person is told are others' affairs.
"""

import select
from collections.abc import Callable

import msgspec

from drivers.protocols import Step, Stimulator
from drivers.transport import Pipe
from drivers.values import Disabled, Secured, StimEvent, StimFault

NS_PER_S = 1_000_000_000


class DisarmOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the device itself showed that it is disabled and idle; what it was seen doing before; why not, if not."""

    confirmed: bool
    found_enabled: bool
    found_running: bool
    why: str = ""


def disarm(fd: int, stimulator: Stimulator, deadline_ns: int, clock: Callable[[], int]) -> DisarmOutcome:
    """Send disarm on the non-blocking `fd` at once and repeat it until the device confirms or `deadline_ns` has passed.

    Takes over the conversation from its beginning (`connected`). Raises nothing: a port that fails is an unconfirmed outcome.
    """
    pipe = Pipe(fd)
    faults: list[str] = []
    step = stimulator.connected(clock())
    while True:
        outcome = _outcome(step, faults)
        if outcome is not None:
            return outcome
        if not pipe.write(step.send):
            return _unconfirmed(stimulator, "the port takes nothing")
        now_ns = clock()
        if now_ns >= deadline_ns:
            return _unconfirmed(stimulator, faults[-1] if faults else "no confirmation in time")
        wait_s = max(0, min(step.wake_ns, deadline_ns) - now_ns) / NS_PER_S
        readable, _, _ = select.select([fd], [fd] if pipe.has_unsent else [], [], wait_s)
        data = pipe.read() if readable else b""
        if data is None:
            return _unconfirmed(stimulator, "the port is gone")
        step = stimulator.feed(data, clock()) if data else stimulator.tick(clock())


def _outcome(step: Step[StimEvent], faults: list[str]) -> DisarmOutcome | None:
    """The outcome once the device is secured; sentences of what goes wrong meanwhile are added to `faults`."""
    for event in step.events:
        if isinstance(event, Secured):
            return DisarmOutcome(confirmed=True, found_enabled=event.found_enabled, found_running=event.found_running)
        if isinstance(event, StimFault):
            faults.append(f"{event.what}. {event.remedy}")
        elif isinstance(event, Disabled) and not event.confirmed:
            faults.append("the device does not confirm that it is disabled")
    return None


def _unconfirmed(stimulator: Stimulator, why: str) -> DisarmOutcome:
    report = stimulator.report
    return DisarmOutcome(confirmed=False, found_enabled=bool(report.enabled), found_running=bool(report.running), why=why)
