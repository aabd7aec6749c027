"""How the simulated operator registers the head: does what the screen asks for, until it asks for nothing more.

Touches, sweeps, the left ear, checks of the head reference, quick registrations of later sessions. Knows the daemon through `Desk` alone.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from sim.operator_view import RegistrationSeen, View

TOUCH_S, FIT_S, TELL_S, SEEN_S = 15.0, 30.0, 5.0, 3.0
SWEEP_S = {"full": 7.0, "quick": 4.0}
MOST_ACTS, MOST_REFUSALS, SWEEPS = 60, 8, 3


class NotRegistered(Exception):
    """The head could not be registered: one line that says why."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon has against a command."""

    code: str
    message: str


class Desk(Protocol):
    """The daemon as the operator reaches it."""

    @property
    def view(self) -> View: ...

    def attempt(self, method: str, seconds: float, **params: object) -> object | Refusal: ...

    def until(self, holds: Callable[[], bool], seconds: float) -> bool: ...


class Hands(Protocol):
    def do(self, act: str, **how: object) -> dict[str, object]: ...


class HeadRegistration:
    """One head, once a session: whatever has to be done until a registration stands and its check has passed."""

    def __init__(self, desk: Desk, hands: Hands, say: Callable[..., None]) -> None:
        self._desk, self._hands, self._say = desk, hands, say
        self._refusals = 0
        self._acts: dict[str, Callable[[RegistrationSeen], None]] = {
            "touch": self._touch,
            "sweep": self._sweep,
            "left_ear": lambda _: self._check("LPA"),
            "accept": self._accept,
            "repeat": lambda seen: self._again("the fit has to be repeated", seen),
            "register": lambda seen: self._again("the head reference has slipped", seen),
            "check": lambda seen: self._check(None if seen.check is None else seen.check.missing[0]),
            "quick": self._quick,
        }

    def make_it_stand(self) -> None:
        """Raises NotRegistered."""
        for _ in range(MOST_ACTS):
            seen = self._seen()
            if seen.asks is None:
                self._hands.do("park", tool="pointer")
                return
            self._acts[seen.asks](seen)
        raise NotRegistered(f"not registered after {MOST_ACTS} acts")

    def _seen(self) -> RegistrationSeen:
        if not self._desk.until(lambda: (seen := self._desk.view.registration) is not None and seen.phase != "fitting", SEEN_S):
            raise NotRegistered("the screen shows nothing of a registration")
        seen = self._desk.view.registration
        assert seen is not None  # noqa: S101  # just waited for
        return seen

    def _do(self, method: str, seconds: float, **params: object) -> object | None:
        """The answer, or None after a refusal that may be tried again. The screen has moved on when this returns."""
        before = self._desk.view.registration
        answer = self._desk.attempt(method, seconds, **params)
        if not isinstance(answer, Refusal):
            self._desk.until(lambda: self._desk.view.registration != before, TELL_S)
            return answer
        self._refusals += 1
        self._say("registration_refused", what=method, why=answer.message)
        if answer.code not in ("TOUCH_REFUSED", "REGISTRATION_REFUSED") or self._refusals > MOST_REFUSALS:
            raise NotRegistered(f"{method}: {answer.message}")
        return None

    def _touch(self, seen: RegistrationSeen) -> None:
        landmark = seen.next_landmark
        self._hands.do("touch", landmark=landmark)
        touch = self._do("touch_landmark", TOUCH_S, landmark=landmark)
        if touch is not None:
            self._say("touch", landmark=landmark, **_told(touch, "touches", "spread_mm", "apart_mm"))

    def _sweep(self, seen: RegistrationSeen) -> None:
        self._hands.do("pointer_to_scalp")
        if seen.phase != "sweeping" and self._do("start_sweep", TELL_S) is None:
            return
        for _ in range(SWEEPS):
            self._hands.do("sweep", seconds=SWEEP_S[seen.kind])
            if self._desk.until(lambda: (now := self._desk.view.registration) is not None and now.sweep_points >= now.sweep_wanted, 1.0):
                break
        result = self._do("end_sweep", FIT_S)
        if result is not None:
            told = _told(getattr(result, "registration", None), "kind", "verdict", "sweep_points", "surface_rms_mm", "expected_error_mm")
            self._say("registration", **told, **_told(getattr(result, "registration", None), "reasons", "warnings", "change_at_target_mm"))

    def _check(self, landmark: str | None) -> None:
        self._hands.do("touch", landmark=landmark)
        check = self._do("check_touch", TOUCH_S, landmark=landmark)
        if check is not None:
            self._say("check", **_told(check, "landmark", "distance_mm", "complete"))

    def _accept(self, seen: RegistrationSeen) -> None:
        if self._do("accept_registration", TELL_S) is not None:
            self._say("registered", kind=seen.kind)

    def _quick(self, _seen: RegistrationSeen) -> None:
        self._do("start_quick_registration", TELL_S)
        self._say("quick_registration")

    def _again(self, why: str, _seen: RegistrationSeen) -> None:
        """From the beginning, in full."""
        self._say("registering_again", why=why)
        self._refusals += 1
        if self._refusals > SWEEPS:
            raise NotRegistered(f"{why}, {self._refusals} times")
        self._do("reject_registration", TELL_S)


def _told(body: object, *names: str) -> dict[str, object]:
    return {name: getattr(body, name, None) for name in names}
