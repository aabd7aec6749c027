"""The coil's drawing and the block's distances: what is read, and each thing that is refused."""

from pathlib import Path

import pytest

from daemon.bench_files import BenchFileError, read_block, read_drawing
from sim.bench_files import BLOCK, DRAWING, write_bench
from sim.world_bench import COIL_POINTS_MM, DIVOTS_MM

POINTS = {"a": "[60.0, 0.0, 0.0]", "b": "[-60.0, 0.0, 0.0]", "c": "[0.0, 40.0, 0.0]", "d": "[0.0, -50.0, -9.0]"}


def drawing(folder: Path, **changes: str | None) -> Path:
    points = {name: text for name, text in (POINTS | changes).items() if text is not None}
    path = folder / "drawing.toml"
    path.write_text('coil = "c"\n[points_mm]\n' + "".join(f"{name} = {text}\n" for name, text in points.items()))
    return path


def block(folder: Path, *lines: str) -> Path:
    path = folder / "block.toml"
    path.write_text('block = "b"\n[distances_mm]\n' + "".join(f"{line}\n" for line in lines))
    return path


def test_the_rooms_papers_are_read(tmp_path: Path) -> None:
    write_bench(tmp_path)
    assert read_drawing(tmp_path / DRAWING).points_mm == COIL_POINTS_MM
    read = read_block(tmp_path / BLOCK)
    assert set(read.divots) == set(DIVOTS_MM)
    assert len(read.distances_mm) == 6
    assert len(read.sha256) == 64


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"d": None}, "3 points"),
        ({"handle": "[0.0, -150.0, 0.0]"}, "another touch"),
        ({"d": "[0.0, -500.0, 0.0]"}, "400 mm"),
        ({"d": "[nan, 0.0, 0.0]"}, "400 mm"),
        ({"d": "[61.0, 0.0, 0.0]"}, "apart"),
        ({"d": "[1.0, 2.0]"}, "no such file"),
    ],
)
def test_a_drawing_that_cannot_be_touched_is_refused(tmp_path: Path, changes: dict[str, str | None], why: str) -> None:
    with pytest.raises(BenchFileError, match=why):
        read_drawing(drawing(tmp_path, **changes))


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ((), "no distance"),
        (('"AB" = 50.0',), "two divots"),
        (('"A-A" = 50.0',), "two divots"),
        (('"A-B" = 5.0',), "5.0 mm"),
        (('"A-B" = 5000.0',), "5000.0 mm"),
        (('"A-B" = nan',), "nan mm"),
        (('"A-B" = "50"',), "no such file"),
    ],
)
def test_a_block_that_measures_nothing_is_refused(tmp_path: Path, lines: tuple[str, ...], why: str) -> None:
    with pytest.raises(BenchFileError, match=why):
        read_block(block(tmp_path, *lines))


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(BenchFileError, match="cannot be read"):
        read_block(tmp_path / "none.toml")
