"""The coil's calibration as the hot process holds it: the chair file's, or what the daemon hands over from the history.

Pure. Without one the gate's rule about calibration is closed, and there is no coil error.
"""

from datetime import datetime
from typing import Self

import msgspec
import numpy as np

from calibration.frames import Transform
from daemon.config_tools import CoilTool
from daemon.ipc import Calibrated

Matrix = tuple[tuple[float, ...], ...]


class CalibrationInForce(msgspec.Struct, frozen=True, kw_only=True):
    """`is_handed_over`: this chair's comes from the history, so that there is none before the daemon says so."""

    is_handed_over: bool
    rows: Matrix | None = None
    valid_until_utc_ns: int | None = None

    @classmethod
    def at_start(cls, coil: CoilTool) -> Self:
        if coil.calibration == "store" or coil.coiltool_from_coil is None or coil.valid_until_utc is None:
            return cls(is_handed_over=coil.calibration == "store")
        until_utc_ns = round(datetime.fromisoformat(coil.valid_until_utc).timestamp() * 1e9)
        return cls(is_handed_over=False, rows=coil.coiltool_from_coil, valid_until_utc_ns=until_utc_ns)

    def handed_over(self, order: Calibrated, *, at_rest: bool) -> "CalibrationInForce":
        """After the daemon's word. The chair file's figures stand; what changes while armed or firing leaves none in force."""
        if not self.is_handed_over:
            return self
        given = CalibrationInForce(is_handed_over=True)
        if order.coiltool_from_coil is not None:
            given = CalibrationInForce(is_handed_over=True, rows=order.coiltool_from_coil, valid_until_utc_ns=order.valid_until_utc_ns)
        return given if at_rest or given == self else CalibrationInForce(is_handed_over=True)

    @property
    def coiltool_from_coil(self) -> Transform | None:
        return None if self.rows is None else Transform("coiltool", "coil", np.array(self.rows, dtype=np.float64))

    def expires_ns(self, wall_minus_mono_ns: int) -> int | None:
        """When it ends on the monotonic clock, by the wall clock as it stands now; None where there is none."""
        return None if self.rows is None or self.valid_until_utc_ns is None else self.valid_until_utc_ns - wall_minus_mono_ns
