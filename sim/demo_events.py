"""What the simulated operator says it does (its lines of JSON), and the sentence for each that a spectator reads."""

from collections.abc import Callable

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the operator. Which fields are there depends on `event`."""

    event: str
    mono_ns: int
    session: int | None = None
    patient: str | None = None
    protocol: str | None = None
    landmark: str | None = None
    touches: int | None = None
    spread_mm: float | None = None
    verdict: str | None = None
    sweep_points: int | None = None
    distance_mm: float | None = None
    kind: str | None = None
    surface_rms_mm: float | None = None
    expected_error_mm: float | None = None
    moves: int | None = None
    mm: float | None = None
    why: str | list[str] | None = None
    planned: int | None = None
    pulses: int | None = None
    broken: int | None = None
    reasons: list[str] | None = None
    earliest_utc: str | None = None


SENTENCES: dict[str, Callable[[Event], str]] = {
    "hello": lambda _: "The operator is at the chair.",
    "plan": lambda e: f"Session {e.session}: plan of {e.patient} opened, {e.protocol}.",
    "hardware_stop_tested": lambda _: "The stimulator's red key was pressed and seen: the hardware stop works.",
    "touch": lambda e: f"{e.landmark} touched ({e.touches}), held within {e.spread_mm:.2f} mm.",
    "registration": lambda e: (
        f"Swept {e.sweep_points} points: {e.verdict}, {e.surface_rms_mm:.2f} mm RMS, {e.expected_error_mm:.1f} mm at the target."
    ),
    "registration_refused": lambda e: f"Again: {e.why}",
    "check": lambda e: f"{e.landmark} touched again: {e.distance_mm:.1f} mm from where it was.",
    "registered": lambda e: f"The head is registered ({e.kind}).",
    "quick_registration": lambda _: "A later session of the day: a quick registration against the first.",
    "aimed": lambda e: f"On target after {e.moves} moves by the numbers.",
    "aimed_again": lambda e: f"On target again after {e.moves} moves.",
    "armed": lambda _: "Armed.",
    "started": lambda _: "Started.",
    "slip": lambda e: f"The coil slips {e.mm:g} mm in mid-train!",
    "held": lambda e: f"Stopped and held: {', '.join(e.why or ())}.",
    "resumed": lambda _: "Resumed.",
    "done": lambda e: f"Done: {e.pulses} of {e.planned} pulses, {e.broken} train broken off.",
    "session_refused": lambda e: f"Session {e.session} is refused until {e.earliest_utc}: {', '.join(e.reasons or ())}.",
    "failed": lambda e: f"The operator gives up: {e.why}",
}


def sentence(event: Event) -> str | None:
    """None for what no spectator needs."""
    speak = SENTENCES.get(event.event)
    return None if speak is None else speak(event)
