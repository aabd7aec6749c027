"""The sections of the chair's file that describe trackers which stream, and what can be wrong in them."""

import re
from collections.abc import Mapping

from daemon.sections import Section

TOOLS = ("head", "pointer", "coil")
PLATE = "plate"  # the calibration plate's own tool, where the site has one
LONGEST_LATENCY_MS = 90.0  # a pose is fresh for 100 ms: a source that is later could never be aimed by
DEVICE_NAME_BYTES = 20  # of an OpenIGTLink header
TCP = re.compile(r"tcp://[^:/]+:\d+")


class Tracker(Section, frozen=True, kw_only=True, tag_field="kind"):
    """What every kind of tracker has. `max_fit_rms_mm`: a tool that fits worse is not good enough to fire on."""

    max_fit_rms_mm: float = 0.35

    @property
    def kind(self) -> str:
        """As the file says it."""
        return str(self.__struct_config__.tag)


class Streaming(Tracker, frozen=True, kw_only=True):
    """`tools`: head, pointer, coil and, if there is one, plate -> the name that the source gives each.

    `worst_latency_ms`: from exposure to the source's stamp, or to the arrival of a message, whichever the pose's age is counted from; it
    is inside every age. `stated_rms_mm`: the source tells no residual, so what the site has measured stands for it.
    """

    tools: dict[str, str]
    worst_latency_ms: float
    stated_rms_mm: float
    frame_hz: float | None = None

    @property
    def names(self) -> dict[str, str]:
        """The same in the order in which frames report them."""
        return {tool: self.tools[tool] for tool in (*TOOLS, PLATE) if tool in self.tools}


class LslTracker(Streaming, frozen=True, kw_only=True, tag="lsl"):
    """A motion-capture stream by its name. A pose whose confidence is below `least_confidence` is shown, never good enough to fire on."""

    stream: str
    least_confidence: float = 0.5


class IgtlTracker(Streaming, frozen=True, kw_only=True, tag="igtl"):
    """Transforms of an OpenIGTLink server; `frame_hz` as it is set to send."""

    endpoint: str


def stream_faults(tracker: LslTracker | IgtlTracker) -> list[str]:
    """All that is wrong in the section, a line each."""
    faults = _tool_faults(tracker.tools)
    if not 0.0 <= tracker.worst_latency_ms <= LONGEST_LATENCY_MS:
        faults.append(f"[tracker].worst_latency_ms: 0 to {LONGEST_LATENCY_MS:g}; a slower source cannot be aimed by")
    if not 0.0 < tracker.stated_rms_mm <= tracker.max_fit_rms_mm:
        faults.append("[tracker].stated_rms_mm: above 0, at most max_fit_rms_mm")
    if tracker.frame_hz is not None and not 1.0 <= tracker.frame_hz <= 1000.0:
        faults.append("[tracker].frame_hz: 1 to 1000")
    if isinstance(tracker, LslTracker):
        return faults + _lsl_faults(tracker)
    return faults + _igtl_faults(tracker)


def _tool_faults(tools: Mapping[str, str]) -> list[str]:
    faults = [f"[tracker.tools].{tool}: missing; write the name that the source gives it" for tool in TOOLS if not tools.get(tool)]
    known = (*TOOLS, PLATE)
    faults += [f"[tracker.tools].{tool}: no such tool; there are {', '.join(known)}" for tool in tools if tool not in known]
    if len(set(tools.values())) != len(tools):
        faults.append("[tracker.tools]: two tools of one name")
    return faults


def _lsl_faults(tracker: LslTracker) -> list[str]:
    faults = [] if tracker.stream.strip() else ["[tracker].stream: empty; name the stream"]
    if not 0.0 < tracker.least_confidence <= 1.0:
        faults.append("[tracker].least_confidence: above 0, at most 1")
    return faults


def _igtl_faults(tracker: IgtlTracker) -> list[str]:
    faults = [] if TCP.fullmatch(tracker.endpoint) else ["[tracker].endpoint: write tcp://HOST:PORT"]
    if tracker.frame_hz is None:
        faults.append("[tracker].frame_hz: missing; write the rate at which the server is set to send")
    for tool, name in tracker.tools.items():
        if not name.isascii() or len(name) > DEVICE_NAME_BYTES:
            faults.append(f"[tracker.tools].{tool}: {name!r} is no device name of OpenIGTLink (ASCII, {DEVICE_NAME_BYTES} bytes at most)")
    return faults
