"""How the simulated camera refuses a command."""


class Refusal(Exception):
    """An error code of the language."""

    def __init__(self, code: int) -> None:
        super().__init__(f"ERROR{code:02X}")
        self.code = code
