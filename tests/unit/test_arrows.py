"""The import contracts fail when an arrow points the wrong way."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("calibration", "clients", "daemon", "drivers", "sim")
LINT = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the packages and their contracts."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("data", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(house: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(LINT, cwd=house, capture_output=True, text=True, timeout=60, check=False, env={"PYTHONPATH": str(house)})


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("calibration/frames.py", "import drivers.values"),
        ("drivers/values.py", "import daemon.messages"),
        ("daemon/gate.py", "import sim.world"),
        ("daemon/cli.py", "import clients.link"),
        ("clients/link.py", "import daemon.session"),
        ("sim/world.py", "import calibration.frames"),
        ("sim/room.py", "import clients.link"),
        ("sim/ndi_sim.py", "import drivers.ndi"),
    ],
)
def test_an_arrow_that_points_the_wrong_way_breaks_a_contract(house: Path, file: str, line: str) -> None:
    with (house / file).open("a") as module:
        module.write(f"\n{line}\n")
    result = lint(house)
    assert result.returncode != 0
    assert "BROKEN" in result.stdout


def test_the_house_as_it_stands_keeps_every_contract(house: Path) -> None:
    result = lint(house)
    assert result.returncode == 0, result.stdout
