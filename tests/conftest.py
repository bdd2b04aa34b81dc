"""What every test may take for granted, however the test runner was started."""

from __future__ import annotations

import os
import signal
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from support import fork_server, postgres

from gigq import events
from gigq.model import signatures

if TYPE_CHECKING:
    from collections.abc import Iterator

# `make soak` asks for the other profile, with many more examples.
settings.register_profile("quick", max_examples=20, deadline=None)
settings.register_profile("soak", max_examples=300, deadline=None)
settings.load_profile("quick")


# They triple the cost of a daemon: each would compile every module, and no command could be forked.
for slow in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
    os.environ.pop(slow, None)


def pytest_configure() -> None:
    """Keep the temporary folders of this copy of the project in one of their own.

    pytest closes the folder of all sessions to other accounts whenever one begins, and so would
    take the files from the tests of another session that work as two accounts.
    """
    name = f"gigq-{zlib.crc32(str(Path(__file__).parent).encode()):08x}-{os.geteuid()}"
    folder = Path(tempfile.gettempdir(), name)
    folder.mkdir(mode=0o755, exist_ok=True)
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))
    postgres.prepare()


def pytest_sessionstart() -> None:
    """Hear what a shell makes the background deaf to, SIGINT and SIGQUIT, and nohup SIGHUP."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests with daemons first: they wait a lot, and short ones fill the end evenly."""
    items.sort(key=lambda item: item.get_closest_marker("daemon") is None)


def pytest_sessionfinish() -> None:
    """End the interpreters that ran the commands, and the database server."""
    fork_server.close()
    postgres.stop()


@pytest.fixture(autouse=True)
def compared_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare parameters with signatures, although other tests define workers of their own."""
    monkeypatch.setattr(signatures._Trust, "is_given", True)


@pytest.fixture
def reported() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The events that gigq reports during the test: name and fields, in order."""
    found: list[tuple[str, dict[str, Any]]] = []
    end = events.subscribe(lambda name, fields: found.append((name, dict(fields))))
    yield found
    end()
