"""`start`: from the start of `atmsd run` in a running room to READY, which is: stimulator secured and in standby, camera tracking,
both said in telemetry. Where the time goes is told by what each part can be used from.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.options import CouldNotRun, Options
from bench.running import running
from bench.subscriber import Subscriber
from bench.table import Row, print_rows
from clients.endpoints import read_endpoints
from daemon.messages import StimBody, ToolsBody

RUNS = 5
ROOM_S, READY_S = 60.0, 30.0
BUDGET = (("max", 2.0),)
MODULES = ("daemon.cli", "daemon.supervise", "daemon.hot", "daemon.app")


def run(options: Options) -> None:
    answers, trackings, standbys, readys = [], [], [], []
    with tempfile.TemporaryDirectory(prefix="atmsd-bench-") as name:
        folder = Path(name)
        with running(folder, "room", "sim", "room", "--dir", name) as room:
            config = str(room.facts(ROOM_S)["config"])
            for _ in range(options.count_or(RUNS)):
                answer, tracking, standby = _start(folder, config)
                answers.append(answer)
                trackings.append(tracking)
                standbys.append(standby)
                readys.append(max(tracking, standby))
    rows = [
        Row("READY", readys, "s", BUDGET),
        Row("first telemetry heard", answers, "s"),
        Row("camera tracking, as told", trackings, "s"),
        Row("stimulator in standby, as told", standbys, "s"),
        *(Row(f"python -c 'import {module}'", [_import_s(module) for _ in range(3)], "s") for module in MODULES),
    ]
    print_rows("start: `atmsd run` -> standby and tracking", rows)


def _start(folder: Path, config: str) -> tuple[float, float, float]:
    """Seconds from the start until something was heard, until the camera tracks, until the stimulator stands by."""
    begun_s = time.monotonic()
    marks: dict[str, float] = {}
    telemetry = read_endpoints(Path(config))[1]
    with Subscriber(telemetry, "v1/") as subscriber, running(folder, "daemon", "daemon", "run", "--config", config):
        while not {"tracking", "standby"} <= marks.keys():
            update = subscriber.read(0.05)
            at_s = time.monotonic() - begun_s
            if at_s > READY_S:
                raise CouldNotRun(f"not ready within {READY_S:g} s; telemetry so far: {sorted(marks) or 'none'}")
            if update is not None:
                marks.setdefault("heard", at_s)
                match update.body:
                    case ToolsBody(tracker="tracking"):
                        marks.setdefault("tracking", at_s)
                    case StimBody(state="standby"):
                        marks.setdefault("standby", at_s)
    return marks["heard"], marks["tracking"], marks["standby"]


def _import_s(module: str) -> float:
    begun_s = time.monotonic()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    return time.monotonic() - begun_s
