"""Telling systemd how the daemon is: the sender's side of sd_notify(3)."""

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
    """Sends notes to the service manager; does nothing when there is none.

    A note that cannot be delivered at once is dropped: supervision never waits for systemd.

    Parameters:
        environ: where `NOTIFY_SOCKET` is read from, once.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environ.get(_SOCKET, ""))
        self._ask_at = 0.0

    def ready(self, status: str = "") -> None:
        """Start-up, or a reload, is over."""
        self._send("READY=1", f"STATUS={_one_line(status)}" if status else "")

    def status(self, text: str) -> None:
        """Show one line of text in `systemctl status`."""
        self._send(f"STATUS={_one_line(text)}")

    def reloading(self) -> None:
        """A reload begins; `ready` must follow. The time tells two reloads apart."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, status: str = "") -> None:
        """The stop has begun."""
        self._send("STOPPING=1", f"STATUS={_one_line(status)}" if status else "")

    def watchdog(self) -> None:
        """The loop has completed a turn."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> None:
        """Ask for more time to start or stop.

        Args:
            seconds: how long from now systemd shall wait for the next note.
        """
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def ask_for_patience(self, now: float) -> float:
        """While a start or a stop goes on, ask for more time now and every ten seconds.

        Args:
            now: the time, in seconds of the monotonic clock.

        Returns:
            When to ask again, same clock.
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
            return  # a manager that is away or overloaded must not stop the supervision


def watchdog_interval(environ: Mapping[str, str] = os.environ) -> float | None:
    """How often `Notifier.watchdog` must be called at the least.

    Returns:
        Seconds, or None when nobody watches this process.
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
    """Remove what systemd meant for the daemon alone, so that jobs do not speak in its name."""
    for name in [name for name in environ if name.startswith(_PRIVATE_PREFIXES)]:
        del environ[name]


def is_a_units_process(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a service manager has started this process as (part of) a unit.

    `INVOCATION_ID` alone does not tell: every shell that a desktop's or an agent's unit has
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
    """The address for a socket's path; a leading @ means an abstract name."""
    if path.startswith("@"):
        return "\0" + path[1:]
    return path if path.startswith("/") else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())
