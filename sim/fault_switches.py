"""A simulated device's faults as words on a command line: `name` or `name=value` turns one switch of a dataclass of plain fields."""

from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def switch(faults: "DataclassInstance", text: str) -> None:
    """Turn one switch; a missing value means on. Raises ValueError for a name or value that there is not."""
    name, _, value = text.partition("=")
    known = {field.name: field for field in fields(faults)}
    if name not in known:
        raise ValueError(f"there is no fault {name!r}; one of {', '.join(known)}")
    try:
        setattr(faults, name, _value(known[name].default, value))
    except ValueError:
        raise ValueError(f"the fault {name!r} takes no {value!r}") from None


def _value(default: object, value: str) -> object:
    if isinstance(default, bool):
        return {"": True, "on": True, "off": False}[value] if value in ("", "on", "off") else _refuse(value)
    if isinstance(default, str):
        return value
    return float(value) if isinstance(default, float) else int(value)


def _refuse(value: str) -> object:
    raise ValueError(value)
