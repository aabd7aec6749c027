"""Got against wanted: numbers within a tolerance, None only with None, lists and objects part by part."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np


def difference(key: str, got: Any, wanted: Any, tolerance: float, *, relative: bool = False) -> str | None:
    """One line about the first part of `key` that is not as wanted, None if all is. `tolerance` is absolute unless `relative`."""
    plain = _plain(got)
    for path, part_got, part_wanted in _parts(key, plain, wanted):
        if not _is_equal(part_got, part_wanted, tolerance, relative):
            return f"{path}: got {part_got!r}, wanted {part_wanted!r}"
    return None


def unknown_keys(found: Any, known: frozenset[str], what: str) -> list[str]:
    """A line for each key of an object that is not known; informative keys are."""
    return [f"{what} {key!r} is not known" for key in found if key not in known and not is_information(key)]


def is_information(key: str) -> bool:
    """Keys that say how a case was made, and are compared with nothing."""
    return key.startswith(("true_", "naive_"))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


def _parts(path: str, got: Any, wanted: Any) -> Iterator[tuple[str, Any, Any]]:
    """Pairs of numbers, texts, truths and Nones; where the shapes differ, the whole."""
    if isinstance(wanted, list) and isinstance(got, list) and len(got) == len(wanted):
        for index, part in enumerate(wanted):
            yield from _parts(f"{path}[{index}]", got[index], part)
    elif isinstance(wanted, dict) and isinstance(got, dict) and wanted.keys() <= got.keys():
        for key, part in wanted.items():
            yield from _parts(f"{path}.{key}", got[key], part)
    else:
        yield path, got, wanted


def _is_equal(got: Any, wanted: Any, tolerance: float, relative: bool) -> bool:
    if not (_is_number(got) and _is_number(wanted)):
        return type(got) is type(wanted) and bool(got == wanted)
    return bool(abs(got - wanted) <= tolerance * (abs(wanted) if relative else 1.0))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
