"""`commit`: what one dose decision costs on disk: an intent and its receipt, each checked and committed durably to the ledger."""

import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.options import CouldNotRun, Options
from bench.table import Row, ms, print_rows
