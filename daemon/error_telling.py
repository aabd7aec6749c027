"""One frame's coil error as clients read it: raw, smoothed for screens, and how wrong each number is expected to be."""

import msgspec

from calibration.coil_error import CoilError
from calibration.error_sigma import ErrorParts, ErrorSigma, error_sigma
from daemon.display import Display
from daemon.ipc import FrameNews
from daemon.messages import CoilErrorBody, ErrorNumbers

# 1 sigma of a coil calibration where its record says nothing better: four engraved points touched to 0.5 mm (RMS, 3-D) on a face of some
# 70 mm leave half of that at its centre, and 0.5 mm / sqrt(3) over 35 mm about each axis.
PRIOR_COIL_MM, PRIOR_COIL_DEG = 0.5, 0.5


class ErrorTelling:
    """Keeps what the numbers beside the raw ones need. The parts it does not know are set by who does."""

    def __init__(self) -> None:
        self.display = Display()
        self.coil_mm: float | None = PRIOR_COIL_MM
        self.coil_deg: float | None = PRIOR_COIL_DEG
        self.slip_mm: float | None = 0.0  # what the last check of the head reference could not exclude; none since the registration
        self.slip_deg: float | None = 0.0

    def body(self, news: FrameNews, now_ns: int, registration_mm: float | None) -> CoilErrorBody:
        age_ms = None if news.exposed_ns is None else (now_ns - news.exposed_ns) / 1e6
        displayed = self.display.numbers(news)
        error = news.error
        if error is None:
            return CoilErrorBody(frame_number=news.frame_number, exposed_ns=news.exposed_ns, age_ms=age_ms, on_target=False, settling=False)
        return CoilErrorBody(
            frame_number=news.frame_number,
            exposed_ns=news.exposed_ns,
            age_ms=age_ms,
            on_target=news.on_target,
            settling=news.settling,
            expected_error_mm=registration_mm,
            displayed=None if displayed is None else numbers(displayed),
            sigma=numbers(self._sigma(news, registration_mm)),
            **msgspec.structs.asdict(error),
        )

    def _sigma(self, news: FrameNews, registration_mm: float | None) -> ErrorSigma:
        fits = {sample.tool: sample.fit_rms_mm for sample in news.tools}
        parts = ErrorParts(
            registration_mm=registration_mm,
            coil_mm=self.coil_mm,
            coil_deg=self.coil_deg,
            slip_mm=self.slip_mm,
            slip_deg=self.slip_deg,
        )
        return error_sigma(parts, fits.get("head"), fits.get("coil"))


def numbers(values: CoilError | ErrorSigma) -> ErrorNumbers:
    """The same names on the wire."""
    return ErrorNumbers(**msgspec.structs.asdict(values))
