"""What can be made to go wrong with the simulated camera while it runs. Without a fault asked for, nothing does."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class CameraFaults:
    """Switches that any thread may set at any time.

    Tools go by the name of their body in the room (a stranger's tool: its part number). Numbers count down to 0 as they are
    used; everything else lasts until it is taken back.
    """

    missing: set[str] = field(default_factory=set)
    out_of_volume: set[str] = field(default_factory=set)  # a pose flagged so, or missing for who did not ask for such
    partly_out_of_volume: set[str] = field(default_factory=set)
    unplug: set[str] = field(default_factory=set)  # their handles lose them once; the name is then taken out
    system_status: int = 0  # these bits are set in every tracking reply
    errors: dict[str, int] = field(default_factory=dict)  # command name -> error code it is answered with

    frozen: bool = False  # the same frame is given again and again
    skip_frames: int = 0  # so many frames never become readable (taken all at once)
    jump_frames: int = 0  # frame numbers jump by so many, also backwards (taken all at once)

    restart: int = 0  # so many commands find the camera freshly powered up, and are answered with RESET
    stop_tracking: int = 0  # so many commands find that tracking has ended by itself

    bad_crc: int = 0  # so many replies have a wrong checksum at the end
    bad_header: int = 0  # so many tracking replies have a wrong checksum in the binary header
    silent: bool = False  # commands are carried out, their replies lost
    delay_ms: float = 0.0  # replies are so late
    dribble: bool = False  # replies come byte by byte
    close: int = 0  # so many commands end their connection

    def takes(self, name: str) -> bool:
        """Use one of a counted fault."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0

    def takes_all(self, name: str) -> int:
        """Use a counted fault up and return how much it was."""
        left: int = getattr(self, name)
        setattr(self, name, 0)
        return left
