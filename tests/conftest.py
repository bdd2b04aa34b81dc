"""What every test may take for granted, however the test runner was started."""

from __future__ import annotations

import gc
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from support import checks, fork_server, leases, own_locks, postgres, temporary_folders
from support.order import long_first, own_order

from gigq import events
from gigq.model import signatures

if TYPE_CHECKING:
    from collections.abc import Iterator

_ABOUT_DOCUMENTS = re.compile(r"^pytestmark = \[?pytest\.mark\.docs\b", re.MULTILINE)

# `make soak` asks for the other profile, with many more examples.
settings.register_profile("quick", max_examples=20, deadline=None)
settings.register_profile("soak", max_examples=300, deadline=None)
settings.load_profile("quick")


# They triple the cost of a daemon: each would compile every module, and no command could be forked.
for slow in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
    os.environ.pop(slow, None)


def pytest_configure(config: pytest.Config) -> None:
    """Name the folders of this run, and spread the reading of the tests over its processes."""
    temporary_folders.prepare()
    postgres.prepare()
    if config.args == ["tests"]:
        config.args = own_order(sorted(map(str, Path("tests").glob("[a-z]*/"))))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folders of this run, unless a test has failed."""
    temporary_folders.remove(config)


def pytest_sessionstart() -> None:
    """Hear what a shell makes the background deaf to, SIGINT and SIGQUIT, and nohup SIGHUP."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no module whose tests are all left out: those of documents, or all the others."""
    expression = config.option.markexpr
    if collection_path.suffix != ".py" or not (expression == "docs" or "not docs" in expression):
        return None
    is_about_documents = _ABOUT_DOCUMENTS.search(collection_path.read_text(encoding="utf-8"))
    return True if bool(is_about_documents) != (expression == "docs") else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the tests with daemons first: they wait a lot, and short ones fill the end evenly.

    The longest tests are the first of each process of the run: one that starts late would be
    the only one at the end.
    """
    items.sort(key=lambda item: (item.get_closest_marker("daemon") is None, item.location[0]))
    processes = getattr(config, "workerinput", {}).get("workercount", 1)
    items[:] = long_first(items, lambda item: bool(item.get_closest_marker("long")), processes)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over the tests themselves, which stay until the end."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """End the interpreters that ran the commands, the bystanders and the database server."""
    session.config.stash[temporary_folders.PASSED] = exitstatus == pytest.ExitCode.OK
    fork_server.close()
    checks.end_bystanders()
    postgres.stop()


@pytest.fixture(autouse=True)
def compared_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare parameters with signatures, although other tests define workers of their own."""
    monkeypatch.setattr(signatures._Trust, "is_given", True)


@pytest.fixture(autouse=True)
def nothing_left_of_workers() -> Iterator[None]:
    """End the threads and release the locks of workers in this process."""
    yield
    leases.end_threads()
    own_locks.release()


@pytest.fixture
def reported() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The events that gigq reports during the test: name and fields, in order."""
    found: list[tuple[str, dict[str, Any]]] = []
    end = events.subscribe(lambda name, fields: found.append((name, dict(fields))))
    yield found
    end()
