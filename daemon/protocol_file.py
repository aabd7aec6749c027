"""TOML files of protocols, courses and tables: read once, hashed, every fault at once; each figure with its mark and its source.

Owns the form. What the figures mean is `protocol`, `course` and `safety_tables`.
"""

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from daemon.people import PHYSICIAN
from daemon.protocol_errors import BadProtocol
from daemon.signed_file import SignatureError, read_signed

MAX_FILE_BYTES = 2**18
CORRECT = "Correct the file; the shipped ones show every field."

Fields = TypeVar("Fields", bound=msgspec.Struct)


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where figures come from. `fields` names those in the file that rest on it; none: a remark.

    `memory`: recalled from the literature and confirmed by nobody yet.
    """

    figure: str
    mark: Literal["verified", "memory", "design", "computed"]
    source: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one file says; `signed_by` is empty for a shipped file."""

    path: Path
    table: Mapping[str, object]
    sha256: str
    signed_by: tuple[str, ...] = ()


def read_shipped(path: Path) -> Figures:
    """A file that ships with atmsd. Raises BadProtocol."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadProtocol("it is far too long", str(path), CORRECT)
        content = path.read_bytes()
        table = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise BadProtocol(f"cannot be read ({error.strerror})", str(path), "Check that the file is there and may be read.") from error
    except (ValueError, RecursionError) as error:
        raise BadProtocol(f"it is not TOML ({error})", str(path), CORRECT) from error
    return Figures(path=path, table=table, sha256=hashlib.sha256(content).hexdigest())


def read_of_site(path: Path, *, roles: int = 1) -> Figures:
    """A file that the site signs: by a physician, and by so many different people in so many roles. Raises BadProtocol."""
    try:
        signed = read_signed(path)
    except SignatureError as error:
        raise BadProtocol(error.what, error.where, error.remedy) from error
    if PHYSICIAN not in signed.roles():
        raise BadProtocol(f"no {PHYSICIAN} has signed it", str(path), f"Have it signed in the role of {PHYSICIAN!r} with `atmsd sign`.")
    if len(signed.roles()) < roles or len(signed.signers()) < roles:
        remedy = "Have it signed by different people in different roles with `atmsd sign`."
        raise BadProtocol(f"it needs {roles} people in {roles} roles", str(path), remedy)
    return Figures(path=path, table=signed.figures, sha256=signed.sha256, signed_by=signed.signers())


def parsed(table: Mapping[str, object], kind: type[Fields], faults: list[str], at: str = "") -> Fields | None:
    """The table as `kind`, or None with a fault added for each unknown, missing or malformed field."""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    found = [f"{at}{name}: unknown field" for name in table if name not in fields]
    for name, field in fields.items():
        if name not in table:
            found += [f"{at}{name}: missing"] if field.required else []
            continue
        try:
            msgspec.convert(table[name], field.type)
        except msgspec.ValidationError as error:
            found.append(f"{at}{name}: {error}")
    faults += found
    return None if found else msgspec.convert(table, kind)


def required(figures: Figures, kind: type[Fields]) -> Fields:
    """The whole file as `kind`. Raises BadProtocol with a fault for each unknown, missing or malformed field."""
    faults: list[str] = []
    fields = parsed(figures.table, kind, faults)
    if fields is None:
        raise BadProtocol("; ".join(faults), str(figures.path), CORRECT)
    return fields


def blocks(figures: Figures, name: str) -> list[dict[str, object]]:
    """The [[name]] blocks of a file that holds nothing else. Raises BadProtocol."""
    given = figures.table.get(name)
    if figures.table.keys() != {name} or not isinstance(given, list) or not all(isinstance(entry, dict) for entry in given):
        raise BadProtocol(f"it must hold [[{name}]] blocks and nothing else", str(figures.path), CORRECT)
    return given


def refuse(faults: Iterable[str], path: Path) -> None:
    """Raises BadProtocol when there is any fault, with all of them."""
    if text := "; ".join(faults):
        raise BadProtocol(text, str(path), CORRECT)


def source_faults(figures: Iterable[str], sources: Iterable[Source]) -> list[str]:
    """Figures without a source, and sources of figures that the file does not hold."""
    held, named = set(figures), {field for source in sources for field in source.fields}
    faults = [f"no source is named for {field}" for field in sorted(held - named)]
    return faults + [f"a source names {field!r}, which the file does not hold" for field in sorted(named - held)]


def on_memory(sources: Iterable[Source]) -> tuple[str, ...]:
    """Figures that a person has to confirm before anybody is treated with them."""
    return tuple(source.figure for source in sources if source.mark == "memory" and source.fields)
