"""What an LSL stream's own description is read as, and what is refused."""

import pytest

from drivers.mocap_wire import Layout, read_layout
from drivers.values import WireError

KINDS = ("PositionX", "PositionY", "PositionZ", "OrientationA", "OrientationB", "OrientationC", "OrientationD", "Confidence")


def channel(label: str, of: str | None, kind: str, unit: str) -> str:
    named = "" if of is None else f"<object>{of}</object>"
    return f"<channel><label>{label}</label>{named}<type>{kind}</type><unit>{unit}</unit></channel>"


def xml(objects: list[str], *, unit: str = "meters", kind: str = "MoCap", kinds: tuple[str, ...] = KINDS, count: int | None = None) -> str:
    units = {part: unit if part.startswith("Position") else "quaternion" for part in kinds}
    channels = [channel(f"{of}_{part}", of, part, units[part]) for of in objects for part in kinds]
    number = len(channels) if count is None else count
    return (
        f"<?xml version='1.0'?><info><name>x</name><type>{kind}</type><channel_count>{number}</channel_count>"
        "<nominal_srate>120.0</nominal_srate><source_id>abc</source_id><hostname>lab</hostname><desc><channels>"
        f"{''.join(channels)}</channels><acquisition><manufacturer>M</manufacturer><model>N</model></acquisition></desc></info>"
    )


def read(text: str) -> Layout:
    return read_layout(text, "LSL stream 'x'")


def test_objects_channels_and_sender_are_found() -> None:
    layout = read(xml(["head", "coil"]))
    assert list(layout.objects) == ["head", "coil"]
    coil = layout.objects["coil"]
    assert (coil.xyz, coil.wxyz, coil.confidence, coil.to_mm) == ((8, 9, 10), (11, 12, 13, 14), 15, (1000.0,) * 3)
    assert (layout.channels, layout.rate_hz, layout.source_id, layout.host, layout.model) == (16, 120.0, "abc", "lab", "M N")


@pytest.mark.parametrize(("unit", "to_mm"), [("m", 1000.0), ("Metres", 1000.0), ("mm", 1.0), ("millimeters", 1.0)])
def test_the_unit_is_the_descriptions(unit: str, to_mm: float) -> None:
    assert read(xml(["head"], unit=unit)).objects["head"].to_mm == (to_mm,) * 3


def test_confidence_may_be_absent_and_the_order_another() -> None:
    layout = read(xml(["head"], kinds=tuple(reversed(KINDS[:7]))))
    assert (layout.objects["head"].xyz, layout.objects["head"].wxyz, layout.objects["head"].confidence) == ((6, 5, 4), (3, 2, 1, 0), None)


def test_without_an_object_the_label_tells_it() -> None:
    text = xml(["head"]).replace("<object>head</object>", "")
    assert list(read(text).objects) == ["head"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (xml(["head"], kind="EEG"), "type 'EEG'"),
        (xml(["head"], unit="inches"), "'inches'"),
        (xml(["head"], unit=""), "given in ''"),
        (xml(["head"], count=9), "8 channels are described, 9 are sent"),
        (xml(["head"], kinds=("PositionX", "PositionY", "PositionZ", "OrientationH", "OrientationP", "OrientationR")), "no object"),
        ("<info><type>MoCap</type>", "no XML"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]>" + xml(["head"]), "declares entities"),
        (xml(["head"]).replace("120.0", "often"), "'often'"),
        ("<info>" + "x" * 300_000 + "</info>", "too long"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(text: str, what: str) -> None:
    with pytest.raises(WireError) as refused:
        read(text)
    assert what in refused.value.what
    assert refused.value.remedy
