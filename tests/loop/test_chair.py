"""The whole chair: what the ledger says is what the stimulator did, whichever process dies, hangs or is asked to go in mid-train."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.loop.chair_rig import MS, ChairRig, assert_ledger_is_truth, chairs_on_target
from tests.loop.quick_operator import QuickOperator
from tests.loop.rig import is_alive, lines, wait

DAEMON_LOST_MS, PROCESS_LOST_MS = 500, 1000
TRAIN_PULSES = 30
GAP_S = 8.0
CHAIRS = 2
DAY_S = 150.0


class Day:
    """The simulated operator's whole day at a chair of its own, going on beside the other tests."""

    def __init__(self, chair: ChairRig) -> None:
        self.chair = chair
        command = [sys.executable, "-m", "sim.operator", "--config", str(chair.config), "--slips", "1", "--sessions", "2"]
        self.told = chair.folder / "operator.out"
        with self.told.open("wb") as out:
            self.operator = subprocess.Popen(command, stdout=out, stderr=out)

    def close(self) -> None:
        if self.operator.poll() is None:
            self.operator.kill()
        self.operator.wait()
        self.chair.close()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    day = Day(ChairRig(tmp_path_factory.mktemp("day"), seed=5))
    yield day
    day.close()


@pytest.fixture(scope="module")
def prepared(day: Day, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ChairRig]]:
    chairs = chairs_on_target([tmp_path_factory.mktemp("chair") for _ in range(CHAIRS)], day.chair.folder / "plans")
    yield chairs
    for chair in chairs:
        chair.close()


@pytest.fixture
def chair(prepared: list[ChairRig]) -> Iterator[ChairRig]:
    """A chair of one's own, its coil on target."""
    chair = prepared.pop()
    yield chair
    chair.close()


@pytest.fixture
def operator(chair: ChairRig) -> Iterator[QuickOperator]:
    """Who has just armed and started: a train runs."""
    with chair.operator() as operator:
        operator.take_over()
        operator.fire()
        yield operator


def assert_off(chair: ChairRig, since_ns: int, within_ms: int) -> None:
    assert (chair.room.disabled(since_ns) - since_ns) / MS <= within_ms


def assert_counted_in_full(chair: ChairRig) -> None:
    """The one train that was broken counts as if it had been given whole; the session ended PARTIAL."""
    session = chair.closed_session()
    (train,) = session.trains
    given = chair.room.pulses()
    assert session.state == "PARTIAL"
    assert (train.basis, train.counted_pulses) == ("intent_in_full", TRAIN_PULSES)
    assert 0 < len(given) < TRAIN_PULSES
    assert session.last_pulse_is_bound
    assert session.last_pulse_mono_ns is not None
    assert session.last_pulse_mono_ns >= given[-1]["mono_ns"]


def assert_refused_for_the_gap(chair: ChairRig) -> None:
    """A new session at once, with everything ready for it: the day's limits say no."""
    with chair.operator() as operator:
        operator.take_over()
        operator.until_devices()
        opened = operator.link.call("open_plan", 20.0, path=str(chair.plan))
    assert not opened.dose.allowed_now
    assert opened.dose.reasons == ("MIN_GAP",)
    assert opened.dose.pulses_today == TRAIN_PULSES


def test_a_killed_daemon_disarms_and_the_next_start_counts_the_broken_train_in_full(chair: ChairRig, operator: QuickOperator) -> None:
    hit_ns = chair.signal(signal.SIGKILL, "daemon")
    assert_off(chair, hit_ns, DAEMON_LOST_MS)
    assert chair.run.wait(20) == 70
    assert "the daemon process ended (-9)" in chair.said()
    chair.begin()
    with chair.operator() as again:
        again.take_over()
        assert "30 pulses count" in again.alarm("session_recovered").text
    assert_counted_in_full(chair)
    assert chair.closed_session().recovered
    assert_refused_for_the_gap(chair)
    assert operator.link.telemetry.restarts <= 1


def test_a_daemon_that_hangs_loses_the_arm_and_when_it_wakes_the_ledger_is_exact(chair: ChairRig, operator: QuickOperator) -> None:
    hit_ns = chair.signal(signal.SIGSTOP, "daemon")
    assert_off(chair, hit_ns, DAEMON_LOST_MS)
    chair.signal(signal.SIGCONT, "daemon")
    operator.until_step("stopped")
    session = operator.session()
    assert session is not None
    assert "daemon_late" in (session.stopped_why or "")
    assert not session.armed
    assert chair.end() == 0
    assert_ledger_is_truth(chair.closed_session(), chair.room.pulses())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_hot_process_that_dies_or_hangs_is_replaced_by_the_supervisors_disarm(
    chair: ChairRig, operator: QuickOperator, number: signal.Signals
) -> None:
    hit_ns = chair.signal(number, "hot")
    assert_off(chair, hit_ns, PROCESS_LOST_MS)
    assert operator.alarm("hot_process_lost").priority == "high"
    assert operator.alarm("disarmed").active
    assert chair.run.wait(20) == 70
    assert "stimulator disarmed, confirmed" in chair.said()
    assert_counted_in_full(chair)


