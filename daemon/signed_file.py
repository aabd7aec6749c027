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

BLOCK = "[[signatures]]"


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
        return tuple({_person(signature.name): signature.name for signature in self.signatures}.values())

    def roles(self) -> frozenset[str]:
        return frozenset(signature.role for signature in self.signatures)


def read_signed(path: Path) -> SignedFile:
    """The file, once every signature in it holds. Raises SignatureError; a file without a signature is refused."""
    content = _read(path)
    figures_text, _ = _split(content, path)
    table = _parse(content, path)
    given = table.pop("signatures", [])
    try:
        signatures = msgspec.convert(given, tuple[Signature, ...])
    except msgspec.ValidationError as error:
        raise SignatureError(f"a signature is malformed ({error})", str(path), "Sign it again with `atmsd sign`.") from error
    if not signatures:
        raise SignatureError("nobody has signed it", str(path), "Have it checked, then sign it with `atmsd sign`.")
    faults = _faults(signatures, _sha256(figures_text))
    if faults:
        raise SignatureError("; ".join(faults), str(path), "Have the figures checked, remove the old signatures and sign again.")
    return SignedFile(figures=table, signatures=signatures, sha256=_sha256(content))


def sign(path: Path, *, name: str, role: str, meaning: str, signed_utc: str) -> Signature:
    """Adds a person's signature to the figures as they stand. Raises SignatureError."""
    content = _read(path)
    figures_text, rest = _split(content, path)
    _parse(content, path)
    signature = Signature(name=name, role=role, signed_utc=signed_utc, meaning=meaning, content_sha256=_sha256(figures_text))
    if faults := _faults((signature,), signature.content_sha256):
        raise SignatureError("; ".join(faults), str(path), "Name who signs, in which role, what it means, and when.")
    lines = [f"{key} = {_toml_string(value)}" for key, value in msgspec.structs.asdict(signature).items()]
    block = "\n".join([BLOCK, *lines, ""]).encode()
    separator = b"" if figures_text.endswith(b"\n") or not figures_text else b"\n"
    if separator and not rest:  # the figures' bytes are what is signed: complete their last line first
        figures_text += separator
        block = block.replace(signature.content_sha256.encode(), _sha256(figures_text).encode())
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("wb") as file:
        file.write(figures_text + rest + (b"\n" if rest else b"") + block)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return read_signed(path).signatures[-1]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SignatureError(f"cannot be read ({error.strerror})", str(path), "Check that the file is there and may be read.") from error


def _split(content: bytes, path: Path) -> tuple[bytes, bytes]:
    """The figures' bytes and the signatures' bytes; nothing may follow the signatures."""
    found = re.search(rb"^\[\[signatures\]\]", content, re.MULTILINE)
    if found is None:
        return content, b""
    rest = content[found.start() :]
    if any(line.startswith(b"[") and line.strip() != BLOCK.encode() for line in rest.splitlines()):
        raise SignatureError("figures follow the signatures", str(path), "Move every figure above the first signature.")
    return content[: found.start()], rest


def _parse(content: bytes, path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
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


def _person(name: str) -> str:
    return " ".join(name.casefold().split())


def _toml_string(text: str) -> str:
    """A basic string: JSON's escapes are TOML's too."""
    return msgspec.json.encode(text).decode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
