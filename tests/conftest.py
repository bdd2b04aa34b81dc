"""What every test may take for granted, however the test runner was started."""

from __future__ import annotations

import signal


def pytest_sessionstart() -> None:
    """Hear what a shell makes the background deaf to, SIGINT and SIGQUIT, and nohup SIGHUP."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
