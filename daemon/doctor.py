"""What `atmsd doctor` says: one value for each thing looked at, and the exit code that follows. Looks at nothing itself.

A kind of check is a file of its own: facts are gathered in one place, and small pure functions judge them.
"""

import enum
from collections.abc import Iterable

import msgspec

EX_OK, EX_UNAVAILABLE, EX_CONFIG = 0, 69, 78


class Status(enum.StrEnum):
    """`warn`: works as it is, and a person should know or do something."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at: what was found, and what to do about it. `exit_code` is what a failure makes of the command, else 0."""

    topic: str
    status: Status
    what: str
    remedy: str = ""
    exit_code: int = EX_OK

    @property
    def failed(self) -> bool:
        return self.status is Status.FAIL

    def line(self) -> str:
        """As a person reads it."""
        return f"{self.status:<5} {self.topic}: {self.what}.{' ' if self.remedy else ''}{self.remedy}"


class Examination(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="doctor.v1"):
    """All of them in the order in which they were made, for programs."""

    config: str
    exit_code: int
    checks: tuple[Check, ...]


def ok(topic: str, what: str, remedy: str = "") -> Check:
    return Check(topic=topic, status=Status.OK, what=what, remedy=remedy)


def warn(topic: str, what: str, remedy: str = "") -> Check:
    return Check(topic=topic, status=Status.WARN, what=what, remedy=remedy)


def fail(topic: str, what: str, remedy: str = "", exit_code: int = EX_UNAVAILABLE) -> Check:
    return Check(topic=topic, status=Status.FAIL, what=what, remedy=remedy, exit_code=exit_code)


def exit_code(checks: Iterable[Check]) -> int:
    """0 when nothing failed. A faulty configuration goes before all else: what it names was perhaps not even looked at."""
    codes = [check.exit_code for check in checks if check.failed]
    return EX_CONFIG if EX_CONFIG in codes else codes[0] if codes else EX_OK
