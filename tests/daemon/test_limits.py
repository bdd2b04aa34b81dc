"""More workers than the kernel or the scoreboard has room for: the daemon lives with fewer."""

from __future__ import annotations

import os
import resource
import selectors
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support import jobs
from support.configs import write_config
from support.files import open_files
from support.waiting import wait_until

from gigqd.config import load
from gigqd.ipc.scoreboard import Report, Scoreboard
from gigqd.process import spawn
from gigqd.supervisor.child_setup import ChildSetup
from gigqd.supervisor.slots import Limits, Slot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gigqd.process.spawn import ChildContext

pytestmark = pytest.mark.daemon


@pytest.fixture
def limited(daemons) -> Callable[..., Any]:
    """A function that starts a daemon of 20 workers below a shell's limits."""

    def start(ulimit: str) -> Any:
        daemon = daemons({"pools.default.size": 20}, start=False)
        python = daemon.home / "python"
        python.write_text(f'#!/bin/sh\n{ulimit}\nexec "{daemon.interpreter}" "$@"\n')
        python.chmod(0o755)
        daemon.interpreter = str(python)
        daemon.start()
        return daemon

    return start


def test_a_daemon_that_may_open_few_files_works_with_few_workers_and_says_so(limited):
    daemon = limited("ulimit -n 140")

    refused = daemon.wait_for_event("worker_spawn_failed")
    reason = wait_until(lambda: daemon.status()["reason"])
    daemon.wait_for_job(daemon.submit(jobs.ok, "works"), "completed")
    overrun = daemon.submit(jobs.sleep_c, "overruns", timeout=0.1, max_attempts=1)

    assert daemon.wait_for_job(overrun)["status"] == "timeout"
    assert "140" in refused["error"]
    assert "cannot fork" in reason
    assert 1 <= len(daemon.worker_pids()) < 20


def test_a_daemon_takes_all_files_that_it_may_have_and_gives_its_jobs_the_usual(limited):
    daemon = limited("ulimit -Sn 140")
    job_id = daemon.submit(jobs.file_limit, "asks")

    assert daemon.wait_for_job(job_id, "completed")["result"] == 140
    wait_until(lambda: len(daemon.slots("idle")) == 20)


def test_a_child_that_there_is_no_cell_for_takes_nothing_else() -> None:
    board = Scoreboard(1)
    board.take()
    forking = ChildSetup(("home", "gigqd:1"), board, selectors.DefaultSelector())
    slot = Slot("default/0", "default", Limits(30.0, 2.0, 120.0))
    nothing: Any = None
    before = open_files()

    with pytest.raises(OSError, match="as many children"):
        forking.fork(slot, nothing, nothing)

    assert open_files() == before


@pytest.mark.fault("F8")
@pytest.mark.parametrize("missing", ["memfd_create", "fork"])
def test_a_child_that_the_kernel_refuses_takes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    def refuse(*_given: object) -> int:
        raise OSError(11, "Resource temporarily unavailable")

    board = Scoreboard(1)
    forking = ChildSetup(("home", "gigqd:1"), board, selectors.DefaultSelector())
    slot = Slot("default/0", "default", Limits(30.0, 2.0, 120.0))
    config = load(write_config(tmp_path), {})
    nothing: Any = None
    before = open_files()

    monkeypatch.setattr(os, missing, refuse)
    with pytest.raises(OSError, match="temporarily"):
        forking.fork(slot, config, nothing)

    assert open_files() == before
    assert board.take().read() == Report()


@pytest.mark.fault("F16")
def test_a_child_starts_although_the_supervisor_has_no_free_descriptor_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    forking = ChildSetup(("home", "gigqd:1"), Scoreboard(1), selectors.DefaultSelector())
    slot = Slot("default/0", "default", Limits(30.0, 2.0, 120.0))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    fork = spawn.fork

    def without_a_free_one(context: ChildContext, role: Callable[[ChildContext], int]) -> int:
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
        try:
            return fork(context, role)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    monkeypatch.setattr(spawn, "fork", without_a_free_one)
    monkeypatch.setattr(sys, "stdout", sys.__stdout__)  # the child closes the file of pytest's own
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    pid, _, ours = forking.fork(slot, load(write_config(tmp_path), {}), lambda _: 7)

    ours.close()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
