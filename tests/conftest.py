"""What every test may take for granted, however the test runner was started."""

from __future__ import annotations

import signal


def pytest_sessionstart() -> None:
    """Hear Ctrl-C and SIGQUIT: a shell starts what it puts in the background deaf to both."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
