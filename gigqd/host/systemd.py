"""Notifications to systemd about the daemon's state, as of sd_notify(3)."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

_SOCKET = "NOTIFY_SOCKET"
_ASK_EVERY = 10.0
_PRIVATE_PREFIXES = ("NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "INVOCATION_ID")


class Notifier:
    """Sender of notifications to the service manager; does nothing when there is none.

    A notification that cannot be delivered at once is dropped: the loop never waits for systemd.

    Args:
        environ: the environment with `NOTIFY_SOCKET`, which is read once.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environ.get(_SOCKET, ""))
        self._ask_at = 0.0

    def ready(self, status: str = "") -> None:
        """Report that the start or a reload is complete."""
        self._send("READY=1", f"STATUS={_one_line(status)}" if status else "")

    def status(self, text: str) -> None:
        """Show one line of text in `systemctl status`."""
        self._send(f"STATUS={_one_line(text)}")

    def reloading(self) -> None:
        """Report the begin of a reload; `ready` must follow. The time identifies the reload."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, status: str = "") -> None:
        """Report that the stop has begun."""
        self._send("STOPPING=1", f"STATUS={_one_line(status)}" if status else "")

    def watchdog(self) -> None:
        """Report that the loop has completed a turn."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> None:
        """Ask for more time to start or stop.

        Args:
            seconds: the time from now until systemd may expect the next notification.
        """
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def extend_timeout_if_due(self, now: float) -> float:
        """Ask for more time now and every 10 s, during a start or a stop.

        Args:
            now: the time, in seconds of the monotonic clock.

        Returns:
            The time of the next request, on the same clock.
        """
        if now >= self._ask_at:
            self._ask_at = now + _ASK_EVERY
            self.extend_timeout(2 * _ASK_EVERY)
        return self._ask_at

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        text = "\n".join(line for line in lines if line).encode(errors="replace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
                sock.sendto(text, self._address)
        except OSError:
            return  # a missing or overloaded manager must not stop the supervisor


def watchdog_interval(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return the longest time between two calls of `Notifier.watchdog`.

    Returns:
        Seconds, or None when systemd does not watch this process.
    """
    try:
        microseconds = int(environ.get("WATCHDOG_USEC", ""))
        watched = int(environ.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return None
    if microseconds <= 0 or watched != os.getpid():
        return None
    return microseconds / 1_000_000


def scrub(environ: MutableMapping[str, str]) -> None:
    """Remove systemd's variables for the daemon, so that jobs cannot notify in its place."""
    for name in [name for name in environ if name.startswith(_PRIVATE_PREFIXES)]:
        del environ[name]


def is_started_by_systemd(environ: Mapping[str, str] = os.environ) -> bool:
    """Return True when a service manager has started this process as (part of) a unit.

    `INVOCATION_ID` alone is not sufficient: every shell that a unit of a desktop or an agent has
    started inherits it. So the process that systemd executed must be this one or its parent.
    """
    if _SOCKET in environ:
        return True
    if "INVOCATION_ID" not in environ:
        return False
    manager = 1
    executed = environ.get("SYSTEMD_EXEC_PID")
    return os.getppid() == manager or executed in (str(os.getpid()), str(os.getppid()))


def _address(path: str) -> str:
    """Return the address for a socket's path; a leading @ means an abstract name."""
    if path.startswith("@"):
        return "\0" + path[1:]
    return path if path.startswith("/") else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())
