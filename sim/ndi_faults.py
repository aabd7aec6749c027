"""What can be made to go wrong with the simulated camera while it runs. Without a fault asked for, nothing does."""

from dataclasses import dataclass, field, fields


@dataclass(slots=True)
class CameraFaults:
    """Switches that any thread may set at any time.

    Tools go by the name of their body in the room (a stranger's tool: its part number), `*` is every tool. Numbers of times count
    down to 0 as they are used; everything else lasts until it is taken back.
    """

    # what is seen
    missing: set[str] = field(default_factory=set)
    hidden_markers: dict[str, int] = field(default_factory=dict)  # tool -> markers that are covered
    out_of_volume: set[str] = field(default_factory=set)  # a pose flagged so, or missing for who did not ask for such
    partly_out_of_volume: set[str] = field(default_factory=set)
    bad_fit: set[str] = field(default_factory=set)  # markers are seen, but fit no tool
    outliers: float = 0.0  # share of poses that are 5 to 30 mm off, with nothing to show it
    unplug: set[str] = field(default_factory=set)  # their handles lose them once; the name is then taken out

    # what the camera says
    system_status: int = 0  # these bits are set in every tracking reply
    bumps: int = 0  # so many times the camera finds that it was bumped
    averaged: bool = False  # BX2 says that poses are averaged over frames
    errors: dict[str, int] = field(default_factory=dict)  # command name -> error code it is answered with

    # its frames
    frozen: bool = False  # the same frame is given again and again
    skip_frames: int = 0  # so many frames never become readable (taken all at once)
    jump_frames: int = 0  # frame numbers jump by so many, also backwards (taken all at once)
    drop: float = 0.0  # share of frames that never become readable
    repeat: float = 0.0  # share of frames in whose place the one before is given
    drift_ppm: float = 0.0  # its clock is faster than it says

    # the camera itself
    restart: int = 0  # so many commands or pushed frames find the camera freshly powered up: RESET
    stop_tracking: int = 0  # so many commands find that tracking has ended by itself

    # the line
    bad_crc: int = 0  # so many replies have a wrong checksum at the end
    bad_header: int = 0  # so many tracking replies have a wrong checksum in their head
    silent: bool = False  # commands are carried out, their replies lost
    dumb_streams: bool = False  # a stream is granted, and nothing pushed
    delay_ms: float = 0.0  # replies are so late
    hold_ms: float = 0.0  # once: what leaves within so long comes all together at its end, a backlog (taken all at once)
    dribble: bool = False  # replies come byte by byte
    close: int = 0  # so many commands or pushed frames end their connection
    strict_line: bool = False  # a serial line's speed counts: nothing is heard at another, and bytes take their time

    held_until_ns: int = 0  # the memory of `hold_ms`, no switch

    def takes(self, name: str) -> bool:
        """Use one of a counted fault."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0

    def takes_all(self, name: str) -> int | float:
        """Use a fault up and return how much it was."""
        left: int | float = getattr(self, name)
        setattr(self, name, type(left)())
        return left


def switch(faults: CameraFaults, text: str) -> None:
    """Turn one switch by `name` or `name=value`: tools with commas, `tool:count` and `command:code` pairs, numbers, on or off.

    Nothing behind the equals sign takes a fault back. Raises ValueError for a name or value that there is not.
    """
    name, equals, value = text.partition("=")
    fresh = CameraFaults()
    known = [each.name for each in fields(CameraFaults) if each.name != "held_until_ns"]
    if name not in known:
        raise ValueError(f"there is no fault {name!r}; one of {', '.join(known)}")
    rest = getattr(fresh, name)
    try:
        setattr(faults, name, _value(rest, value, is_given=bool(equals)))
    except ValueError:
        raise ValueError(f"the fault {name!r} takes no {value!r}") from None


def _value(rest: object, value: str, *, is_given: bool) -> object:
    """A value of the kind that `rest` has."""
    if isinstance(rest, set):
        return set(value.split(",")) - {""} if is_given else {"*"}
    if isinstance(rest, dict):
        pairs = [pair.partition(":") for pair in value.split(",") if pair]
        return {key: int(number, 16) for key, _, number in pairs}
    if isinstance(rest, bool):
        if value not in ("", "on", "off"):
            raise ValueError(value)
        return value == "on" or not is_given
    kind = float if isinstance(rest, float) else int
    return kind(value) if value else rest if is_given else kind(1)
