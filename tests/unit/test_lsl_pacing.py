"""A trigger box that makes one burst or pulse of a marker, under the hot process's own rules: the host asks for each, and each counts."""

import itertools
from types import SimpleNamespace

import msgspec
import pytest

from daemon.firing import Firing
from daemon.gate import View
from daemon.ipc import Arm, ArmState, Grant, Receipt
from daemon.protocol_device import pacing_of
from daemon.purpose import Pacing
from daemon.stimulator_section import TriggerBoxSection
from drivers.values import TrainSettings
from tests.gate_views import BEAT, GOOD
from tests.lsl_box_line import COIL, MS, SLOW, TRAIN, BoxLine

S = 1_000 * MS


def section(model: str) -> TriggerBoxSection:
    table = {"kind": "lsl", "model": model, "coil_type": COIL, "box_serial": 7, "status_stream": "s", "receipt_stream": "r"}
    return msgspec.convert(table, TriggerBoxSection)


@pytest.mark.parametrize("is_plain", [True, False])
@pytest.mark.parametrize(("model", "pacing"), [("train", Pacing.TRAIN), ("burst", Pacing.BURST), ("pulse", Pacing.BURST)])
def test_only_a_box_that_times_trains_is_handed_whole_ones(model: str, pacing: Pacing, is_plain: bool) -> None:
    timing, config = SimpleNamespace(is_plain=is_plain), SimpleNamespace(stimulator=section(model))
    assert pacing_of(timing, config) is pacing  # type: ignore[arg-type]  # as far as the pacing depends on them


class Hot:
    """The hot process's rules over one simulated box, in simulated time."""

    def __init__(self, settings: TrainSettings, makes: str) -> None:
        self.line, self.settings = BoxLine(makes=makes), settings
        self.firing = Firing(self.line.driver, "run", lambda: (None, None))
        self.facts: list[object] = []
        self.firing.connected(self.line.now_ns)
        self.within(2000, lambda: self.firing.secured)
        self.firing.order_arm(Arm(arm_no=1, settings=settings, pacing=Pacing.BURST), self.line.now_ns)
        self.within(5000, lambda: self.firing.armed)

    def view(self) -> View:
        now_ns, firing = self.line.now_ns, self.firing
        own = {
            "exposed_ns": now_ns - 10 * MS,
            "registration_expires_ns": now_ns + S,
            "check_expires_ns": now_ns + S,
            "calibration_expires_ns": now_ns + S,
            "coil_type": COIL,
            "stim": firing.driver.report,
            "prepared": firing.driver.prepared,
            "secured": firing.secured,
            "disarm_failed": firing.disarm_failed,
            "armed": firing.armed,
            "beat": msgspec.structs.replace(BEAT, made_ns=now_ns),
            "supervisor_ns": now_ns,
            "grant": firing.grant,
            "last_pulse_ns": firing.last_pulse_ns,
        }
        return msgspec.structs.replace(GOOD, **own)

    def look(self) -> None:
        line = self.line
        line.now_ns = max(line.now_ns, min(self.firing.wake_ns, line.box.next_ns, line.now_ns + 5 * MS))
        line.driver.may_keep_alive(line.now_ns + 300 * MS)
        line.box.advance(line.now_ns)
        said = [*line.back(), *(marker for _, marker in line.box.take(line.now_ns))]
        if said:
            self.firing.feed("".join(f"{text}\n" for text in said).encode("ascii"), line.now_ns)
        self.firing.tick(self.view(), line.now_ns)
        out = self.firing.take()
        self.facts += out.facts
        for text in out.send.decode("ascii").splitlines():
            if text:
                line.carry(text)

    def within(self, ms: float, holds: object) -> None:
        end_ns = self.line.now_ns + round(ms * MS)
        while not holds():  # type: ignore[operator]
            assert self.line.now_ns < end_ns, self.facts[-5:]
            self.look()

    def give(self) -> Receipt:
        now_ns = self.line.now_ns
        grant = Grant(
            run_id="run",
            grant_no=1,
            arm_no=1,
            train=1,
            settings=self.settings,
            not_before_ns=now_ns,
            expires_ns=now_ns + 2 * S,
            gap_ns=0,
            wall_minus_mono_ns=5_000,
            pacing=Pacing.BURST,
        )
        self.firing.order_grant(grant, now_ns)
        self.within(20_000, lambda: any(isinstance(fact, Receipt) for fact in self.facts))
        return next(fact for fact in self.facts if isinstance(fact, Receipt))


@pytest.mark.parametrize("makes", ["burst", "pulse"])
def test_a_train_at_1_hz_is_given_marker_by_marker_and_confirmed_whole(makes: str) -> None:
    hot = Hot(SLOW, makes)
    receipt = hot.give()
    assert (receipt.pulses, receipt.confirmed, receipt.broken, receipt.why) == (SLOW.bursts, True, False, ())
    pulses_ns = hot.line.truth.pulses_ns
    assert len(pulses_ns) == SLOW.bursts
    assert all(later - earlier >= S for earlier, later in itertools.pairwise(pulses_ns))
    assert not any(isinstance(fact, ArmState) and fact.stopped for fact in hot.facts)


def test_a_rate_that_the_host_must_not_time_is_refused_when_the_chair_arms() -> None:
    with pytest.raises(AssertionError, match="500 ms"):
        Hot(TRAIN, "pulse")
