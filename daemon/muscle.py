"""Where the chair reads the muscle: the EMG stream that its file names, or nobody. The shell around `drivers.emg`."""

import asyncio

import structlog

from daemon.config import Config
from daemon.mt_words import Seen
from drivers.emg import Judgement, Peaks, judge, needed_ns
from drivers.emg_lsl import EmgStream
from drivers.values import NotThere

WAIT_S = 1.5  # for the samples after a pulse: a stream that is later than this is taken as silent
LOOK_S = 0.02
WORDS = {Judgement.RESPONSE: Seen.RESPONSE, Judgement.NONE: Seen.NONE, Judgement.UNDECIDED: Seen.UNDECIDED}
_log = structlog.get_logger()


class StreamMuscle:
    """A muscle's signal that comes as an LSL stream."""

    def __init__(self, stream: EmgStream, peaks: Peaks) -> None:
        self._stream, self._peaks = stream, peaks

    async def answer(self, sent_ns: int, told_ns: int) -> Seen:
        """Waits until the answer's time is in; undecided where it does not come, or cannot be believed."""
        first_ns, last_ns = needed_ns(sent_ns, told_ns)
        for _ in range(round(WAIT_S / LOOK_S)):
            if self._stream.has_until(last_ns):
                break
            await asyncio.sleep(LOOK_S)
        samples = self._stream.between(first_ns, last_ns)
        verdict = judge(samples, sent_ns, told_ns, self._peaks)
        doubt_ms = (told_ns - sent_ns) / 1e6
        size_uv = verdict.peak_to_peak_uv
        _log.info("emg", judgement=verdict.judgement.value, uv=size_uv, why=verdict.why, samples=len(samples), doubt_ms=doubt_ms)
        return WORDS[verdict.judgement]


def muscle_of(config: Config) -> StreamMuscle | None:
    """The configured muscle; None where the operator's eye is all there is. What is missing for a stream is logged, not fatal."""
    emg = config.emg
    if emg is None:
        return None
    try:
        stream = EmgStream(emg.stream, emg.channel, emg.unit)
    except NotThere as error:
        _log.warning("emg_unavailable", what=str(error))
        return None
    return StreamMuscle(stream, Peaks(threshold_uv=emg.threshold_uv, shows_pulse=emg.shows_pulse))
