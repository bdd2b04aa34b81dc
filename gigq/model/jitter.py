"""Random numbers for pauses, so that waiting processes do not all try at the same time.

The module `random` is not used: once it is loaded, a worker of the daemon must seed it before each
job.
"""

from __future__ import annotations

import os
from _random import Random

_noise = Random()
os.register_at_fork(after_in_child=_noise.seed)


def random_between(low: float, high: float) -> float:
    """Return a random number between two others."""
    return low + (high - low) * _noise.random()
