"""The firing logic under acts in any order: what must hold whatever people, daemon and device do."""

from collections.abc import Callable

import hypothesis.strategies as st
import msgspec
from hypothesis import given

from daemon.firing import OVERDUE_NS, SETTLE_NS
from daemon.gate import STARTS, vetoes
from daemon.ipc import ArmState, Receipt, TrainStarted, Ungranted
from daemon.on_target import OnTarget
from daemon.purpose import Purpose
from drivers.values import BurstFired, PanelAct, Prepared, Ready, StimFault, TrainEnded
from tests.gate_views import BEAT
from tests.puppet import MS, PULSE, Bench, S

Act = Callable[[Bench], None]


def _good_again(bench: Bench) -> None:
    bench.changes = {}


def _off_target(bench: Bench) -> None:
    bench.changes = {"on_target": OnTarget()}


def _daemon_falls_silent(bench: Bench) -> None:
    bench.changes = {"beat": msgspec.structs.replace(BEAT, made_ns=bench.now_ns)}


def _prepared(bench: Bench) -> None:
    settings = bench.device.prepared
    if settings is not None:
        bench.says(Prepared(settings=settings, mismatches=(), at_ns=bench.now_ns))


def _differs(bench: Bench) -> None:
    settings = bench.device.prepared
    if settings is not None:
        bench.says(Prepared(settings=settings, mismatches=("rate",), at_ns=bench.now_ns))


ACTS: dict[str, Act] = {
    "arm": lambda bench: bench.order_arm(),
    "arm for pulses": lambda bench: bench.order_arm(PULSE, Purpose.MT),
    "grant": lambda bench: (bench.grant(), None)[1],
    "grant a weaker pulse": lambda bench: (bench.grant(settings=msgspec.structs.replace(PULSE, amplitude_pct_mso=30)), None)[1],
    "prepared": _prepared,
    "differs": _differs,
    "ready": lambda bench: bench.says(Ready(at_ns=bench.now_ns)),
    "fires": lambda bench: bench.says(BurstFired(at_ns=bench.now_ns, didt_a_per_us=70, asked=True)),
    "ends": lambda bench: bench.says(TrainEnded(at_ns=bench.now_ns)),
    "off": lambda bench: bench.off(),
    "not off": lambda bench: bench.off(confirmed=False),
    "panel": lambda bench: bench.says(PanelAct(what="a knob", at_ns=bench.now_ns)),
    "fault": lambda bench: bench.says(StimFault(what="no answer", remedy="", at_ns=bench.now_ns)),
    "stop": lambda bench: bench.firing.stop("operator", bench.now_ns),
    "hold": lambda bench: bench.firing.hold("operator", bench.now_ns),
    "off target": _off_target,
    "silent daemon": _daemon_falls_silent,
    "good again": _good_again,
    "a moment": lambda bench: bench.turn(20 * MS),
    "a second": lambda bench: bench.turn(S),
}
acts = st.lists(st.sampled_from(sorted(ACTS)), max_size=40)


def play(names: list[str]) -> tuple[Bench, list[str]]:
    """Everything that was done, with a look after each act; returns what the device was told too."""
    bench = Bench()
    told: list[str] = []
    for name in names:
        ACTS[name](bench)
        bench.take()
        grant, purpose, before = bench.firing.grant, bench.firing.purpose, len(bench.device.told)
        view = bench.view()
        bench.turn(MS)
        if "start_train" in bench.device.told[before:]:
            later = msgspec.structs.replace(view, grant=grant)
            assert vetoes(later, bench.now_ns, STARTS[purpose]) == (), "started against the gate"
        told = bench.device.told
    return bench, told


@given(acts)
def test_a_train_starts_only_under_an_open_gate_with_an_arm_and_a_grant_of_its_own(names: list[str]) -> None:
    bench, told = play(names)
    started = [fact for fact in bench.facts if isinstance(fact, TrainStarted)]
    assert told.count("start_train") == len(started) == len({fact.grant_no for fact in started})


@given(acts)
def test_every_grant_that_was_taken_is_receipted_once_and_never_below_what_the_device_told(names: list[str]) -> None:
    bench, _ = play(names)
    bench.turn(OVERDUE_NS + SETTLE_NS + 4 * S)
    bench.turn(OVERDUE_NS + SETTLE_NS + 4 * S)
    receipts = [fact for fact in bench.facts if isinstance(fact, Receipt)]
    assert sorted(receipt.grant_no for receipt in receipts) == list(range(1, bench.grant_no + 1))
    strays = sum(1 for fact in bench.facts if isinstance(fact, Ungranted))
    assert sum(len(receipt.bursts) for receipt in receipts) + strays == names.count("fires")
    for receipt in receipts:
        assert receipt.pulses >= len(receipt.bursts) * bench.granted[receipt.grant_no].settings.pulses_per_burst


@given(acts, acts)
def test_after_a_stop_nothing_starts_until_somebody_arms_anew(before: list[str], after: list[str]) -> None:
    bench, told = play([*before, "stop"])
    started = told.count("start_train")
    for name in after:
        if name in ("arm", "arm for pulses"):
            continue
        ACTS[name](bench)
        bench.turn(MS)
    assert bench.device.told.count("start_train") == started
    assert not bench.firing.armed


@given(acts)
def test_an_arm_is_told_lost_exactly_when_it_is(names: list[str]) -> None:
    bench, _ = play(names)
    confirmed = {fact.arm_no for fact in bench.facts if isinstance(fact, ArmState) and fact.armed}
    lost = [fact.arm_no for fact in bench.facts if isinstance(fact, ArmState) and not fact.armed]
    assert len(lost) == len(set(lost))
    standing = set() if bench.firing.arm is None else {bench.firing.arm.arm_no}
    assert standing.isdisjoint(lost)
    assert confirmed <= set(lost) | standing
