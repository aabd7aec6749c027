"""Motor thresholds for tests: a record, and a hunt driven by a simulated muscle through its events."""

import msgspec

from calibration.motor_threshold import Method
from daemon.mt_hunt import advance, begin
from daemon.mt_values import Evidence, MotorThresholdRecord
from daemon.mt_words import Action, AskPulse, Event, HotspotFound, Hunt, Phase, PulseGiven, PulseWanted, Seen, Setup
from tests.muscles import Muscle

S = 1_000_000_000
MEASURED_US = 1_777_881_600_000_000  # 2026-05-04T08:00:00Z


def record(**changes: object) -> MotorThresholdRecord:
    """A threshold of 50 %, measured by A."""
    fields: dict[str, object] = {
        "patient": "P001",
        "value_mso": 50.0,
        "method": Method.PEST,
        "n_pulses": 18,
        "interval_mso": (47.0, 53.0),
        "evidence": Evidence.EMG,
        "muscle": "APB",
        "side": "right",
        "coil_serial": "C-1",
        "device": "magventure 1",
        "operator": "A",
        "measured_utc_us": MEASURED_US,
    }
    return MotorThresholdRecord(**(fields | changes))  # type: ignore[arg-type]  # each test gives what it changes


def setup(**changes: object) -> Setup:
    """A hunt by EMG, 5 s apart at least."""
    fields: dict[str, object] = {
        "patient": "P001",
        "operator": "A",
        "method": Method.PEST,
        "evidence": Evidence.EMG,
        "muscle": "APB",
        "side": "right",
        "device": "magventure 1",
        "coil_serial": "C-1",
        "planned_pulses": 150,
        "min_interval_ns": 5 * S,
        "seed": 7,
    }
    return Setup(**(fields | changes))  # type: ignore[arg-type]  # each test gives what it changes


class Chair:
    """A hunt and its clock. Every event goes through `tell`; what the machine asked for last is in `actions`."""

    def __init__(self, **changes: object) -> None:
        self.now_ns = 1000 * S
        self.state: Hunt = begin(setup(**changes), self.now_ns)
        self.actions: tuple[Action, ...] = ()
        self.asked: list[AskPulse] = []
        self.given_ns: list[int] = []

    def tell(self, event: Event) -> tuple[Action, ...]:
        self.state, self.actions = advance(self.state, event, self.now_ns)
        self.asked += [action for action in self.actions if isinstance(action, AskPulse)]
        return self.actions

    def give(self, seen: Seen) -> tuple[Action, ...]:
        """The pulse asked for last, at the first moment that it may be given."""
        ask = self.asked[-1]
        self.now_ns = max(self.now_ns, ask.not_before_ns)
        self.given_ns.append(self.now_ns)
        return self.tell(PulseGiven(number=ask.number, at_ns=self.now_ns, seen=seen))

    def pulse(self, amplitude_mso: int, seen: Seen) -> None:
        """One pulse of the search for the hotspot."""
        self.tell(PulseWanted(amplitude_mso=amplitude_mso))
        self.give(seen)

    def hotspot(self, amplitude_mso: int = 50) -> None:
        """A hotspot that answers at once, and the hunt's first pulse asked for."""
        self.pulse(amplitude_mso, Seen.RESPONSE)
        self.tell(HotspotFound())

    def hunt(self, responds: Muscle) -> None:
        """Answers every pulse of the hunt by the muscle."""
        while self.state.phase is Phase.HUNT:
            self.give(Seen.RESPONSE if responds(self.asked[-1].amplitude_mso) else Seen.NONE)


replace = msgspec.structs.replace