def test_a_killed_supervisor_takes_both_children_with_it_and_leaves_the_device_off(chair: ChairRig, operator: QuickOperator) -> None:
    pids = chair.pids()
    hit_ns = chair.signal(signal.SIGKILL, "supervisor")
    assert_off(chair, hit_ns, PROCESS_LOST_MS)
    wait("the end of both children", lambda: not is_alive(pids["hot"]) and not is_alive(pids["daemon"]))
    chair.begin()
    with chair.operator() as again:
        again.take_over()
    session = chair.closed_session()
    assert session.state == "PARTIAL"
    assert session.counted_pulses >= len(chair.room.pulses()) > 0
    assert operator.link.telemetry.restarts <= 1


def test_a_supervisor_that_hangs_ends_the_train_and_when_it_wakes_the_chair_goes_on(chair: ChairRig, operator: QuickOperator) -> None:
    hit_ns = chair.signal(signal.SIGSTOP, "supervisor")
    assert_off(chair, hit_ns, PROCESS_LOST_MS)
    chair.signal(signal.SIGCONT, "supervisor")
    operator.until_step("stopped")
    operator.do("arm")
    operator.until_step("hold")
    operator.fire(bursts=1)
    first_of_second = chair.room.pulses()[-1]["mono_ns"] - 1_000 * MS
    gap_ns = min(pulse["mono_ns"] for pulse in chair.room.pulses(first_of_second)) - max(
        pulse["mono_ns"] for pulse in chair.room.pulses() if pulse["mono_ns"] < first_of_second
    )
    assert gap_ns >= GAP_S * 1e9
    assert chair.end() == 0
    assert_ledger_is_truth(chair.closed_session(), chair.room.pulses())


def test_a_train_that_outlives_all_processes_is_disarmed_first_at_the_next_start(chair: ChairRig, operator: QuickOperator) -> None:
    everyone = ("supervisor", "hot", "daemon")
    chair.signal(signal.SIGSTOP, *everyone)  # at once: whoever lived a moment longer would make safe
    chair.signal(signal.SIGKILL, *everyone)
    chair.run.wait()
    began_ns = time.monotonic_ns()
    chair.begin()
    assert chair.room.disabled(began_ns) > began_ns
    assert len(chair.room.pulses()) < TRAIN_PULSES, "the train was over before the new start could end it"
    with chair.operator() as again:
        again.take_over()
        assert "running" in again.alarm("found_armed").text
    assert "the stimulator was found running a train at start; disarmed, confirmed" in chair.said()
    assert_counted_in_full(chair)
    assert operator.link.telemetry.restarts <= 1


def test_a_second_run_writes_no_byte_and_an_order_to_leave_closes_the_session(chair: ChairRig, operator: QuickOperator) -> None:
    other = chair.folder / "other"
    other.mkdir()
    text = chair.config.read_text().replace("simulated-chair", "another-chair")
    for name in ("head.rom", "pointer.rom", "coil.rom", "stimulator"):
        text = text.replace(f'"{name}"', f'"{chair.folder / name}"')
    (other / "chair.toml").write_text(text)
    operator.until("the first train's end", lambda: (session := operator.session()) is not None and session.trains_done == 1)
    rivals = [chair.other_run(chair.config, "same_chair"), chair.other_run(other / "chair.toml", "same_port")]
    operator.until("their end", lambda: all(rival.poll() is not None for rival in rivals))
    assert [rival.returncode for rival in rivals] == [69, 69]
    assert "already controlled by process" in chair.said("same_chair")
    assert "another program owns this port" in chair.said("same_port")
    operator.until_bursts(1)
    asked_ns = chair.signal(signal.SIGTERM, "supervisor")
    assert_off(chair, asked_ns, PROCESS_LOST_MS)
    assert chair.run.wait(20) == 0
    session = chair.closed_session()
    assert session.state == "PARTIAL"
    assert session.trains[0].counted_pulses == TRAIN_PULSES
    assert_ledger_is_truth(session, chair.room.pulses())


def test_a_whole_day_with_a_slip_is_in_the_ledger_pulse_by_pulse(day: Day) -> None:
    assert day.operator.wait(DAY_S) == 0, day.told.read_text()
    events = lines(day.told)
    refused = [event for event in events if event["event"] == "session_refused"]
    assert [event["reasons"] for event in refused] == [["MIN_GAP"]]
    (session,) = day.chair.sessions()
    given = day.chair.room.pulses()
    assert session.state == "PARTIAL"
    assert [train.counted_pulses == TRAIN_PULSES for train in session.trains].count(False) == 1
    assert all(train.confirmed for train in session.trains)
    assert all(pulse["enabled"] for pulse in given)
    assert_ledger_is_truth(session, given)
    assert day.chair.end() == 0
