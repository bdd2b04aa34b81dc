"""Random pauses, so that processes that wait for the same thing do not all wake at once.

A daemon's worker reseeds the module `random` before each job once it is loaded. Nothing in gigq
or gigqd loads it: the workers of an application that does not need it do not pay for that.
"""

from __future__ import annotations

import os
from _random import Random

_noise = Random()
os.register_at_fork(after_in_child=_noise.seed)


def random_between(low: float, high: float) -> float:
    """Return a random number between two others."""
    return low + (high - low) * _noise.random()
