"""Restart policy for dead workers: a token bucket for crashes, a circuit breaker for failed boots.

The rules are pure: callers pass the time. docs/how-it-works.md explains them.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gigqd.supervisor.slots import Slot

_BURST = 10.0
_PER_SECOND = 2.0
_WINDOW = 60.0
_FEWEST_FAILURES = 5
_FIRST_PROBE = 2.0
_LONGEST_PROBE = 60.0


class Bucket:
    """Token bucket for workers that replace one that had run jobs and crashed.

    It allows ten at once and then two a second, so that a thousand crashes do not cause a thousand
    forks in a row.
    """

    _tokens: float = _BURST
    _at: float = 0.0

    def take(self, now: float) -> float:
        """Take a token.

        Returns:
            0.0, or how many seconds it is until there is one.
        """
        self._tokens = min(_BURST, self._tokens + (now - self._at) * _PER_SECOND)
        self._at = now
        if self._tokens < 1.0:
            return (1.0 - self._tokens) / _PER_SECOND
        self._tokens -= 1.0
        return 0.0


class Breaker:
    """Circuit breaker: opens when a pool's workers fail to boot repeatedly; then one is tried.

    Attributes:
        size: how many workers the pool is to have.
        open: it delays all workers but one, the probe.
    """

    open: bool = False
    _pause: float = _FIRST_PROBE
    _probe_at: float = 0.0

    def __init__(self, size: int = 0) -> None:
        self.size = size
        self._failures: deque[float] = deque()

    def failed(self, now: float) -> bool:
        """Count a failed boot; return True when it opens the breaker."""
        self._failures.append(now)
        while self._failures[0] < now - _WINDOW:
            self._failures.popleft()
        if self.open:
            self._pause = min(_LONGEST_PROBE, self._pause * 2)
            self._probe_at = now + self._pause
            return False
        self.open = len(self._failures) >= max(_FEWEST_FAILURES, 2 * self.size)
        self._probe_at = now + self._pause
        return self.open

    def succeeded(self) -> bool:
        """Close the breaker after a boot; return True when it was open."""
        was_open = self.open
        self.reset()
        return was_open

    def reset(self) -> None:
        """Forget all failures: the code or the configuration may have changed."""
        self.open = False
        self._failures.clear()
        self._pause = _FIRST_PROBE
        self._probe_at = 0.0

    def next_try_at(self, now: float) -> float:
        """Return when the next worker may be tried; a time that is past when one may now."""
        if not self.open:
            return 0.0
        if now < self._probe_at:
            return self._probe_at
        # The probe takes the place; the others wait for what becomes of it.
        self._probe_at = now + self._pause
        return 0.0


class Restarts:
    """Restart rules of all pools."""

    def __init__(self) -> None:
        self._buckets: defaultdict[str, Bucket] = defaultdict(Bucket)
        self._breakers: defaultdict[str, Breaker] = defaultdict(Breaker)

    def wait(self, slot: Slot, now: float) -> float:
        """Return the seconds until a slot may get its next child."""
        if slot.canary:
            return 0.0
        held = self._breakers[slot.pool].next_try_at(now)
        if held > now:
            return held - now
        return self._buckets[slot.pool].take(now) if slot.crashed else 0.0

    def failed(self, slot: Slot, now: float) -> bool:
        """Count a failed boot; return True when it opens the breaker of the slot's pool."""
        return not slot.canary and self._breakers[slot.pool].failed(now)

    def resize(self, pool: str, size: int) -> None:
        """Set the number of workers of a pool."""
        self._breakers[pool].size = size

    def booted(self, slot: Slot) -> bool:
        """Note a boot; return True when it closes the breaker of the slot's pool."""
        return self._breakers[slot.pool].succeeded()

    def reset_breaker(self, slot: Slot) -> None:
        """Allow a pool's workers at once: its code or configuration may have changed."""
        if not slot.canary:
            self._breakers[slot.pool].reset()

    def open_breakers(self) -> list[str]:
        """Return the pools whose breaker is open."""
        return [pool for pool, breaker in self._breakers.items() if breaker.open]
