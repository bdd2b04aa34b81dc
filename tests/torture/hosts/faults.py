"""What is done to a host and to its link, besides what is done to any daemon."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from torture import ledger
from torture.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from torture.crowd import Crowd
    from torture.hosts.host import Host
    from torture.hosts.network import Link
    from torture.notes import Notes
    from torture.plan import Fault

_WAYS = (("out",), ("in",), ("out", "in"))
_LONGEST_DELAY = 0.8
_LEAST_LOSS, _MOST_LOSS = 0.02, 0.5
_CLOCKS = (-600.0, -3.0, 3.0, 86400.0)
"""Seconds by which a clock that jumps is ahead of the others then."""

_DEAD = "die"
_ON_HOST = ("host", "daemon", "supervisor", "recorder", "worker")
_SETTLES = 20.0
"""Seconds after which TCP has sent again what was lost, and all is as before: it waits for as long
again as it has waited before."""


class HostFaults(Faults):
    """Does what the plan of one host says.

    Args:
        host: the host.
        link: its link.
        crowd: the submitters.
        notes: what is counted.
    """

    def __init__(self, host: Host, link: Link, crowd: Crowd, notes: Notes) -> None:
        super().__init__(host, crowd, notes)
        self._host = host
        self._link = link
        self._ill: set[str] = set()
        self._well_since = 0.0

    def is_possible(self, fault: Fault) -> bool:
        """Whether it can be played now: a host that is stopped can only lose its network."""
        if fault.target in ("network", *_ON_HOST) and _DEAD in self._ill:
            return False
        if fault.target == "network":
            return fault.what not in self._ill
        if fault.target in _ON_HOST and self._host.is_stopped:
            return False
        if fault.what == _DEAD:  # the link that is made then has no fault
            return not self._ill and self.life.is_settled
        return fault.target == "host" or super().is_possible(fault)

    def disturbed_since(self, moment: float) -> bool:
        """Whether host, network or database were in the way at some time since a moment."""
        return bool(self._ill) or self._well_since > moment or super().disturbed_since(moment)

    # --- the host --------------------------------------------------------------------------------

    def _freeze(self, fault: Fault) -> None:
        self._begin(fault, "SIGSTOP host", self._wake)
        self._host.stop_all()

    def _wake(self) -> None:
        ledger.note(self._notes.ledger, "wake", **self._notes.more)
        self._host.wake_all()

    def _die(self, fault: Fault) -> None:
        """A power cut: the network has no word of it, and no process has time for anything."""
        self._begin(fault, "SIGKILL host", self._boot)
        self._link.disconnect()
        self.life.kill(fault.start, float("inf"))
        self._host.namespaces.close()

    def _boot(self) -> None:
        self._host.namespaces.start()
        self._link.connect()
        self.life.come_back()

    def _jump(self, fault: Fault) -> None:
        ahead = _CLOCKS[int(fault.pick * len(_CLOCKS))]
        self._notes.did("clock jump", ahead=ahead, seconds=fault.seconds)
        self._host.set_clock(ahead)
        self.do_later(fault.seconds, self._host.set_clock)

    # --- the network -----------------------------------------------------------------------------

    def _cut(self, fault: Fault) -> None:
        set_up = partial(self._link.set_up, far=fault.now)
        self._begin(fault, "link down", lambda: set_up(up=True))
        set_up(up=False)

    def _blackhole(self, fault: Fault) -> None:
        ways = _some(fault)
        self._begin(fault, f"black hole {_named(ways)}", lambda: self._link.drop("delete", ways))
        self._link.drop("add", ways)

    def _stall(self, fault: Fault) -> None:
        ways = _some(fault)
        self._begin(fault, f"stalled {_named(ways)}", lambda: self._link.relay(stalled=[]))
        self._link.relay(stalled=ways)

    def _lose(self, fault: Fault) -> None:
        ways = _some(fault)
        share = _LEAST_LOSS + (_MOST_LOSS - _LEAST_LOSS) * (fault.pick * len(_WAYS) % 1)
        self._begin(fault, f"packet loss {_named(ways)}", self._link.lose_nothing)
        self._link.lose(share, ways)

    def _delay(self, fault: Fault) -> None:
        self._begin(fault, "delays", lambda: self._link.relay(delay=0.0))
        self._link.relay(delay=fault.pick * _LONGEST_DELAY)

    def _half_open(self, fault: Fault) -> None:
        self._begin(fault, "half-open connections", lambda: self._link.relay(held=None))
        self._link.relay(held="client" if fault.now else "server")

    def _begin(self, fault: Fault, name: str, undo: Callable[[], None]) -> None:
        self._notes.did(name, seconds=fault.seconds)
        self._ill.add(fault.what)
        self.do_later(fault.seconds, lambda: self._end(fault.what, undo))

    def _end(self, what: str, undo: Callable[[], None]) -> None:
        undo()
        self._ill.discard(what)
        self._well_since = time.monotonic() + _SETTLES


def _some(fault: Fault) -> tuple[str, ...]:
    return _WAYS[int(fault.pick * len(_WAYS))]


def _named(ways: tuple[str, ...]) -> str:
    return "both ways" if len(ways) > 1 else ways[0]
