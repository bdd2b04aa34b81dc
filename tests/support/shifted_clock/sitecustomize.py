"""A calendar clock that a test can put forward and back under a running daemon.

Python imports this by itself when its folder is on the path. The offset in seconds stands in the
file that an environment variable names. The monotonic clock stays as it is, as it does when
the machine's clock is set.
"""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from gigq.model import clock

_file = Path(os.environ["CLOCK_OFFSET_FILE"])
_true_time = time.time


def _shifted() -> float:
    return _true_time() + float(_file.read_text())


def _utc_now() -> str:
    return clock.to_text(datetime.fromtimestamp(_shifted(), UTC))


time.time = _shifted
clock.utc_now = _utc_now
