"""The API's page names everything there is, nothing that is not, and its example runs."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec
import pytest

from daemon.messages import METHODS, TOPICS, AlarmBody, CoilErrorBody, Error, ErrorCode, Header, ToolBody
from tests.running_bus import RunningBus

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"`([^`\n]+)`", PAGE))
STRUCTS = {
    Header,
    Error,
    AlarmBody,
    ToolBody,
    *TOPICS.values(),
    *(kind for method in METHODS.values() for kind in (method.params, method.result)),
}


@pytest.mark.parametrize("kind", sorted(STRUCTS, key=str))
def test_every_field_is_documented(kind: type[msgspec.Struct]) -> None:
    missing = [field.name for field in msgspec.structs.fields(kind) if field.name not in WORDS]
    assert not missing


def rows(heading: str) -> dict[str, list[str]]:
    """The table under a heading: cells by the first cell's code word."""
    section = PAGE.split(heading)[1].split("\n## ")[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in lines}


def test_every_topic_has_its_section() -> None:
    sections = re.findall(r"^### `(v1/\S+)`", PAGE, re.MULTILINE)
    assert sorted(sections) == sorted([*TOPICS, "v1/alarm/<id>"])


def test_every_method_has_its_row_with_what_it_needs() -> None:
    table = rows("## 3. Commands")
    assert set(table) == set(METHODS)
    needs = {name: (cells[2], cells[3]) for name, cells in table.items()}
    yes = {True: "yes", False: "no"}
    assert needs == {name: (yes[method.lease], yes[method.changes]) for name, method in METHODS.items()}


def test_every_method_row_names_its_parameters_and_results() -> None:
    for name, cells in rows("## 3. Commands").items():
        for cell, kind in ((cells[0], METHODS[name].params), (cells[1], METHODS[name].result)):
            missing = [field.name for field in msgspec.structs.fields(kind) if f"`{field.name}`" not in cell]
            assert not missing, name


def test_every_error_code_has_its_row_and_no_row_is_left_over() -> None:
    table = rows("## 6. Errors")
    assert set(table) == set(ErrorCode)
    assert all(len(cells) == 2 and all(cells) for cells in table.values())


@contextmanager
def example(bus: RunningBus) -> Iterator[IO[str]]:
    """What the page's example prints, run as it stands there but for the endpoints."""
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    program = found[1].replace("tcp://127.0.0.1:5570", bus.commands).replace("tcp://127.0.0.1:5571", bus.telemetry)
    with subprocess.Popen([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            yield child.stdout
        finally:
            child.kill()


def test_the_example_shows_a_fresh_number_and_nothing_once_it_is_old() -> None:
    body = CoilErrorBody(frame_number=1, exposed_ns=1, age_ms=1.0, on_target=False, settling=False, distance_to_target_mm=1.26)
    with RunningBus() as bus, example(bus) as printed:
        assert printed.readline() == "test\n"
        line = "--\n"
        while line == "--\n":
            bus.publish("v1/coil/error", body)
            line = printed.readline()
        assert line == "1.3 mm to the target\n"
        while line != "--\n":
            line = printed.readline()


def test_the_example_shows_no_retained_number_of_long_ago() -> None:
    body = CoilErrorBody(frame_number=1, exposed_ns=1, age_ms=1.0, on_target=False, settling=False, distance_to_target_mm=1.26)
    with RunningBus(clock=lambda: time.monotonic_ns() - 250_000_001) as bus:
        bus.publish("v1/coil/error", body)
        with example(bus) as printed:
            assert [printed.readline() for _ in range(3)] == ["test\n", "--\n", "--\n"]
