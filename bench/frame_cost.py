"""`frame_cost`: our own Python for one frame, from the reply's bytes to the gate's decision, two tools seen and one hidden or not.

In this process, without sockets: `NdiTracker.feed`, `Aiming.frame`, the `View` and both sets of rules, as the hot process has them.
"""

import cProfile
import gc
import pstats
import time

from bench.chair import aim_at, chair_config
from bench.options import Options
from bench.scene import Still
from bench.table import Row, print_rows, us
from daemon.gate import RUN_RULES, START_RULES, View, vetoes
from daemon.hot import Hot
from daemon.ipc import FrameNews, channel_from_fd
