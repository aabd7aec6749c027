"""The EMG inlet against a real LSL stream of this machine: samples on the host's clock, a stream that comes back, a missing library."""

import builtins
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.emg import Judgement, Peaks, judge, needed_ns
from drivers.emg_lsl import EmgStream
from drivers.values import NotThere
from sim.thumb import Thumb, wave_uv

RATE_HZ, DEADLINE_S = 2000, 20.0
MS = 1_000_000


@pytest.fixture(scope="module", autouse=True)
def _this_machine_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """LSL reads its configuration once, when it is loaded."""
    config = tmp_path_factory.mktemp("lsl") / "lsl_api.cfg"
    config.write_text("[multicast]\nResolveScope = machine\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSLAPICFG", str(config))
        yield


class Amplifier:
    """A stream that is filled as time passes: one channel in mV beside one that is always 1."""

    def __init__(self, name: str, value_uv: Callable[[int], float]) -> None:
        import pylsl  # noqa: PLC0415  # after the fixture

        self._lsl: Any = pylsl
        self._outlet = pylsl.StreamOutlet(pylsl.StreamInfo(name, "EMG", 2, RATE_HZ, "float32", f"{name}-source"))
        self._value_uv = value_uv
        self._sent = 0
        self._began_s = time.monotonic()

    def send_due(self) -> None:
        until = int((time.monotonic() - self._began_s) * RATE_HZ)
        times_s = [self._began_s + number / RATE_HZ for number in range(self._sent, until)]
        if times_s:
            chunk = [[1.0, self._value_uv(round(at_s * 1e9)) / 1000.0] for at_s in times_s]
            self._outlet.push_chunk(chunk, timestamp=times_s[-1] + self._lsl.local_clock() - time.monotonic())
            self._sent = until

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not holds():
            assert time.monotonic() < deadline
            self.send_due()


def newest_ns(stream: EmgStream) -> int:
    samples = stream.between(0, 1 << 62)
    return samples[-1].at_ns if samples else 0


def test_samples_come_on_the_hosts_clock_in_microvolts_and_a_twitch_is_told_from_none(tmp_path: Path) -> None:
    twitches: list[Any] = []

    def value_uv(at_ns: int) -> float:
        return sum(wave_uv(twitch, at_ns) for twitch in twitches) + 2.0 * math.sin(at_ns / 1e7)

    name = f"emg-{tmp_path.name}"
    stream, amplifier = EmgStream(name, 1, "mV"), Amplifier(name, value_uv)
    thumb = Thumb(47.0, 0.07, 1)
    try:
        amplifier.until(lambda: stream.has_until(time.monotonic_ns() - 300 * MS))
        for amplitude_mso, seen in ((90, Judgement.RESPONSE), (10, Judgement.NONE)):
            rested_ns = time.monotonic_ns() + 300 * MS
            amplifier.until(lambda rested_ns=rested_ns: stream.has_until(rested_ns))  # type: ignore[misc]
            pulse_ns = time.monotonic_ns() + 20 * MS
            twitches.append(thumb.feel(pulse_ns, amplitude_mso))
            sent_ns, told_ns = pulse_ns - 20 * MS, pulse_ns + 30 * MS
            first_ns, last_ns = needed_ns(sent_ns, told_ns)
            amplifier.until(lambda last_ns=last_ns: stream.has_until(last_ns))  # type: ignore[misc]
            verdict = judge(stream.between(first_ns, last_ns), sent_ns, told_ns, Peaks())
            assert verdict.judgement is seen, verdict
    finally:
        stream.close()


def test_a_stream_that_goes_and_comes_back_is_found_again(tmp_path: Path) -> None:
    name = f"emg-{tmp_path.name}"
    stream, amplifier = EmgStream(name, 1, "mV"), Amplifier(name, lambda _: 1.0)
    try:
        amplifier.until(lambda: newest_ns(stream) > 0)
        del amplifier
        gone_ns = time.monotonic_ns()
        again = Amplifier(name, lambda _: 1.0)
        again.until(lambda: newest_ns(stream) > gone_ns + 100 * MS)
    finally:
        stream.close()


def test_a_channel_that_the_stream_does_not_have_gives_no_samples(tmp_path: Path) -> None:
    name = f"emg-{tmp_path.name}"
    stream, other, amplifier = EmgStream(name, 7, "mV"), EmgStream(name, 1, "mV"), Amplifier(name, lambda _: 1.0)
    try:
        amplifier.until(lambda: newest_ns(other) > 0)
        assert stream.between(0, 1 << 62) == ()
    finally:
        stream.close()
        other.close()


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "pylsl":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(NotThere, match=r"atmsd\[lsl\]"):
        EmgStream("emg", 0, "uV")
