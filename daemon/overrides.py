"""Overrides: a protocol's or a patient's layer of limits issued anew by two people, for one patient and until a moment.

There is no other way past a refusal. What an override says is still merged under every layer before its own, so that it can go as far as
the site and the product allow and not a step further. Owns the files and the new issue; merging is `limits`.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from daemon.limits import Layer, LimitsInvalid, LimitValue, Override
from daemon.site_files import REMEDY, LimitsFile, moment_of, read_limits_file, require_two


class _OverrideFile(LimitsFile, frozen=True, kw_only=True):
    """overrides/NAME.toml. `reissues`: SHA-256 of the very layer whose values are replaced."""

    patient: str
    layer: Literal["protocol", "patient"]
    reissues: str
    valid_from_utc: str
    valid_to_utc: str


class SignedOverride(msgspec.Struct, frozen=True, kw_only=True):
    """An override as it was signed, and when it is in force."""

    override: Override
    path: Path
    patient: str
    reissues: str
    valid_from: datetime
    valid_to: datetime

    def is_in_force(self, now: datetime) -> bool:
        return self.valid_from <= now < self.valid_to


def read_override(path: Path) -> SignedOverride:
    """Raises LimitsInvalid: also a file that is for another patient or out of date must be sound."""
    signed, given = read_limits_file(path, _OverrideFile)
    require_two(path, signed)
    if not given.limits:
        raise LimitsInvalid("it re-issues no limit", str(path), REMEDY)
    override = Override(
        name=path.stem,
        layer=given.layer,
        limits=given.limits,
        reason=given.reason,
        by=signed.signers(),
        until_utc=given.valid_to_utc,
        sha256=signed.sha256,
    )
    return SignedOverride(
        override=override,
        path=path,
        patient=given.patient,
        reissues=given.reissues,
        valid_from=moment_of(path, "valid_from_utc", given.valid_from_utc),
        valid_to=moment_of(path, "valid_to_utc", given.valid_to_utc),
    )


def reissued(layer: Layer, overrides: Sequence[SignedOverride]) -> Layer:
    """The layer with the values of the overrides that are of it in the place of its own. Raises LimitsInvalid.

    One that was written for another version of the layer is not of it. A value that the layer does not set cannot be replaced, and
    two overrides cannot replace the same one.
    """
    values: dict[str, LimitValue] = dict(layer.limits)
    replaced: dict[str, Path] = {}
    ours = [each for each in overrides if each.override.layer == layer.name and each.reissues == layer.sha256]
    for each in ours:
        for key, value in each.override.limits.items():
            if key not in layer.limits:
                raise LimitsInvalid(f"{key} is not set by the {layer.name} layer that it re-issues", str(each.path), REMEDY)
            if key in replaced:
                raise LimitsInvalid(f"{key} is re-issued by {replaced[key].name} too", str(each.path), "Withdraw one of the two.")
            values[key], replaced[key] = value, each.path
    if not ours:
        return layer
    sha256 = hashlib.sha256("".join((layer.sha256, *(each.override.sha256 for each in ours))).encode()).hexdigest()
    return msgspec.structs.replace(layer, limits=values, sha256=sha256, overrides=tuple(each.override for each in ours))
