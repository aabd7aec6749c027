"""A head in the simulated room: registered, the daemon started again, the reference slipped and found."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clients.link import CommandRefused, Link
from daemon.registration_store import Accepted, Checked, Restored, read_lines
from sim.operator_hands import Hands
from sim.operator_registration import HeadRegistration, Refusal
from sim.operator_view import View
from tests.loop.rig import Room, wait

SLIP_MM = 5.0


class Person:
    """Who holds the pointer: the operator's desk without the rest of the operator."""

    def __init__(self, link: Link) -> None:
        self.link, self.view = link, View(link)
        self.events: list[tuple[str, dict[str, Any]]] = []

    def attempt(self, method: str, seconds: float, **params: object) -> object | Refusal:
        for _ in range(5):
            try:
                return self.link.call(method, seconds, **params)
            except CommandRefused as refused:
                if refused.error.code != "STALE_STATE":
                    return Refusal(code=refused.error.code, message=refused.error.message)
        raise AssertionError(f"{method}: the state kept changing")

    def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        return self.link.wait(lambda _: holds(), seconds)

    def say(self, event: str, **facts: Any) -> None:
        self.events.append((event, facts))

    def said(self, event: str) -> list[dict[str, Any]]:
        return [facts for name, facts in self.events if name == event]


@contextmanager
def daemon(room: Room) -> Iterator[tuple[Person, Hands]]:
    """A run of the daemon, and a person at the chair with the room's plan open."""
    config = room.folder / "chair.toml"
    with (room.folder / "run.err").open("ab") as errors:
        run = subprocess.Popen([sys.executable, "-m", "daemon", "run", "--config", str(config)], stderr=errors)
    try:
        with Link.from_config(config) as link, Hands(room.folder / "room.sock", lambda: link.pump(0.02)) as hands:
            wait("a session", lambda: link.pump(0.1) is not None and link.latest("v1/session"), 20.0)
            person = Person(link)
            link.call("take_lease", name="test")
            link.keep_lease_every(1.0)
            assert link.wait(lambda _: (tools := person.view.tools) is not None and tools.tracker == "tracking", 20.0)
            opened = person.attempt("open_plan", 30.0, path=str(next(room.folder.glob("plans/*.plan.json"))))
            assert not isinstance(opened, Refusal), opened
            yield person, hands
    finally:
        run.terminate()
        assert run.wait(15) == 0


def reasons(person: Person) -> set[str]:
    gate = person.view.gate
    return set() if gate is None else {reason.code for reason in gate.reasons}


@pytest.mark.timeout(240)
def test_a_registration_outlives_the_daemon_only_by_a_check_and_a_slipped_reference_closes_the_gate(room: Room) -> None:
    with daemon(room) as (person, hands):
        HeadRegistration(person, hands, person.say).make_it_stand()
        assert [facts["kind"] for facts in person.said("registered")] == ["full"]
        assert person.until(lambda: not reasons(person) & {"not_registered", "check_due", "reference_slipped"}, 5.0)

    with daemon(room) as (person, hands):
        assert person.until(lambda: (seen := person.view.registration) is not None and seen.phase == "restored", 5.0)
        assert person.until(lambda: "not_registered" in reasons(person), 5.0)
        HeadRegistration(person, hands, person.say).make_it_stand()
        assert not person.said("touch")
        assert len(person.said("check")) >= 3
        assert person.until(lambda: not reasons(person) & {"not_registered", "check_due", "reference_slipped"}, 5.0)

        room.act("slip_reference", mm=SLIP_MM, ms=100)
        hands.do("touch", landmark="NAS")
        slipped: Any = person.attempt("check_touch", 15.0, landmark="NAS")
        assert slipped.distance_mm > 3.0
        assert person.until(lambda: "reference_slipped" in reasons(person), 5.0)
        assert person.until(lambda: (seen := person.view.registration) is not None and seen.asks == "register", 5.0)

    (day,) = room.folder.glob("*.registration-*.jsonl")
    entries = [line.entry for line in read_lines(day)]
    assert [type(entry) for entry in entries if isinstance(entry, Accepted | Restored)] == [Accepted, Restored]
    assert isinstance(entries[-1], Checked)
    assert entries[-1].slipped
    assert all(json.loads(line)["head"]["patient"] == "SIM-001" for line in Path(day).read_text().splitlines())
