"""A chair file for tests: the simulated room's own, with a site's folder beside it."""

from pathlib import Path

from daemon.config import Config, load_config
from sim.room_files import Chair, ensure_roms, write_chair
from sim.room_unit import chair_lines


def chair_file(folder: Path, *, site: bool = True, model: str = "x100-option", stimulator: str = "", limits: str = "") -> Path:
    """A chair in the folder; `stimulator` and `limits` are lines added to those sections. Its site's folder is `site`."""
    folder.mkdir(parents=True, exist_ok=True)
    ensure_roms(folder)
    chair = Chair(camera="tcp://127.0.0.1:1", rate_hz=60, latency_ms=14, stimulator=chair_lines(model, folder))
    (folder / "chair.toml").unlink(missing_ok=True)  # the room keeps a chair file that is there
    path = write_chair(folder, 1, chair)
    text = path.read_text(encoding="utf-8")
    if site:
        (folder / "site").mkdir(exist_ok=True)
        text = text.replace("[site]\n", '[site]\nfolder = "site"\n')
    text = text.replace("[stimulator]\n", f"[stimulator]\n{stimulator}\n") + f"\n[limits]\n{limits}\n"
    path.write_text(text, encoding="utf-8")
    return path


def uncalibrated_chair_file(folder: Path) -> Path:
    """A chair whose file leaves pointer and coil to the calibration history, with the bench's papers beside it."""
    ensure_roms(folder)
    lines = chair_lines("x100-option", folder)
    room = Chair(camera="tcp://127.0.0.1:1", rate_hz=60, latency_ms=14, stimulator=lines, is_calibrated=False)
    return write_chair(folder, 1, room)


def chair(folder: Path, **changes: object) -> Config:
    """The same, loaded."""
    return load_config(chair_file(folder, **changes))  # type: ignore[arg-type]  # each test gives what it changes
