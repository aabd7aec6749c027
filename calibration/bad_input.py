"""The one shape of a refusal of a file or of a number out of one: a fixed code, and what, where and what to do for people."""

from collections.abc import Mapping


class BadInput(Exception):
    """Input that must not be used. Subclasses say which kind; `details` hold the numbers behind the words."""

    def __init__(self, code: str, what: str, where: str, remedy: str, details: Mapping[str, float | str] | None = None) -> None:
        super().__init__(f"{where}: {what}. {remedy}")
        self.code, self.what, self.where, self.remedy = code, what, where, remedy
        self.details: Mapping[str, float | str] = dict(details or {})
