"""The description of an LSL motion-capture stream: which channel is which coordinate of which object, in which unit. Pure.

Metadata: github.com/sccn/xdf/wiki/MoCap-Meta-Data. The description comes from the network and is read as such.
"""

import re
import xml.etree.ElementTree as ET  # documents that declare entities are refused before they get there

import msgspec

from drivers.values import WireError

MOST_CHARACTERS = 200_000
MOST_CHANNELS = 1024
_DECLARES = re.compile(r"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_TO_MM = {
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1000.0),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1.0),
}
_POSITION = ("PositionX", "PositionY", "PositionZ")
_ORIENTATION = ("OrientationA", "OrientationB", "OrientationC", "OrientationD")  # A is the scalar part
_CONFIDENCE = "Confidence"


class ObjectChannels(msgspec.Struct, frozen=True, kw_only=True):
    """Where one rigid object's numbers stand in a sample, counted from 0."""

    xyz: tuple[int, int, int]
    wxyz: tuple[int, int, int, int]
    to_mm: tuple[float, float, float]
    confidence: int | None


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """A whole stream: its objects by name, and who sends it."""

    objects: dict[str, ObjectChannels]
    channels: int
    rate_hz: float | None  # None: irregular
    source_id: str
    host: str
    model: str


def read_layout(xml: str, where: str) -> Layout:
    """What a stream says of itself. Objects without a full pose are left out.

    Raises WireError when it is no MoCap stream, declares no object with a pose, or gives lengths in a unit that is not known.
    """
    info = _parse(xml, where)
    if info.findtext("type") != "MoCap":
        raise WireError(f"a stream of type {info.findtext('type')!r}, not MoCap", where, "Name a motion-capture stream.")
    channels = info.findall("desc/channels/channel")
    declared = int(_number(info.findtext("channel_count"), where))
    if len(channels) != declared or declared > MOST_CHANNELS:
        raise WireError(f"{len(channels)} channels are described, {declared} are sent", where, "Mend the sender's description.")
    by_object: dict[str, dict[str, tuple[int, str]]] = {}
    for number, channel in enumerate(channels):
        of = by_object.setdefault(_object_of(channel), {})
        of[_text(channel, "type")] = (number, _text(channel, "unit").lower())
    objects = {name: _object(of, name, where) for name, of in by_object.items() if _has_pose(of)}
    if not objects:
        raise WireError("no object with position and quaternion is described", where, "Mend the sender's description.")
    rate_hz = _number(info.findtext("nominal_srate"), where)
    maker = f"{info.findtext('desc/acquisition/manufacturer') or ''} {info.findtext('desc/acquisition/model') or ''}".strip()
    return Layout(
        objects=objects,
        channels=declared,
        rate_hz=rate_hz if rate_hz > 0.0 else None,
        source_id=info.findtext("source_id") or "",
        host=info.findtext("hostname") or "",
        model=maker or "LSL MoCap",
    )


def _parse(xml: str, where: str) -> ET.Element:
    if len(xml) > MOST_CHARACTERS or _DECLARES.search(xml):
        raise WireError("a description that is too long or declares entities", where, "Do not use this stream.")
    try:
        return ET.fromstring(xml)  # noqa: S314  # no entities: see above
    except ET.ParseError as error:
        raise WireError(f"a description that is no XML ({error})", where, "Mend the sender.") from error


def _number(text: str | None, where: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1e6:
        raise WireError(f"a description with {text!r} where a number belongs", where, "Mend the sender.")
    return value


def _text(channel: ET.Element, name: str) -> str:
    return (channel.findtext(name) or "").strip()


def _object_of(channel: ET.Element) -> str:
    """The object that it names, or else its label without the part behind the last _ or dot."""
    return _text(channel, "object") or re.sub(r"[_.][^_.]*$", "", _text(channel, "label"))


def _has_pose(of: dict[str, tuple[int, str]]) -> bool:
    return all(kind in of for kind in (*_POSITION, *_ORIENTATION))


def _object(of: dict[str, tuple[int, str]], name: str, where: str) -> ObjectChannels:
    units = [of[kind][1] for kind in _POSITION]
    unknown = [unit for unit in units if unit not in _TO_MM]
    if unknown:
        raise WireError(f"object {name!r} is given in {unknown[0]!r}", where, "Lengths must be described as meters or millimeters.")
    x, y, z = (of[kind][0] for kind in _POSITION)
    a, b, c, d = (of[kind][0] for kind in _ORIENTATION)
    x_mm, y_mm, z_mm = (_TO_MM[unit] for unit in units)
    confidence = of.get(_CONFIDENCE)
    return ObjectChannels(
        xyz=(x, y, z), wxyz=(a, b, c, d), to_mm=(x_mm, y_mm, z_mm), confidence=None if confidence is None else confidence[0]
    )
