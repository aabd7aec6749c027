"""The daemon of a whole room under trial, as a program: `python -m tests.campaign.whole_daemon ...` instead of `daemon.app`.

The target is wherever the coil is when the camera first sees it, so that nobody has to register a head.
"""

import sys
from pathlib import Path

import numpy as np

from calibration.frames import Transform
from daemon.config import Config, load_config
from daemon.ipc import Aim, FrameNews
from daemon.on_target import DEFAULT_LIMITS
from daemon.registrar import Registrar
from sim.room_plan import plan_path
from tests.campaign.board import Board
from tests.campaign.chair import FAR_NS, quick_treatments
from tests.campaign.daemon_process import run_with_operator

UNDER_COIL_MM = (0.0, 0.0, 20.0)
IDENTITY = tuple(tuple(row) for row in np.eye(4).tolist())


def aim_at(frame: FrameNews, config: Config) -> Aim | None:
    """The coil's present pose as the target, in a space that is the head's own; None while either is unseen."""
    tools = {sample.tool: sample for sample in frame.tools}
    seen = [tools.get(name) for name in ("head", "coil")]
    if frame.exposed_ns is None or any(each is None or each.wxyz is None or each.in_tracker_mm is None for each in seen):
        return None
    head, coil = (Transform.from_quaternion("tracker", each.tool, each.wxyz, each.in_tracker_mm) for each in seen)
    coiltool_from_coil = Transform("coil", "mount", np.array(config.tools.coil.coiltool_from_coil))
    head_from_mount = head.inverse() @ coil @ coiltool_from_coil
    x, y, z = head_from_mount.apply(np.array(UNDER_COIL_MM)).tolist()
    return Aim(
        mri_from_head=IDENTITY,
        mri_from_target=tuple(tuple(row) for row in head_from_mount.matrix.tolist()),
        target_in_mri_mm=(x, y, z),
        limits=DEFAULT_LIMITS,
        registration_expires_ns=FAR_NS,
        check_expires_ns=FAR_NS,
        reference_holds=True,
    )


def main(argv: list[str]) -> int:
    path = Path(argv[argv.index("--config") + 1])
    config, board = load_config(path), Board(path.parent / "board")
    aims: list[Aim] = []

    def frame(_self: Registrar, news: FrameNews) -> None:
        if not aims and (aim := aim_at(news, config)) is not None:
            aims.append(aim)

    Registrar.frame = frame
    Registrar.aim = lambda _self: aims[0] if aims else None
    return run_with_operator(argv, board, quick_treatments(plan_path(path.parent, "demo_itbs90"), config))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
