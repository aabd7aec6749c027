"""How the simulated operator finds the motor threshold: pulse by pulse, by what the screen says and the thumb shows.

Knows the daemon through `Desk` alone; the thumb is the operator's own eyes on the room.
"""

from collections.abc import Callable
from typing import Protocol

from sim.operator_view import SearchSeen, View

MUSCLE, SIDE = "APB", "left"
OPEN_S, ARM_S, CLOSE_S, PULSE_S, TELL_S = 10.0, 25.0, 15.0, 45.0, 5.0
START_MSO, RISE_MSO = 50, 5  # rise until the thumb has twitched
ENDED = ("saved", "not_found", "aborted")


class SearchFailed(Exception):
    """The threshold was not found: one line that says why."""


class Desk(Protocol):
    """The daemon as the operator reaches it."""

    @property
    def view(self) -> View: ...

    def command(self, method: str, seconds: float, **params: object) -> None:
        """A command whose answer changes no step of the session."""

    def until(self, holds: Callable[[], bool], seconds: float) -> bool: ...


class ThresholdSearch:
    """One search for the threshold of one patient, from opening to saving. Raises SearchFailed."""

    def __init__(self, desk: Desk, watch_thumb: Callable[[], bool | None], say: Callable[..., None]) -> None:
        self._desk, self._watch_thumb, self._say = desk, watch_thumb, say

    def find(self, patient: str, procedure: str, evidence: str, most_pulses: int) -> SearchSeen:
        self._desk.command(
            "mt_open",
            OPEN_S,
            patient=patient,
            muscle=MUSCLE,
            side=SIDE,
            procedure=procedure,
            evidence=evidence,
            planned_pulses=most_pulses,
        )
        self._await(lambda seen: seen.step == "open", TELL_S)
        self._desk.command("mt_arm", ARM_S)
        self._seek_hotspot()
        self._desk.command("mt_hotspot", TELL_S)
        found = self._hunt()
        self._desk.command("mt_confirm", CLOSE_S)
        saved = self._await(lambda seen: seen.phase == "saved", CLOSE_S)
        self._say(
            "threshold",
            value_mso=saved.threshold_mso,
            interval_mso=found.interval_mso,
            pulses=saved.pulses_given,
            pulses_today=saved.pulses_today,
        )
        return saved

    def _await(self, holds: Callable[[SearchSeen], bool], seconds: float) -> SearchSeen:
        """The screen once it shows that; a search that has ended otherwise has failed."""

        def decided() -> bool:
            seen = self._desk.view.search
            return seen is not None and (holds(seen) or seen.phase in ENDED)

        came = self._desk.until(decided, seconds)
        seen = self._desk.view.search
        if not came or seen is None:
            raise SearchFailed(f"nothing new in the search for {seconds:g} s: {seen}")
        if not holds(seen):
            raise SearchFailed(f"the search ended as {seen.phase}: {seen.why}")
        return seen

    def _seek_hotspot(self) -> None:
        """Pulses of rising strength until the thumb answers."""
        self._await(lambda seen: seen.step == "armed", TELL_S)
        amplitude_mso = START_MSO
        while True:
            seen = self._await(lambda seen: seen.waiting is None and seen.step == "armed", PULSE_S)
            number = seen.next_number
            self._desk.command("mt_pulse", TELL_S, number=number, amplitude_mso=min(amplitude_mso, seen.highest_next_mso))
            self._await(lambda seen, number=number: seen.next_number > number, TELL_S)  # type: ignore[misc]
            self._answer()
            if self._watch_thumb():
                return
            amplitude_mso += RISE_MSO

    def _hunt(self) -> SearchSeen:
        """Watch pulse after pulse, and say what is asked."""
        seen = self._await(lambda seen: seen.phase != "hotspot", TELL_S)
        while not _is_found(seen):
            if seen.waiting == "answer":
                self._answer()
            before = (seen.pulses_given, seen.phase, seen.step)
            seen = self._await(
                lambda after, before=before: (  # type: ignore[misc]
                    after.waiting == "answer" or _is_found(after) or (after.pulses_given, after.phase, after.step) != before
                ),
                PULSE_S,
            )
        return seen

    def _answer(self) -> None:
        """Say what the thumb did, if anybody asks: the EMG may have said it."""
        seen = self._await(lambda seen: seen.waiting != "pulse", PULSE_S)
        if seen.waiting == "answer":
            twitched = self._watch_thumb()
            self._say("pulse", number=seen.waiting_number, amplitude_mso=seen.amplitude_mso, twitched=twitched)
            self._desk.command("mt_answer", TELL_S, number=seen.waiting_number, responded=twitched)
            self._await(lambda after: after.waiting_number != seen.waiting_number, TELL_S)


def _is_found(seen: SearchSeen) -> bool:
    """Found, and everything is in the ledger."""
    return seen.phase == "confirm" and seen.step == "closed"
