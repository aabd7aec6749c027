"""People who answer for something: when two names are one person's, and the roles in which limits are signed."""

from collections.abc import Iterable
from typing import Final

PHYSICIAN: Final = "physician"
ADMINISTRATOR: Final = "site administrator"


def person(name: str) -> str:
    """The name as it is compared: neither case nor spacing makes another person."""
    return " ".join(name.casefold().split())


def are_named(names: Iterable[str]) -> bool:
    """At least one, and none of them blank."""
    people = [person(name) for name in names]
    return bool(people) and all(people)


def are_two(names: Iterable[str]) -> bool:
    """At least two different people, and no blank among them."""
    people = [person(name) for name in names]
    return all(people) and len(set(people)) >= 2
