"""The day on which the hardware stop was tested: of the site's calendar, across restarts, and asked for again when in doubt."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.chair_memory import ChairMemory


def utc_s(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def memory(folder: Path) -> ChairMemory:
    return ChairMemory(folder / "state.json", "America/New_York")


def test_test_holds_for_the_sites_calendar_day_across_restarts(tmp_path: Path) -> None:
    memory(tmp_path).remember_hardware_stop(utc_s("2026-03-02T13:00"))
    assert memory(tmp_path).hardware_stop_tested(utc_s("2026-03-03T04:59"))
    assert not memory(tmp_path).hardware_stop_tested(utc_s("2026-03-03T05:00"))


@pytest.mark.parametrize("content", [b"", b"{", b'{"hardware_stop_tested_on": 1}', b"\xff"])
def test_memory_that_cannot_be_read_asks_for_the_test_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.json").write_bytes(content)
    assert not memory(tmp_path).hardware_stop_tested(utc_s("2026-03-02T13:00"))


def test_memory_that_cannot_be_written_holds_until_the_next_start(tmp_path: Path) -> None:
    lost = ChairMemory(tmp_path / "none" / "state.json", "America/New_York")
    lost.remember_hardware_stop(utc_s("2026-03-02T13:00"))
    assert lost.hardware_stop_tested(utc_s("2026-03-02T13:00"))
