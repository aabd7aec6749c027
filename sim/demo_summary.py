"""The demo's last word: one line on what happened, and a line for everything that should have been otherwise. Pure."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from sim.demo_events import Event
from sim.demo_verdict import Ledger, Pulse, differences, disabled_after, pulses_since

SLIPS, SESSIONS = 1, 2
HELD_WITHIN_NS = 500_000_000  # slip, leave dwell of 100 ms, stop, and the device's own word that it is off
OFF_TARGET_MM = 5.0


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    line: str
    troubles: tuple[str, ...]


def summarise(truth: str, ledger: Ledger, events: Sequence[Event], since_ns: int) -> Summary:
    """From the truth log (JSON lines), the ledger's export and the operator's events, all of this run."""
    pulses = pulses_since(truth, since_ns)
    sessions = [session for session in ledger.sessions if session.gave_since(since_ns)]
    parted = differences(pulses, sessions)
    done, refused, failed = (_first(events, name) for name in ("done", "session_refused", "failed"))
    held = [_held(truth, pulses, event) for event in events if event.event == "slip"]
    troubles = [*parted, *_ledger_troubles(ledger), *(text for _, text in held if text is not None)]
    if failed is not None:
        troubles.insert(0, f"the operator gave up: {failed.why}")
    else:
        troubles += [*_count_troubles(pulses, done), *_day_troubles(len(held), refused)]
    parts = [
        f"{'?' if done is None else done.planned} planned",
        f"{len(pulses)} delivered",
        *(f"1 slip held after {after_s:.2f} s" for after_s, _ in held if after_s is not None),
        f"second session {_until(refused)}",
        "ledger ≠ truth" if parted else "ledger = truth",
    ]
    return Summary(line=", ".join(parts), troubles=tuple(troubles))


def _first(events: Sequence[Event], name: str) -> Event | None:
    return next((event for event in events if event.event == name), None)


def _ledger_troubles(ledger: Ledger) -> list[str]:
    troubles = [] if ledger.verified is True else ["the ledger's chain of hashes is broken"]
    if ledger.ungranted or any(session.ungranted for session in ledger.sessions):
        troubles.append("the ledger has pulses that nobody granted")
    return troubles


def _count_troubles(pulses: Sequence[Pulse], done: Event | None) -> list[str]:
    if done is None or done.planned is None:
        return ["the session was not brought to its end"]
    troubles = []
    if done.pulses != len(pulses):
        troubles.append(f"the screen said {done.pulses} pulses, {len(pulses)} were given")
    if done.broken != SLIPS or not 0 < len(pulses) < done.planned:
        troubles.append(f"{done.broken} trains were broken off and {len(pulses)} of {done.planned} pulses given; one train was to be cut")
    return troubles


def _day_troubles(slips: int, refused: Event | None) -> list[str]:
    troubles = [] if slips == SLIPS else [f"{slips} slips, {SLIPS} was meant to be"]
    if refused is None or refused.earliest_utc is None:
        troubles.append("the second session was not refused with a time")
    return troubles


def _held(truth: str, pulses: Sequence[Pulse], slip: Event) -> tuple[float | None, str | None]:
    """How long after the slip the stimulator was physically off, and what is wrong with that."""
    off_ns = disabled_after(truth, slip.mono_ns)
    if off_ns is None:
        return None, "the stimulator was never off after the slip"
    after_s = (off_ns - slip.mono_ns) / 1e9
    far_off = [pulse for pulse in pulses if pulse.mono_ns > off_ns and (pulse.lateral_mm is None or pulse.lateral_mm > OFF_TARGET_MM)]
    if far_off:
        return after_s, f"{len(far_off)} pulses were given off target after the slip was held"
    if off_ns - slip.mono_ns > HELD_WITHIN_NS:
        return after_s, f"the stimulator was off only {after_s:.2f} s after the slip"
    return after_s, None


def _until(refused: Event | None) -> str:
    if refused is None or refused.earliest_utc is None:
        return "not refused"
    return f"refused until {datetime.fromisoformat(refused.earliest_utc):%H:%M} UTC"
