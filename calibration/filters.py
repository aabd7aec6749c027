"""One-Euro filter for numbers on screens. Nothing that decides uses it: a filter hides a jump for as long as it lags."""

import math
from dataclasses import dataclass

import numpy as np

from calibration.frames import FloatArray, Transform, rigid_matrix, rotation_from_vector, rotation_vector

GAP_NS = 200_000_000  # after a longer silence the past says nothing about now


@dataclass(frozen=True, slots=True)
class OneEuro:
    """Cut-offs in Hz, and how much the speed raises the first. At 60 Hz the defaults leave 0.03 mm of 0.08 and lag 16 ms.

    Casiez, Roussel, Vogel 2012, CHI, 2527.
    """

    least_cutoff_hz: float = 2.0
    speed_factor: float = 0.2
    speed_cutoff_hz: float = 1.0


@dataclass(frozen=True, slots=True)
class Filtered:
    """The filter's whole memory: its last output, the smoothed speed (units a second), and when."""

    value: float
    speed: float
    at_ns: int


def filtered(before: Filtered | None, value: float, at_ns: int, settings: OneEuro) -> Filtered:
    """One sample. Starts anew, from the sample itself, without a past or after a gap of more than 0.2 s.

    A sample that is no later than the last one changes nothing.
    """
    if before is None or at_ns - before.at_ns > GAP_NS:
        return Filtered(value, 0.0, at_ns)
    if at_ns <= before.at_ns:
        return before
    dt_s = (at_ns - before.at_ns) * 1e-9
    speed = before.speed + _share(settings.speed_cutoff_hz, dt_s) * ((value - before.value) / dt_s - before.speed)
    cutoff_hz = settings.least_cutoff_hz + settings.speed_factor * abs(speed)
    return Filtered(before.value + _share(cutoff_hz, dt_s) * (value - before.value), speed, at_ns)


@dataclass(frozen=True, slots=True, eq=False)
class FilteredPose:
    """A pose's filter: each axis of its position, and its rotation with the smoothed turn (degrees a second, in its own axes)."""

    pose: Transform
    position: tuple[Filtered, Filtered, Filtered]
    turn_deg_per_s: FloatArray
    at_ns: int


def filtered_pose(before: FilteredPose | None, pose: Transform, at_ns: int, settings: OneEuro) -> FilteredPose:
    """One pose, smoothed: every axis of the position, and the rotation along the turn from the last output to it.

    Starts anew after a gap of more than 0.2 s; one that is no later than the last changes nothing. Raises FrameMismatch for a pose
    between other frames.
    """
    if before is None or at_ns - before.at_ns > GAP_NS:
        x, y, z = (Filtered(value, 0.0, at_ns) for value in pose.translation_mm.tolist())
        return FilteredPose(pose, (x, y, z), np.zeros(3), at_ns)
    if at_ns <= before.at_ns:
        return before
    dt_s = (at_ns - before.at_ns) * 1e-9
    turn_deg = np.degrees(rotation_vector((before.pose.inverse() @ pose).rotation))
    share = _share(settings.speed_cutoff_hz, dt_s)
    speed: FloatArray = before.turn_deg_per_s + share * (turn_deg / dt_s - before.turn_deg_per_s)
    cutoff_hz = settings.least_cutoff_hz + settings.speed_factor * math.sqrt(float(speed @ speed))
    rotation = before.pose.rotation @ rotation_from_vector(np.radians(_share(cutoff_hz, dt_s) * turn_deg))
    places = zip(before.position, pose.translation_mm.tolist(), strict=True)
    x, y, z = (filtered(axis, value, at_ns, settings) for axis, value in places)
    smooth = Transform(pose.to, pose.frm, rigid_matrix(rotation, np.array((x.value, y.value, z.value))))
    return FilteredPose(smooth, (x, y, z), speed, at_ns)


def _share(cutoff_hz: float, dt_s: float) -> float:
    return 1.0 / (1.0 + 1.0 / (2.0 * math.pi * cutoff_hz * dt_s))
