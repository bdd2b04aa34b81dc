"""Resource limits of this process, read again only after a call that may have changed them."""

from __future__ import annotations

import functools
import resource
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Limits = tuple[tuple[int, int], ...]

_LIMITS = {
    f"the limit RLIMIT_{name}": getattr(resource, f"RLIMIT_{name}")
    for name in ("AS", "CORE", "CPU", "DATA", "FSIZE", "NOFILE", "NPROC", "STACK")
}
NAMES = tuple(_LIMITS)


class ResourceLimits:
    """Cached resource limits, invalidated by calls of `resource.setrlimit` and `resource.prlimit`.

    psutil uses these functions, too. Reading all limits after every job took a fifth of the whole
    leak check, one system call for each. Calls of setrlimit(2) by C code are not noticed.
    """

    def __init__(self) -> None:
        self._known = _read()
        self._may_differ = False
        for name in ("setrlimit", "prlimit"):
            setattr(resource, name, self._followed(getattr(resource, name)))

    def read(self) -> Limits:
        """Return the soft and the hard value of each limit."""
        if self._may_differ:
            self._may_differ = False
            self._known = _read()
        return self._known

    def restore(self, normal: Limits) -> None:
        """Set the limits that differ; only root may raise a hard one."""
        for limit, values in zip(_LIMITS.values(), normal, strict=True):
            if resource.getrlimit(limit) != values:
                resource.setrlimit(limit, values)

    def _followed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any) -> Any:
            try:
                return function(*args)
            finally:
                self._may_differ = True

        return call


def _read() -> Limits:
    return (*map(resource.getrlimit, _LIMITS.values()),)
