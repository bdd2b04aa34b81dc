"""README, tutorial and how-to pages: every file and command of a page works, in an empty folder."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import postgres
from support.free_port import free_port
from support.guide import Page, Reader, stop_daemons
from support.systemd import analyze, needs_systemd
from support.tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.docs, pytest.mark.daemon]

HOWTO = sorted(path.name for path in (ROOT / "docs/howto").glob("*.md"))
PAGES = [
    *map(Page, ("README.md", "docs/index.md", "docs/tutorial.md", "docs/cli.md")),
    *map(Page, ("docs/api/running-jobs.md", "docs/api/hooks.md")),
    *(Page(f"docs/howto/{name}") for name in HOWTO),
]
REFERENCE = [
    Page(f"docs/reference/{name}.md") for name in ("jobs", "queue", "worker", "errors", "events")
]
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)

# What no test runs: the first line of the block, and why.
SHOWN_ONLY = {
    "README.md": {"make demo": "tests/daemon/test_demo.py runs it; `make test` is this run"},
    "docs/api/running-jobs.md": {
        "gigq.errors.NotJson": "is a stored error",
        "Last attempt:": "is a part of the answer for a job that took too long",
    },
    "docs/cli.md": {
        "$ gigq logs -f 019ab1c2": "see tests/cli/test_logs_of_other_hosts.py",
        "gigq worker --import": "names a module that the reader writes",
        "2026-11-23": "is what a worker writes to standard error",
        "gigqd 'default' on web1": "shows two hosts; tests/daemon/test_workers_seen.py has one",
        "$ export GIGQ_DB=postgresql": "needs a server; tests/cli/test_postgres.py has one",
        "$ gigq migrate --sql": "needs a server; tests/cli/test_migrate.py runs it with psql",
    },
    "docs/tutorial.md": {
        "systemctl --user": "needs a systemd of the account; `make systemd-test` boots one",
        "0 3 * * *": "is a line of a crontab",
    },
    "docs/howto/backup.md": {"15 3 * * *": "is a line of a crontab"},
    "docs/howto/cron.md": {
        "0 3 * * *": "is a crontab; the page runs its commands as cron does",
        "0 22 * * *": "is a line of a crontab",
        "systemctl --user": "needs a systemd of the account; `make systemd-test` boots one",
    },
    "docs/howto/containers.md": {
        "docker": "needs a container engine; tests/daemon/test_containers.py runs what they start",
        "livenessProbe": "is a part of a pod; tests/daemon/test_containers.py runs its command",
    },
    "docs/howto/from-celery.md": {"@app.task": "is code for Celery, to compare with"},
    "docs/howto/install.md": {
        "pip install --user": "tests/installation/test_ways.py installs in each of these ways",
        "gigqd stop": "tests/installation/test_changes.py removes a wheel",
    },
    "docs/howto/postgres.md": {
        "pip install": "tests/installation/test_ways.py installs in each way",
    },
    "docs/howto/systemd.md": {
        "systemd-sysusers": "needs systemd and root; `make systemd-test` runs it in a container",
    },
    "docs/howto/user-service.md": {
        "systemctl --user": "needs a systemd of the account; `make systemd-test` boots one",
        "loginctl": "needs systemd as well",
    },
}


@pytest.fixture
def reader(page: Page) -> Iterator[Reader]:
    """A reader in a new home directory, whose path is short enough for a socket."""
    with (
        tempfile.TemporaryDirectory(prefix="guide-", ignore_cleanup_errors=True) as home,
        around(page) as variables,
    ):
        reader = Reader(Path(home), free_port(), variables)
        yield reader
        stop_daemons(reader.home)
        reader.bash.close()


@contextmanager
def around(page: Page) -> Iterator[dict[str, str]]:
    """What a page takes for granted, as variables: PostgreSQL for the pages about it."""
    if page.path not in ("docs/howto/postgres.md", "docs/howto/several-hosts.md"):
        yield {}
        return
    with postgres.own_server() as server:
        path = f"{Path(sys.executable).parent}:{postgres.programs()}:{os.environ['PATH']}"
        yield {"PGHOST": str(server.folder), "PGUSER": "postgres", "PATH": path}


@pytest.mark.parametrize("page", [*PAGES, *REFERENCE], ids=lambda page: page.path)
def test_every_command_does_what_the_page_says(page: Page, reader: Reader) -> None:
    reader.follow(page)


@pytest.mark.parametrize("page", REFERENCE, ids=lambda page: page.path)
def test_a_page_about_the_library_has_an_example(page: Page) -> None:
    assert page.commands


@pages
def test_every_file_has_a_name_and_what_is_not_run_has_a_reason(page: Page) -> None:
    assert page.nameless == []
    shown = page.shown_only
    listed = SHOWN_ONLY.get(page.path, {})

    assert [text for text in shown if not text.startswith(tuple(listed))] == []
    assert [start for start in listed if not any(text.startswith(start) for text in shown)] == []


def test_the_readme_has_no_link_that_an_index_page_would_break() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert re.findall(r"\]\((?!https?://)[^)]*\)", readme) == []


def test_the_readme_shows_targets_of_the_makefile() -> None:
    (shown,) = [text for language, text in Page("README.md").blocks if language == "sh"]
    targets = re.findall(r"^make (\S+)", shown, re.MULTILINE)

    assert targets == ["demo", "test"]
    assert all(f"\n{target}: " in (ROOT / "Makefile").read_text() for target in targets)


def test_the_list_of_guides_is_complete() -> None:
    listed = re.findall(r"\]\(([\w.-]+\.md)\)", (ROOT / "docs/howto/index.md").read_text())

    assert sorted([*listed, "index.md"]) == HOWTO


@needs_systemd
@pytest.mark.parametrize("name", ["cron.md", "systemd.md"])
def test_systemd_finds_nothing_wrong_with_the_units_of_a_page(name: str, tmp_path: Path) -> None:
    blocks = [text for language, text in Page(f"docs/howto/{name}").blocks if language == "ini"]
    for block in blocks:
        path, _, text = block.partition("\n")
        unit = re.sub(r"^(Exec\w+=)\S+", r"\1/bin/true", text, flags=re.MULTILINE)
        (tmp_path / Path(path).name).write_text(unit)
    units = [path for path in tmp_path.iterdir() if path.suffix != ".conf"]

    done = analyze("verify", "--man=no", *units)

    assert units
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
