"""The coil's numbers as a screen shows them: from a smoothed pose. Nothing that decides sees them: the gate is in another process."""

from calibration.coil_error import CoilError, coil_error
from calibration.filters import FilteredPose, OneEuro, filtered_pose
from calibration.frames import Transform
from calibration.scalp_patch import ScalpPatch
from daemon.aiming import transform_of
from daemon.ipc import Aim, FrameNews

SETTINGS = OneEuro()


class Display:
    """Smooths one frame after the other for one target."""

    def __init__(self) -> None:
        self._target: Transform | None = None
        self._point_mm: tuple[float, float, float] | None = None
        self._scalp: ScalpPatch | None = None
        self._kept: FilteredPose | None = None
        self._dated = False

    def aim(self, aim: Aim | None) -> None:
        """Another target, or none: the past is of no use to it."""
        self._kept = None
        self._target = None if aim is None else transform_of("mri", "coil", aim.mri_from_target)
        self._point_mm, self._scalp = (None, None) if aim is None else (aim.target_in_mri_mm, aim.scalp)

    def numbers(self, news: FrameNews) -> CoilError | None:
        """What to show at this frame; None while the coil's place is not known. Smoothing begins anew after that."""
        if self._target is None or news.coil_in_mri_mm is None or news.mri_from_coil_wxyz is None:
            self._kept = None
            return None
        if (news.exposed_ns is not None) != self._dated:
            self._kept, self._dated = None, news.exposed_ns is not None  # arrivals and exposures are not to be mixed
        at_ns = news.received_ns if news.exposed_ns is None else news.exposed_ns
        pose = Transform.from_quaternion("mri", "coil", news.mri_from_coil_wxyz, news.coil_in_mri_mm)
        self._kept = filtered_pose(self._kept, pose, at_ns, SETTINGS)
        return coil_error(self._target, self._kept.pose, self._point_mm, patch=self._scalp)
