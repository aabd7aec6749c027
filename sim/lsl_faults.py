"""What can go wrong with a simulated trigger box and its network, as switches to turn at run time; none is on unless asked for."""

from dataclasses import dataclass


@dataclass(slots=True)
class BoxFaults:
    """Each switch acts from the moment it is set, from any thread."""

    # the network
    silent: bool = False  # obeys, says nothing
    deaf: bool = False  # hears nothing
    late_ms: float = 0.0  # everything it says comes so much later
    wrong_check: bool = False
    drop_receipts: int = 0  # every so many-th receipt is lost; 1 loses all
    double_receipts: bool = False
    double_statuses: bool = False
    # the box
    ignores_stop_ms: float = 0.0  # counted from the first stop heard since it was set
    ignores_set: bool = False
    ignores_arm: bool = False
    ignores_fire: bool = False
    never_ready: bool = False
    stuck_armed: bool = False  # no stop disarms it, nor its own time-out
    extra_pulses: int = 0  # bursts more than asked for, or fewer
    rate_factor: float = 1.0  # of the train's own rate
    answers_as: int = 0  # another serial number than its own
    # what it does not report
    no_amplitude: bool = False
    no_coil: bool = False
    no_temperature: bool = False
    no_count: bool = False
    fault: str = ""  # it reports this fault
    # the coil
    heating_c_per_s: float = 0.0
    reports_c: int | None = None  # a broken sensor
