"""kill -9 at every statement of a session: nothing that was promised is lost, and nothing given goes uncounted."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from daemon.ledger import Closed, CloseState, Intended, Moment, Opened
from daemon.witness import Witness
from tests.engines import Place
from tests.ledger_cases import LIMITS, at, intent, receipt, request

TRAINS = 2


def one_session(place: Place, start_s: float, name: str = "1") -> None:
    """Opens, and for each train: intends, fires, receives; then closes. What was fired is on disk before its receipt is."""
    folder, chair, ledger = place.folder / name, f"chair-{name}", place.open(witness=Witness(place.folder / f"chair-{name}.seen"))
    folder.mkdir(exist_ok=True)
    ledger.recover(chair, at(start_s))
    session = ledger.open_session(request(patient=f"P{name}", chair=chair), at(start_s))
    if not isinstance(session, Opened):
        return
    note(folder / "opened", 1)
    for train in range(1, TRAINS + 1):
        moment = at(start_s + 10 * train - 5)
        asked = intent(session, train, moment)
        assert isinstance(ledger.intend(asked, LIMITS, moment), Intended)
        note(folder / "fired", asked.pulses)
        ledger.receive(receipt(asked), at(start_s + 10 * train))
        note(folder / "settled", asked.pulses)
    ledger.close_session(session.session_id, CloseState.COMPLETE, "done", at(start_s + 40))
    note(folder / "closed", 1)


def note(path: Path, value: int) -> None:
    """The truth, in a file of its own: appended and flushed."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, f"{value}\n".encode())
    os.fsync(descriptor)
    os.close(descriptor)


def noted(path: Path) -> int:
    return sum(int(line) for line in path.read_text().splitlines()) if path.exists() else 0


def forked(work: Callable[[], None]) -> int:
    """Runs `work` in a fork, which never comes back, and returns its process id."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def ending(child: int) -> int:
    """The signal that ended it, 0 if none did."""
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed"
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def call_at_each_step(call: Callable[[], None]) -> None:
    """Before each statement, each commit and each flush of a file. For a fork alone: nothing is put back."""

    def flush(descriptor: int, real: Callable[[int], None] = os.fsync) -> None:
        call()
        real(descriptor)

    for event in ("before_cursor_execute", "commit"):
        sa.event.listen(Engine, event, lambda *_: call())
    os.fsync = flush


def die_at(step: int) -> None:
    """Kills this very process before its step of that number."""
    left = step

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    call_at_each_step(count)


def deaths(place: Place) -> Iterator[int]:
    """Numbers of the points at which a session can be killed, until one survives; each is a patient and a chair of its own."""
    step = 0
    killed = signal.SIGKILL.value
    while killed:
        step += 1

        def session(step: int = step) -> None:
            die_at(step)
            one_session(place, 100.0 * step, str(step))

        killed = ending(forked(session))
        yield step


def test_kill_at_any_statement_loses_nothing(place: Place) -> None:
    place.open().close()
    points = 0
    for points in deaths(place):
        name, start_s, folder = str(points), 100.0 * points, place.folder / str(points)
        ledger = place.open(witness=Witness(place.folder / f"chair-{name}.seen"))
        assert ledger.rewound() is None
        fired, settled = noted(folder / "fired"), noted(folder / "settled")
        recovered = ledger.recover(f"chair-{name}", at(start_s + 60, boot_id="boot-2"))
        doses = ledger.doses(f"P{name}")
        counted = sum(session.counted_pulses for session in doses.sessions.values())
        assert fired <= counted <= max(fired, settled + 30)
        assert len(doses.sessions) >= noted(folder / "opened")
        assert not doses.open_sessions
        assert all(isinstance(each, Closed) and each.counted_pulses == counted for each in recovered)
        verdict = ledger.verdict(f"P{name}", 90, LIMITS, at(start_s + 61, boot_id="boot-2"))
        assert (verdict.pulses_today, verdict.sessions_today) == (counted, int(counted > 0))
        assert ledger.verify() is None
        ledger.close()
    assert points > 80


def test_kill_again_and_again_over_one_ledger_never_passes_a_limit(place: Place) -> None:
    """Each life is killed at another step; the next one starts after the gap and finds what the last one left."""
    ends = []
    for life in range(12):

        def session(life: int = life) -> None:
            die_at(40 + 7 * life)
            one_session(place, 1000.0 * life)

        ends.append(ending(forked(session)))
        check(place, at(1000.0 * life + 60))
    assert ends.count(signal.SIGKILL) > 5
    assert noted(place.folder / "1" / "fired") > 5 * 30


def test_kill_at_any_moment_loses_nothing(place: Place) -> None:
    """The killer waits until the victim has taken a number of steps, and strikes wherever it is by then."""
    for life in range(8):
        reader, writer = os.pipe()

        def sessions(life: int = life, writer: int = writer) -> None:
            call_at_each_step(lambda: os.write(writer, b".") and None)
            for number in range(4):
                one_session(place, 15_000.0 * life + 1000.0 * number)

        child = forked(sessions)
        os.close(writer)
        steps = 0
        while steps < 60 + 23 * life and (seen := os.read(reader, 1)):
            steps += len(seen)
        os.kill(child, signal.SIGKILL)
        ending(child)
        os.close(reader)
        check(place, at(15_000.0 * life + 5000))
    assert noted(place.folder / "1" / "fired") > 8 * 30


def check(place: Place, moment: Moment) -> None:
    """What must hold of the ledger after any death."""
    ledger = place.open(witness=Witness(place.folder / "chair-1.seen"))
    assert ledger.rewound() is None
    assert ledger.verify() is None
    doses, verdict = ledger.doses(), ledger.verdict("P1", 90, LIMITS, moment)
    assert noted(place.folder / "1" / "fired") <= sum(session.counted_pulses for session in doses.sessions.values())
    assert verdict.sessions_today <= LIMITS.max_sessions_per_day
    assert verdict.pulses_today <= LIMITS.max_pulses_per_day
    ledger.close()


def test_reservation_is_whole_before_the_first_train(place: Place) -> None:
    def opens() -> None:
        ledger = place.open()
        ledger.open_session(request(), at(0))
        os.kill(os.getpid(), signal.SIGKILL)

    assert ending(forked(opens)) == signal.SIGKILL
    other = place.open()
    assert other.verdict("P1", 90, LIMITS, at(86_000)).pulses_rolling == 90
    other.close()
