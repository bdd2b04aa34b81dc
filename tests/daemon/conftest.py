"""Every test here may ask for daemons."""

import pytest
from support.daemon import daemons

__all__ = ["daemons", "launched"]


@pytest.fixture
def launched(daemons):
    """A function that makes daemons for `gigqd start`; what then runs is stopped at the end."""
    made = []

    def make(settings=None):
        made.append(daemons(settings, start=False))
        return made[-1]

    yield make
    for daemon in made:
        daemon.command("stop", "--now")
