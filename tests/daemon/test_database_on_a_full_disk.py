"""A disk that is full, fails, or may not be written: results are kept, and all heals by itself."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support import jobs
from support.store_faults import (
    integrity,
    wait_until_degraded,
    wait_until_running,
)

from gigq.store.sqlite.connections import close_connections

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.daemon


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 16 MB; it outlives the daemons of the test."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no tmpfs may be mounted here")
    yield place
    close_connections()
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def filled(place: Path) -> Iterator[None]:
    """Not a byte is left on this disk."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            while True:
                try:
                    file.write(b"x" * size)
                except OSError:
                    break
    try:
        yield
    finally:
        ballast.unlink()


@pytest.fixture
def on_small_disk(disk, daemons):
    """A daemon whose database lies on a disk of 16 MB, not started, and that disk."""
    daemon = daemons(start=False)
    daemon.database = disk / "jobs.db"
    daemon.configure({"queue.database": str(daemon.database), "queue.lock_timeout": 1})
    return daemon, disk


@pytest.mark.root
@pytest.mark.fault("G7")
def test_a_full_disk_loses_no_outcome_and_is_over_when_there_is_room(on_small_disk):
    daemon, place = on_small_disk
    daemon.start()
    go = daemon.home / "go"
    done = daemon.submit(jobs.wait_for_file, "done", {"path": str(go)}, max_attempts=1)
    dying = daemon.submit(jobs.sleep_py, "dying", max_attempts=1)
    pids = [daemon.wait_for_calls(key)[0].pid for key in ("done", "dying")]
    waiting = daemon.submit(jobs.ok, "waiting")

    with filled(place):
        go.touch()
        os.kill(pids[1], signal.SIGKILL)
        status = wait_until_degraded(daemon, "make room on the disk")
        daemon.wait_for_event("database_error")

    wait_until_running(daemon)
    assert "FULL" in status["reason"]
    assert not daemon.events("db_down")[-1]["pause_claims"]
    assert daemon.wait_for_job(done)["status"] == "completed"
    assert daemon.wait_for_job(waiting)["status"] == "completed"
    assert daemon.wait_for_job(dying)["executions"][0]["cause"] == "crashed"
    assert len(daemon.calls("done")) == 1
    assert integrity(daemon.database) == "ok"


@pytest.mark.root
@pytest.mark.fault("G7")
def test_jobs_that_cannot_be_claimed_on_a_full_disk_make_the_daemon_degraded(on_small_disk):
    daemon, place = on_small_disk
    daemon.start()
    daemon.wait_for_job(daemon.submit(jobs.ok, "before"))
    held = [daemon.submit(jobs.sleep_py, f"held {n}", {"seconds": 2}) for n in range(2)]
    daemon.wait_for_calls("held 1")
    waiting = daemon.submit(jobs.ok, "waiting")

    with filled(place):
        wait_until_degraded(daemon, "make room on the disk")

    for job_id in (*held, waiting):
        assert daemon.wait_for_job(job_id)["status"] == "completed"
    wait_until_running(daemon)


@pytest.mark.fault("G8")
def test_a_file_that_cannot_grow_is_reported_and_no_job_is_started_until_it_can(daemons):
    daemon = daemons({"queue.lock_timeout": 1, "pools.default.size": 1})
    recorder, worker = (slot["pid"] for slot in daemon.status()["slots"])
    limits = {recorder: 100, worker: 32_768}
    hard = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE)[1] for pid in limits}
    for pid, limit in limits.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, hard[pid]))

    big = daemon.submit(jobs.ok, "big", {"value": "x" * 300_000}, max_attempts=1)
    status = wait_until_degraded(daemon, "jobs.db")
    assert daemon.calls("big") == []
    for pid in limits:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard[pid], hard[pid]))

    assert "check the disk" in status["reason"] or "make room" in status["reason"]
    assert daemon.wait_for_job(big)["status"] == "completed"
    wait_until_running(daemon)
    assert [slot["pid"] for slot in daemon.status()["slots"]] == [recorder, worker]


@pytest.mark.root
@pytest.mark.fault("G8")
def test_a_start_on_a_read_only_disk_says_so_and_changes_nothing(on_small_disk):
    daemon, place = on_small_disk
    daemon.queue.stats()
    close_connections()
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    before = sorted(place.iterdir())

    answer = daemon.command("run")

    subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
    assert answer.returncode in (69, 73)
    assert str(place) in answer.stderr
    assert "Traceback" not in answer.stderr
    assert sorted(place.iterdir()) == before
