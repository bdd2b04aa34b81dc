"""Containers on one node that share a PostgreSQL queue: each counts as a host, and has a lease."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from support import jobs, postgres
from support.configs import clean_environment, to_toml
from support.json_lines import read_whole
from support.raw_sql import Program
from support.tree import ROOT
from support.waiting import wait_until

from gigq import Job, JobQueue
from gigq.model import clock
from gigqd.linux import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEASE = 10
LEASES = "SELECT run, lease_ends_at FROM gigq_processes"
APART = ["unshare", "--pid", "--mount", "--uts", "--fork", "--kill-child", "--mount-proc"]
ENTER = ["nsenter", "--pid", "--mount", "--uts", "--target"]

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.root,
    pytest.mark.skipif(
        subprocess.run([*APART, "hostname", "x"], capture_output=True, check=False).returncode != 0,
        reason="this account may not make namespaces for processes, mounts and host name",
    ),
]


class Container:
    """A daemon as process 1 of namespaces of its own, with files of its own.

    Args:
        folder: for its files; the next container with it has its runtime folder, too.
        address: the queue.
    """

    def __init__(self, folder: Path, address: str) -> None:
        folder.mkdir(exist_ok=True)
        self.name = folder.name
        self._log = folder / "gigqd.log"
        before = len(self.events("daemon_ready"))
        config = folder / "gigq.toml"
        settings = {
            "daemon.runtime_dir": str(folder / "run"),
            "queue.database": address,
            "queue.lease": LEASE,
            "log.file": str(self._log),
            "log.format": "json",
            "code.python_path": [str(ROOT / "tests")],
            "pools.default.size": 1,
        }
        config.write_text(to_toml(settings))
        self._environment = clean_environment()
        daemon = f"exec {sys.executable} -m gigqd --config {config} run"
        command = [*APART, "sh", "-c", f"hostname {self.name} && {daemon}"]
        self._outer = subprocess.Popen(command, cwd=folder, env=self._environment)
        wait_until(lambda: len(self.events("daemon_ready")) > before, 60.0)
        (self._first,) = syscalls.children_of(self._outer.pid)

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = read_whole(self._log.read_text()) if self._log.exists() else []
        return [line for line in lines if line["event"] == name]

    def workers(self, address: str) -> dict[str, dict[str, Any]]:
        """What `gigq workers` shows in the container, by host; the last daemon of each."""
        command = [*ENTER, str(self._first), sys.executable, "-m", "gigq", "--db", address]
        done = subprocess.run(
            [*command, "workers", "--json"],
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return {one["host"]: one for one in map(json.loads, done.stdout.splitlines())}

    @contextmanager
    def number_kept(self) -> Iterator[None]:
        """Keep the number of the process namespace from the next container.

        One with the same number and folder sees that its predecessor is gone, and need not wait.
        """
        descriptor = os.open(f"/proc/{self._first}/ns/pid", os.O_RDONLY)
        try:
            yield
        finally:
            os.close(descriptor)

    def end(self, number: int) -> None:
        """Signal process 1, with which all others end."""
        if self._outer.poll() is None:
            os.kill(self._first, number)
            self._outer.wait(60)


@pytest.fixture
def address():
    with postgres.fresh_database() as made:
        yield made


@contextmanager
def running(folder: Path, address: str) -> Iterator[Container]:
    container = Container(folder, address)
    try:
        yield container
    finally:
        container.end(signal.SIGKILL)


def beating(folder: Path, address: str) -> str:
    """Submit a job that writes the time until `beats.end` exists, and wait until it runs."""
    params = {"ledger": str(folder / "ledger"), "job": "beats", "path": str(folder / "beats")}
    job_id = JobQueue(address).submit(Job("beats", jobs.beat, params=params, max_attempts=2))
    wait_until((folder / "beats").exists, 60.0)
    return job_id


def end_of_lease(address: str, run: str) -> float:
    """When a lease ends, in seconds of the server's calendar clock."""
    with closing(Program(address)) as program:
        ends = {row["run"]: row["lease_ends_at"] for row in program.rows(LEASES)}
    return clock.parse(ends[run]).timestamp()


def second_start(folder: Path, address: str, job_id: str) -> float:
    """When a job started again, of which the first attempt was lost; the job is completed then."""

    def executions() -> list[dict[str, Any]]:
        return JobQueue(address).get_status(job_id)["executions"]

    wait_until(lambda: len(executions()) == 2, 60.0)
    (folder / "beats.end").touch()
    wait_until(lambda: executions()[-1]["status"] == "completed", 60.0)
    lost, again = executions()
    assert lost["cause"] == "lost"
    return clock.parse(again["started_at"]).timestamp()


def test_containers_are_hosts_to_each_other_and_a_killed_ones_jobs_wait_for_its_lease(
    tmp_path, address
):
    with running(tmp_path / "one", address) as one:
        job_id = beating(tmp_path, address)
        with running(tmp_path / "two", address) as two:
            before = two.workers(address)
            own, other = (before[name]["run"].split(":") for name in ("two", "one"))
            one.end(signal.SIGKILL)
            beats = (tmp_path / "beats").read_text().split()
            after = two.workers(address)["one"]
            ends_at = end_of_lease(address, before["one"]["run"])
            started = second_start(tmp_path, address, job_id)

    died = float(beats[-1])
    assert own[3] == other[3], "one kernel, one boot id"
    assert own[4] != other[4], "but two process namespaces"
    assert before["one"]["pid"] == before["two"]["pid"] == 1
    assert [one["state"][:13] for one in (*before.values(), after)] == ["lease ends in"] * 3
    assert [job["job_id"] for job in after["jobs"]] == [job_id]
    assert started >= ends_at > died
    sys.stdout.write(
        f"lease {LEASE} s: it ended {ends_at - died:.2f} s after the kill of the container, and "
        f"the job started again {started - ends_at:.2f} s later in the other one\n"
    )


def test_a_container_that_is_started_again_with_its_folder_waits_for_the_lease_of_its_predecessor(
    tmp_path, address
):
    with running(tmp_path / "one", address) as one, one.number_kept():
        job_id = beating(tmp_path, address)
        (run,) = [found["run"] for found in one.workers(address).values()]
        one.end(signal.SIGKILL)
        died = float((tmp_path / "beats").read_text().split()[-1])
        ends_at = end_of_lease(address, run)
        with running(tmp_path / "one", address):
            started = second_start(tmp_path, address, job_id)

    assert started >= ends_at > died
    sys.stdout.write(
        f"lease {LEASE} s: it ended {ends_at - died:.2f} s after the kill of the container, and "
        f"the job started again {started - ends_at:.2f} s later in the next one with its folder\n"
    )
