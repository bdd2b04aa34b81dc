"""The password in the address of the database: no file, no output and no process list shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil
import pytest
from support import jobs
from support.free_port import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.daemon import Daemon

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.parametrize("daemons", ["postgres"], indirect=True),
]

PASSWORD = "hunter2hunter2"


@pytest.fixture
def daemon(daemons: Callable[..., Daemon]) -> Iterator[Daemon]:
    """A daemon whose configuration has the password; the server of the tests asks for none."""
    found = daemons(start=False, fresh=True)
    found.configure({"queue.database": with_password(found.address)})
    found.start()
    yield found
    found.finish()


def with_password(address: str) -> str:
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.replace("@", f":{PASSWORD}@")).geturl()


def command_lines(daemon: Daemon) -> list[str]:
    processes = map(psutil.Process, (daemon.pid, *daemon.worker_pids()))
    return [" ".join(process.cmdline()) for process in processes]


def files_with_password(daemon: Daemon) -> list[str]:
    return [
        str(path.relative_to(daemon.home))
        for path in daemon.home.rglob("*")
        if path.is_file() and PASSWORD in path.read_text(errors="replace")
    ]


def outputs(daemon: Daemon, *words: str) -> str:
    answers = [daemon.command(word) for word in words]
    return "".join(answer.stdout + answer.stderr for answer in answers)


def test_a_daemon_writes_the_password_nowhere(daemon: Daemon) -> None:
    daemon.wait_for_job(daemon.submit(jobs.ok, "good"), "completed")

    assert PASSWORD not in outputs(daemon, "status", "check", "reload", "config")
    assert files_with_password(daemon) == ["gigq.toml"]
    assert [line for line in command_lines(daemon) if PASSWORD in line] == []


def test_a_daemon_that_cannot_connect_does_not_show_the_password(daemon: Daemon) -> None:
    address = daemon.address
    missing = f"postgresql://me:{PASSWORD}@127.0.0.1:{free_port()}/shop?connect_timeout=2"
    daemon.configure({"queue.database": missing})

    shown = outputs(daemon, "check", "status", "reload")
    assert "postgresql://me@127.0.0.1" in shown
    assert PASSWORD not in shown
    assert files_with_password(daemon) == ["gigq.toml"]
    daemon.configure({"queue.database": address})
