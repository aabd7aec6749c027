"""One-line text markers: how a message becomes a marker of LSL and back, and how markers are told apart in a stream of bytes. Pure.

A marker is `LANGUAGE VERB CHECK BODY`: a name with its version, a word, eight hexadecimal digits, and JSON. What the words mean is others'.
"""

import zlib
from collections.abc import Mapping
from typing import Final

import msgspec

from drivers.values import WireError

LONGEST: Final = 1024  # characters of one marker; the longest in use has about 500
WHERE: Final = "trigger box"


def frame(language: str, verb: str, body: msgspec.Struct) -> str:
    """The marker for one message. Its texts must be printable ASCII."""
    text = msgspec.json.encode(body).decode()
    return f"{language} {verb} {check(f'{verb} {text}')} {text}"


def check(content: str) -> str:
    """The check of `VERB BODY`, a space between: CRC-32 as of zlib and PNG (ISO 3309), eight lower-case digits."""
    return f"{zlib.crc32(content.encode('ascii')):08x}"


def unframe(marker: str, language: str, verbs: Mapping[str, type[msgspec.Struct]]) -> msgspec.Struct:
    """The message of one marker. Raises WireError for whatever is not exactly one of that language."""
    parts = marker.split(" ", 3)
    if len(marker) > LONGEST or not marker.isascii() or not marker.isprintable() or len(parts) != 4:
        raise WireError("this is no marker", WHERE, "See the language's description.")
    spoken, verb, digits, body = parts
    kind = verbs.get(verb)
    if spoken != language or kind is None:
        raise WireError(f"the marker says {spoken} {verb}, which is not {language}", WHERE, "Use one version on both sides.")
    if digits != check(f"{verb} {body}"):
        raise WireError(f"the check of a {verb} does not fit", WHERE, "It was damaged on its way, or made up wrongly.")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise WireError(f"the body of a {verb}: {error}", WHERE, "See the language's description.") from error
    except RecursionError as error:
        raise WireError(f"the body of a {verb} is nested too deeply", WHERE, "See the language's description.") from error


class LineReader:
    """Whole lines out of a stream of bytes, however it is cut. A line that is too long costs itself alone; `broken` counts those."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skips = False  # the line under way was too long already
        self.broken = 0

    def feed(self, data: bytes) -> list[str]:
        """The lines that end in these bytes, without their ends; bytes that are no ASCII are shown as `?`."""
        *whole, rest = data.split(b"\n")
        lines = [line for part in whole if (line := self._line(part)) is not None]
        self._keep(rest)
        return lines

    def _line(self, part: bytes) -> str | None:
        self._keep(part)
        line, skipped = bytes(self._rest), self._skips
        self._rest.clear()
        self._skips = False
        return None if skipped or not line else line.decode("ascii", "replace").replace("�", "?")

    def _keep(self, part: bytes) -> None:
        self._rest += part
        if len(self._rest) > LONGEST:
            self.broken += not self._skips
            self._skips = True
        if self._skips:
            self._rest.clear()
