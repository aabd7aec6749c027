"""Limits that a site signs: files in its folder, read once, checked for who signed and how long they hold, and hashed.

Owns the layers `device`, `site` and `patient`, and in which order all come. How they merge is `limits`; re-issued values are `overrides`.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from daemon.config import Config
from daemon.limits import Layer, LimitsInvalid, LimitValue
from daemon.overrides import SignedOverride, read_override, reissued
from daemon.site_files import REMEDY, LimitsFile, moment_of, read_limits_file, require_physician, require_two

PSEUDONYM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # it names a file


class _SiteFile(LimitsFile, frozen=True, kw_only=True):
    """limits.toml: what the site allows, from one moment to another."""

    valid_from_utc: str
    valid_to_utc: str
    one_d_licence: str | None = None


class _PatientFile(LimitsFile, frozen=True, kw_only=True):
    """patients/PSEUDONYM.toml: what one patient is allowed."""

    patient: str


class SiteLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a site's files say for one patient: layers before and after the protocol's, and overrides in force.

    `files`: every file that was looked for, with the SHA-256 of its bytes, None where there was none. `valid_to`: when the first of
    them ceases to hold. `refused_overrides`: files that override nothing, each with its reason.
    """

    site: tuple[Layer, ...]
    patient: tuple[Layer, ...]
    overrides: tuple[SignedOverride, ...]
    files: Mapping[Path, str | None]
    valid_to: datetime | None
    refused_overrides: tuple[str, ...] = ()

    def layers(self, protocol: Layer) -> tuple[Layer, ...]:
        """All in order, with overrides in the place of what they re-issue. Raises LimitsInvalid."""
        given = (*self.site, reissued(protocol, self.overrides), *(reissued(layer, self.overrides) for layer in self.patient))
        return tuple(layer for layer in given if layer.limits or layer.signed)

    def changed(self, now: datetime | None = None) -> tuple[str, ...]:
        """Files that are no longer what was read, or hold no longer: nothing may be armed on them."""
        moment = datetime.now(UTC) if now is None else now
        changed = [str(path) for path, sha256 in self.files.items() if _sha256_of(path) != sha256]
        if self.valid_to is not None and moment >= self.valid_to:
            changed.append(f"valid until {self.valid_to.isoformat()}")
        return tuple(changed)


def site_limits(config: Config, patient: str, now: datetime | None = None) -> SiteLimits:
    """Everything that the site's files say for this patient; "" for nobody. Raises LimitsInvalid; an unsound file is never passed over."""
    moment = datetime.now(UTC) if now is None else now
    folder = config.site.folder
    if folder is None:
        return SiteLimits(site=(_device_layer(config), _chair_layer(config)), patient=(), overrides=(), files={}, valid_to=None)
    if patient and not PSEUDONYM.fullmatch(patient):
        raise LimitsInvalid(f"{patient!r} cannot name a file", "patient", "Use letters, digits, dot, - and _ in pseudonyms.")
    for name in config.site.required:
        if not (folder / name).is_file():
            raise LimitsInvalid(f"[site].required names {name}, which is missing", str(folder), "Put it back, signed.")
    site_path, patient_path = folder / "limits.toml", folder / "patients" / f"{patient}.toml"
    site = _site_layer(site_path, moment) if site_path.exists() else None
    own = _patient_layer(patient_path, patient) if patient and patient_path.exists() else None
    overrides, refused = _overrides(folder / "overrides", patient, moment)
    read = {site_path: None if site is None else site[0].sha256, patient_path: None if own is None else own.sha256}
    ends = [each.valid_to for each in overrides] + ([] if site is None else [site[1]])
    return SiteLimits(
        site=(_device_layer(config), *(() if site is None else (site[0],)), _chair_layer(config)),
        patient=() if own is None else (own,),
        overrides=overrides,
        files=read | {each.path: each.override.sha256 for each in overrides},
        valid_to=min(ends, default=None),
        refused_overrides=refused,
    )


def _device_layer(config: Config) -> Layer:
    """What this chair's stimulator is held to; its driver has these limits too."""
    stimulator = config.stimulator
    return _plain_layer("device", {"max_set_point_mso": stimulator.max_amplitude_pct_mso, "max_coil_temp_c": stimulator.stop_temp_c})


def _chair_layer(config: Config) -> Layer:
    """[limits] of the chair's file, which stands after the site's own."""
    return _plain_layer("site", {name: value for name, value in msgspec.structs.asdict(config.limits).items() if value is not None})


def _plain_layer(name: str, limits: Mapping[str, LimitValue]) -> Layer:
    return Layer(name=name, limits=limits, sha256=hashlib.sha256(msgspec.json.encode(limits, order="sorted")).hexdigest())


def _site_layer(path: Path, now: datetime) -> tuple[Layer, datetime]:
    """The layer, and until when it holds."""
    signed, given = read_limits_file(path, _SiteFile)
    require_two(path, signed)
    valid_from = moment_of(path, "valid_from_utc", given.valid_from_utc)
    valid_to = moment_of(path, "valid_to_utc", given.valid_to_utc)
    if not valid_from <= now < valid_to:
        what = f"it holds from {given.valid_from_utc} to {given.valid_to_utc}, not now"
        raise LimitsInvalid(what, str(path), "Have new limits signed.")
    if given.one_d_licence is not None and not given.one_d_licence.strip():
        raise LimitsInvalid("one_d_licence is empty", str(path), REMEDY)
    layer = Layer(name="site", limits=given.limits, sha256=signed.sha256, signed=True, one_d_licence=given.one_d_licence)
    return layer, valid_to


def _patient_layer(path: Path, patient: str) -> Layer:
    signed, given = read_limits_file(path, _PatientFile)
    require_physician(path, signed)
    if given.patient != patient:
        raise LimitsInvalid(f"it is {given.patient}'s, not {patient}'s", str(path), "Name the file as its patient.")
    return Layer(name="patient", limits=given.limits, sha256=signed.sha256, signed=True)


def _overrides(folder: Path, patient: str, now: datetime) -> tuple[tuple[SignedOverride, ...], tuple[str, ...]]:
    """This patient's at this moment, and why others do nothing: without an override the stricter value stands."""
    in_force, refused = [], []
    for path in sorted(folder.glob("*.toml")):
        try:
            override = read_override(path)
        except LimitsInvalid as error:
            refused.append(str(error))
            continue
        if override.patient == patient and override.is_in_force(now):
            in_force.append(override)
        elif override.patient == patient:
            refused.append(f"{path}: it is in force from {override.valid_from.isoformat()} to {override.valid_to.isoformat()}, not now")
    return tuple(in_force), tuple(refused)


def _sha256_of(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
