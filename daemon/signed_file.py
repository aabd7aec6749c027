"""TOML files that people answer for: figures, and beside them who signed exactly these figures, in which role, and when.

Owns reading, checking and adding signatures. What the figures mean, and how many must sign, is the caller's.
"""

import hashlib
import os
import re
import tomllib
from datetime import datetime
from pathlib import Path

import msgspec

from daemon.people import person

BLOCK = "[[signatures]]"
_FIRST_BLOCK = re.compile(rb"^\[\[signatures\]\]", re.MULTILINE)


class SignatureError(Exception):
    """A file that nobody answers for as it stands: what is wrong, where, what to do."""

    def __init__(self, what: str, where: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}. {remedy}")
        self.what, self.where, self.remedy = what, where, remedy


class Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One person's word for the figures; `content_sha256` is that of the file's text above the first signature."""

    name: str
    role: str
    signed_utc: str
    meaning: str
    content_sha256: str


class SignedFile(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says, who signed it, and the SHA-256 of all its bytes."""

    figures: dict[str, object]
    signatures: tuple[Signature, ...]
    sha256: str

    def signers(self) -> tuple[str, ...]:
        """Different people, by name."""
        return tuple({person(signature.name): signature.name for signature in self.signatures}.values())

    def roles(self) -> frozenset[str]:
        return frozenset(signature.role for signature in self.signatures)


def read_signed(path: Path) -> SignedFile:
    """The file, once every signature in it holds. Raises SignatureError; a file without a signature is refused."""
    content = _read(path)
    figures_text, signatures_text = _split(content)
    figures, signatures = _figures(figures_text, path), _signatures(signatures_text, path)
    if not signatures:
        raise SignatureError("nobody has signed it", str(path), "Have it checked, then sign it with `atmsd sign`.")
    if faults := _faults(signatures, _sha256(figures_text)):
        raise SignatureError("; ".join(faults), str(path), "Have the figures checked, remove the old signatures and sign again.")
    return SignedFile(figures=figures, signatures=signatures, sha256=_sha256(content))


def figures_of(path: Path) -> str:
    """The figures' text, signed or not, for a person to read. Raises SignatureError."""
    text, _ = _split(_read(path))
    _figures(text, path)
    return text.decode("utf-8")


def signatures_of(path: Path) -> tuple[Signature, ...]:
    """Who has signed so far, whether it holds or not. Raises SignatureError."""
    return _signatures(_split(_read(path))[1], path)


def sign(path: Path, *, name: str, role: str, meaning: str, signed_utc: str) -> Signature:
    """Adds a person's signature to the figures as they stand. Raises SignatureError, and then the file is as it was."""
    figures_text, signatures_text = _split(_read(path))
    _figures(figures_text, path)
    before = _signatures(signatures_text, path)
    if not before and not figures_text.endswith(b"\n"):
        figures_text += b"\n"
    signature = Signature(name=name, role=role, signed_utc=signed_utc, meaning=meaning, content_sha256=_sha256(figures_text))
    faults = _faults((*before, signature), signature.content_sha256)
    if any((person(each.name), each.role) == (person(name), role) for each in before):
        faults.append(f"{name} has signed it as {role} already")
    if faults:
        raise SignatureError("; ".join(faults), str(path), "See who signed what, remove signatures that do not hold, then sign.")
    block = "\n".join([BLOCK, *(f"{key} = {_toml_string(value)}" for key, value in msgspec.structs.asdict(signature).items()), ""])
    _replace(path, figures_text + signatures_text + (b"\n" if signatures_text else b"") + block.encode())
    return signature


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SignatureError(f"cannot be read ({error.strerror})", str(path), "Check that the file is there and may be read.") from error


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.new")
    try:
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(path.stat().st_mode)
        fresh.replace(path)
    except OSError as error:
        raise SignatureError(f"cannot be written ({error.strerror})", str(path), "Check the disk and the folder's rights.") from error


def _split(content: bytes) -> tuple[bytes, bytes]:
    """The figures' bytes, which are what is signed, and the signatures' bytes."""
    found = _FIRST_BLOCK.search(content)
    return (content, b"") if found is None else (content[: found.start()], content[found.start() :])


def _figures(text: bytes, path: Path) -> dict[str, object]:
    """From the signed bytes alone: nothing that stands below them can be a figure."""
    table = _parse(text, path)
    if "signatures" in table:
        raise SignatureError("signatures stand among the figures", str(path), f"Write each below the figures, as {BLOCK}.")
    return table


def _signatures(text: bytes, path: Path) -> tuple[Signature, ...]:
    table = _parse(text, path)
    if table.keys() - {"signatures"}:
        raise SignatureError("figures follow the signatures", str(path), "Move every figure above the first signature.")
    try:
        return msgspec.convert(table.get("signatures", []), tuple[Signature, ...])
    except msgspec.ValidationError as error:
        raise SignatureError(f"a signature is malformed ({error})", str(path), "Sign it again with `atmsd sign`.") from error


def _parse(content: bytes, path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SignatureError(f"it is not TOML ({error})", str(path), "Correct the file.") from error


def _faults(signatures: tuple[Signature, ...], content_sha256: str) -> list[str]:
    faults = []
    for signature in signatures:
        if not all(text.strip() for text in (signature.name, signature.role, signature.meaning)):
            faults.append("a signature lacks name, role or meaning")
        if not _is_moment(signature.signed_utc):
            faults.append(f"{signature.signed_utc!r} is no moment with its zone")
        if signature.content_sha256 != content_sha256:
            faults.append(f"the figures were changed after {signature.name} signed them")
    return faults


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _toml_string(text: str) -> str:
    """A basic string: JSON's escapes are TOML's too, but for DEL, which TOML wants escaped."""
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
