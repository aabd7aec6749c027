"""The stimulator's entry in a chair's file: one form for each family, and what each must say."""

from pathlib import Path

import pytest

from daemon.config import ConfigError, load_config
from daemon.devices import make_stimulator, stimulator_line
from daemon.purpose import Pacing
from daemon.stimulator_section import MagstimSection, MagVentureSection, TriggerBoxSection
from drivers.lsl_trigger import LslTriggerStimulator
from drivers.lsl_trigger_line import LslLine
from drivers.magstim import MagstimStimulator
from drivers.magventure import MagVentureStimulator
from drivers.transport import SerialLine
from tests.chairs import chair_file

BOX = """[stimulator]
kind = "lsl"
model = "train"
coil_type = 60
coil_class = "figure-8"
box_serial = 7
status_stream = "box.status"
receipt_stream = "box.receipts"
"""


def chair_with(folder: Path, section: str) -> Path:
    """A chair whose stimulator is that one."""
    path = chair_file(folder)
    text = path.read_text()
    start, end = text.index("[stimulator]"), text.index("[network]")
    path.write_text(text[:start] + section + "\n" + text[end:])
    return path


def test_each_family_has_its_driver_and_its_line(tmp_path: Path) -> None:
    magpro, rapid = (load_config(chair_file(tmp_path / model, model=model)) for model in ("r30", "superrapid"))
    box = load_config(chair_with(tmp_path / "box", BOX))
    assert [type(each.stimulator) for each in (magpro, rapid, box)] == [MagVentureSection, MagstimSection, TriggerBoxSection]
    drivers = [type(make_stimulator(each)) for each in (magpro, rapid, box)]
    assert drivers == [MagVentureStimulator, MagstimStimulator, LslTriggerStimulator]
    lines = [stimulator_line(each) for each in (magpro, rapid, box)]
    assert [type(line) for line in lines] == [SerialLine, SerialLine, LslLine]
    assert [line.baud for line in lines if isinstance(line, SerialLine)] == [38400, 9600]
    assert [line.rts_low for line in lines if isinstance(line, SerialLine)] == [False, True]
    assert box.stimulator.port == Path("lsl:/atmsd.trigger")
    assert [each.stimulator.pacing for each in (magpro, rapid, box)] == [Pacing.TRAIN] * 3


@pytest.mark.parametrize(
    ("model", "before", "after", "fault"),
    [
        ("superrapid", "software = 9", "", "[stimulator].software: missing"),
        ("superrapid", 'unlock = "unlock.code"', 'unlock = "none"', "[stimulator].unlock"),
        ("superrapid", "mains_v = 240", "mains_v = 230", "[stimulator]: Invalid enum value 230"),
        ("x100", "events_per_burst = 1", "events_per_burst = 6", "[stimulator].events_per_burst"),
        ("x100", 'kind = "magventure"', 'kind = "duomag"', "[stimulator]: Invalid value 'duomag'"),
        ("x100", "coil_type = 60", "coil_type = 60\nmains_v = 240", "[stimulator]: Object contains unknown field `mains_v`"),
    ],
)
def test_what_an_entry_lacks_or_cannot_say_is_told_by_its_key(tmp_path: Path, model: str, before: str, after: str, fault: str) -> None:
    path = chair_file(tmp_path, model=model)
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert any(line.startswith(fault) for line in caught.value.faults), caught.value.faults


def test_a_box_that_confirms_nothing_is_refused_unless_the_site_signs(tmp_path: Path) -> None:
    path = chair_with(tmp_path, BOX.replace('receipt_stream = "box.receipts"\n', ""))
    with pytest.raises(ConfigError, match="receipt_stream: missing"):
        load_config(path)
    path.write_text(path.read_text().replace("box_serial = 7", 'box_serial = 7\nunconfirmed_signed_by = "the site\'s engineer"'))
    assert isinstance(make_stimulator(load_config(path)), LslTriggerStimulator)
