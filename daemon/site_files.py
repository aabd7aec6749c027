"""One signed file of a site as values: who had to sign it, how long it holds, and that nothing in it is unknown.

What the figures mean is `limit_files` and `overrides`.
"""

from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from daemon.limits import LimitsInvalid, LimitValue
from daemon.people import ADMINISTRATOR, PHYSICIAN, are_two
from daemon.signed_file import SignatureError, SignedFile, read_signed

REMEDY: Final = "Correct it, then have it signed again with `atmsd sign`."


class LimitsFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every such file holds."""

    reason: str
    limits: dict[str, LimitValue]


Given = TypeVar("Given", bound=LimitsFile)


def read_limits_file(path: Path, kind: type[Given]) -> tuple[SignedFile, Given]:
    """The file as values, every signature in it checked. Raises LimitsInvalid; nothing unsound in it is passed over."""
    try:
        signed = read_signed(path)
        given = msgspec.convert(signed.figures, kind)
    except SignatureError as error:
        raise LimitsInvalid(error.what, error.where, error.remedy) from error
    except msgspec.ValidationError as error:
        raise LimitsInvalid(str(error), str(path), REMEDY) from error
    if not given.reason.strip():
        raise LimitsInvalid("it states no reason", str(path), REMEDY)
    return signed, given


def require_physician(path: Path, signed: SignedFile) -> None:
    """Raises LimitsInvalid."""
    if PHYSICIAN not in signed.roles():
        raise LimitsInvalid(f"nobody has signed it as {PHYSICIAN!r}", str(path), "Have it signed with `atmsd sign`.")


def require_two(path: Path, signed: SignedFile) -> None:
    """Two different people, one as physician, one as site administrator. Raises LimitsInvalid."""
    names = {role: [each.name for each in signed.signatures if each.role == role] for role in (PHYSICIAN, ADMINISTRATOR)}
    if not any(are_two((one, other)) for one in names[PHYSICIAN] for other in names[ADMINISTRATOR]):
        what = f"two different people have to sign it, one as {PHYSICIAN!r}, one as {ADMINISTRATOR!r}"
        raise LimitsInvalid(what, str(path), "Have it signed with `atmsd sign`.")


def moment_of(path: Path, key: str, text: str) -> datetime:
    """A moment with its zone. Raises LimitsInvalid."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise LimitsInvalid(f"{key} = {text!r} is no moment with its zone", str(path), "Write it such as 2026-01-31T12:00:00Z.")
    return moment
