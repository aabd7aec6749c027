"""What the chair's file says of LSL beside its devices: markers out, and one stream of requests in."""

from daemon.sections import Section


class LslSection(Section, frozen=True, kw_only=True):
    """`events`: pulses, trains and steps are told as markers of `atmsd.events`. `requests`: name of the one marker stream that may ask
    for a train or pulse, which then passes everything that an operator's start passes; without it none may.
    """

    events: bool = False
    requests: str | None = None
