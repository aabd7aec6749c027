"""What the chair's file says about its camera: endpoints, modes and lines that there are, and those that there are not."""

from pathlib import Path

import pytest

from bench.chair import write_chair
from bench.units import MAGVENTURE
from daemon.config import Config, ConfigError, load_config
from daemon.devices import make_tracker
from drivers.ndi import NdiTracker


def loaded(folder: Path, tracker: str) -> Config:
    """A whole chair whose [tracker] has these lines in the place of its endpoint and mode."""
    path = write_chair(folder, "tcp://127.0.0.1:8765", folder / "stimulator", 60, MAGVENTURE)
    text = path.read_text().replace('endpoint = "tcp://127.0.0.1:8765"\nmode = "bx"\n', tracker)
    path.write_text(text)
    return load_config(path)


@pytest.mark.parametrize(
    "endpoint", ["tcp://192.168.0.10:8765", "tcp://p9-00001.local:8765", "tcp://[fe80::1]:8765", "serial:/dev/ttyUSB0"]
)
def test_an_endpoint_is_taken_as_it_stands(tmp_path: Path, endpoint: str) -> None:
    config = loaded(tmp_path, f'endpoint = "{endpoint}"\n')
    tracker = config.tracker
    assert (tracker.endpoint, tracker.mode, tracker.baud, tracker.handshake) == (endpoint, "auto", 115200, False)
    assert isinstance(make_tracker(config), NdiTracker)


def test_a_serial_port_may_lie_beside_the_chairs_file(tmp_path: Path) -> None:
    assert loaded(tmp_path, 'endpoint = "serial:camera"\n').tracker.endpoint == f"serial:{tmp_path / 'camera'}"


@pytest.mark.parametrize("mode", ["auto", "stream", "bx2", "bx", "tx"])
@pytest.mark.parametrize("baud", [9600, 115200, 921600])
def test_modes_and_speeds_that_there_are_make_a_driver(tmp_path: Path, mode: str, baud: int) -> None:
    config = loaded(tmp_path, f'endpoint = "serial:/dev/ttyS0"\nmode = "{mode}"\nbaud = {baud}\nhandshake = true\n')
    assert isinstance(make_tracker(config), NdiTracker)


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ('endpoint = "192.168.0.10:8765"\n', "[tracker].endpoint"),
        ('endpoint = "tcp://192.168.0.10"\n', "[tracker].endpoint"),
        ('endpoint = "serial:"\n', "[tracker].endpoint"),
        ('endpoint = "udp://192.168.0.10:8765"\n', "[tracker].endpoint"),
        ('endpoint = "serial:/dev/ttyUSB0"\nbaud = 12345\n', "[tracker].baud"),
        ('endpoint = "serial:/dev/ttyUSB0"\nmode = "best"\n', "[tracker]"),
        ('endpoint = "serial:/dev/ttyUSB0"\nparity = "even"\n', "[tracker]"),
    ],
)
def test_what_there_is_not_is_a_fault_with_its_key(tmp_path: Path, lines: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, lines)
    assert any(each.startswith(fault) for each in caught.value.faults)
