"""A `time.sleep` that works under libfaketime, for processes with this folder on their path.

Python sleeps until a time of the monotonic clock, and libfaketime turns that into an error (EINVAL)
now and then, although it leaves that clock alone.
"""

import select
import time


def _sleep(seconds: float) -> None:
    select.select([], [], [], seconds)


time.sleep = _sleep
