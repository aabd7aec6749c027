"""What goes wrong with protocols, courses and safety tables, one class for each thing a caller treats differently."""


class ProtocolError(Exception):
    """A protocol cannot be used: what is wrong, where, and what to do."""

    def __init__(self, what: str, where: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}. {remedy}")
        self.what, self.where, self.remedy = what, where, remedy


class UnknownProtocol(ProtocolError):
    """No file holds a protocol (or course) of that id."""


class BadProtocol(ProtocolError):
    """The file is there and its figures are malformed, contradict themselves, or are not signed as they must be."""


class NotUsable(ProtocolError):
    """The figures are sound, and this site, coil or stimulator may not start them."""
