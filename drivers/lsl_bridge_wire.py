"""What a driver and the bridge process between it and LSL tell each other beside the markers that pass through. Pure."""

from typing import Annotated, Final

import msgspec

from drivers.lsl_marker_wire import frame, unframe

LANGUAGE: Final = "bridge/1"

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Ping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Count


class Pong(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bridge lives. `listened`: somebody takes our trigger stream; `status`, `receipts`: those streams of the box are connected.

    `rivals`: further streams of the same names: another host that a box could obey, or another box that could answer.
    """

    id: Count
    listened: bool
    status: bool
    receipts: bool
    rivals: Count


class Down(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bridge cannot work and ends."""

    why: Annotated[str, msgspec.Meta(max_length=400, pattern=r"\A[ -~]*\Z")]


Word = Ping | Pong | Down
WORDS: Final[dict[str, type[msgspec.Struct]]] = {"ping": Ping, "pong": Pong, "down": Down}
_VERBS: Final = {kind: verb for verb, kind in WORDS.items()}


def encode_word(word: Word) -> str:
    return frame(LANGUAGE, _VERBS[type(word)], word)


def decode_word(line: str) -> Word:
    """Raises WireError."""
    word: Word = unframe(line, LANGUAGE, WORDS)  # type: ignore[assignment]  # one of the kinds in the table
    return word
