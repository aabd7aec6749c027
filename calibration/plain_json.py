"""JSON of strangers as plain values: bounded in size, no name twice in an object. NaN passes and is judged where it is used."""

import json
from typing import Any, Final, cast

MOST_BYTES: Final = 2**23  # parsed, hostile text takes some forty times its size


class JsonError(ValueError):
    """Text that is no usable JSON; the message says why."""


def parse_json(text: str) -> object:
    """The value. Raises JsonError for what is malformed, too large, too deep, or names a member twice."""
    if len(text) > MOST_BYTES:
        raise JsonError(f"it is longer than {MOST_BYTES >> 20} MB")
    try:
        return cast(object, json.loads(text, object_pairs_hook=_once_each))
    except RecursionError as error:
        raise JsonError("its values lie too deep in each other") from error
    except JsonError:
        raise
    except ValueError as error:
        raise JsonError(f"malformed: {error}") from error


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in members if names.count(name) > 1)
        raise JsonError(f"{twice[:40]!r} is named twice in one object")
    return members
