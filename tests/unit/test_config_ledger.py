"""[ledger] of a chair's file: which address, and where the chair keeps its own small files."""

from pathlib import Path

import pytest

from daemon.config import Config, ConfigError, load_config
from daemon.config import chair_file as file_of
from tests.chairs import chair_file

SERVER = "postgresql+psycopg://atmsd:hunter2@db.example/ledger"


def configured(folder: Path, *lines: str) -> Config:
    """The chair's file with these lines as its [ledger]."""
    path = chair_file(folder)
    text = path.read_text(encoding="utf-8").replace('url = "sqlite:///ledger.sqlite"', "\n".join(lines))
    path.write_text(text, encoding="utf-8")
    return load_config(path)


def test_files_of_the_chair_lie_beside_its_sqlite_file(tmp_path: Path) -> None:
    config = configured(tmp_path, 'url = "sqlite:///doses.sqlite"')
    assert file_of(config, "witness") == tmp_path / "doses.sqlite.simulated-chair.witness"


def test_files_of_the_chair_lie_in_its_state_folder(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    for url in ("sqlite:///doses.sqlite", SERVER):
        config = configured(tmp_path, f'url = "{url}"', 'state = "state"')
        assert file_of(config, "witness") == tmp_path / "state" / "simulated-chair.witness"


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([f'url = "{SERVER}"'], "[ledger].state: missing"),
        ([f'url = "{SERVER}"', 'state = "nowhere"'], "is no folder"),
        (['url = "mysql://root:hunter2@db/ledger"'], "[ledger].url: write sqlite"),
        (['url = "postgresql+asyncpg://root:hunter2@db/ledger"'], "[ledger].url: write sqlite"),
    ],
)
def test_ledger_that_cannot_be_is_a_fault_that_tells_no_password(tmp_path: Path, lines: list[str], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, *lines)
    assert fault in str(caught.value)
    assert "hunter2" not in str(caught.value)
