"""Many workers, many jobs, long idleness: what the supervisor itself costs, and whom it signals."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from support import jobs
from support.hooks import hooked
from support.waiting import wait_until

from gigqd.process.process_tag import home_of

pytestmark = pytest.mark.daemon

RECORDER = """
    import json, os, signal
    from gigqd.process.process_tag import tag_of
    kill, killpg, send = os.kill, os.killpg, signal.pidfd_send_signal

    def pid_of(fd):
        lines = open(f"/proc/self/fdinfo/{{fd}}").read().split()
        return int(lines[lines.index("Pid:") + 1])

    def parent_of(pid):
        try:
            return int(open(f"/proc/{{pid}}/stat").read().rpartition(")")[2].split()[1])
        except OSError:
            return None

    def note(target, number, how):
        tag = str(tag_of(target)) if target > 0 else None
        line = dict(by=os.getpid(), target=target, tag=tag, parent=parent_of(target), how=how)
        with open({notes!r}, "a") as file:
            file.write(json.dumps(line) + "\\n")

    def noted_kill(pid, number):
        note(pid, number, "kill")
        return kill(pid, number)

    def noted_killpg(group, number):
        note(group, number, "killpg")
        return killpg(group, number)

    def noted_send(fd, number, *more):
        note(pid_of(fd), number, "pidfd")
        return send(fd, number, *more)

    os.kill, os.killpg, signal.pidfd_send_signal = noted_kill, noted_killpg, noted_send
"""


def cpu_of(process):
    times = process.cpu_times()
    return times.user + times.system


@pytest.mark.fault("J3")
@pytest.mark.parametrize("seconds", [6, pytest.param(600, marks=pytest.mark.soak)])
def test_an_idle_daemon_hardly_wakes_and_writes_nothing(daemons, seconds):
    daemon = daemons({"pools.default.size": 4})
    wait_until(lambda: len(daemon.slots("idle")) == 4)
    daemon.wait_for_job(daemon.submit(jobs.ok, "first"))
    supervisor = psutil.Process(daemon.pid)
    with closing(sqlite3.connect(daemon.database)) as watcher:
        wait_until(lambda: not daemon.database.with_name("jobs.db-wal").stat().st_size, 30)
        version = watcher.execute("PRAGMA data_version").fetchone()
        files = sizes_and_times(daemon)
        cpu, wakes = cpu_of(supervisor), supervisor.num_ctx_switches().voluntary
        until = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() > until, seconds + 30)
        used = cpu_of(supervisor) - cpu
        woken = supervisor.num_ctx_switches().voluntary - wakes

        assert watcher.execute("PRAGMA data_version").fetchone() == version
        assert sizes_and_times(daemon) == files
        assert used < 0.01 * seconds, "P10: an idle supervisor takes less than 1 % of a core"
        assert woken < seconds


def sizes_and_times(daemon):
    paths = [daemon.database, daemon.database.with_name("jobs.db-wal")]
    return [(path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


@pytest.mark.fault("J2")
@pytest.mark.soak
def test_a_hundred_slots_cost_the_supervisor_little(daemons):
    daemon = daemons({"pools.default.size": 100})
    wait_until(lambda: len(daemon.slots("idle")) == 100, 60)
    supervisor = psutil.Process(daemon.pid)
    resident, cpu, began = supervisor.memory_info().rss, cpu_of(supervisor), time.monotonic()

    for second in range(60):
        for number in range(100):
            daemon.submit(jobs.ok, f"job-{second}-{number}")
        until = began + second + 1
        wait_until(lambda until=until: time.monotonic() > until)
    wait_until(lambda: daemon.queue.stats()["completed"] == 6_000, 60)
    used = cpu_of(supervisor) - cpu

    assert used < 0.03 * (time.monotonic() - began)
    assert supervisor.memory_info().rss - resident < 5 * 1024**2


@pytest.mark.fault("J4")
def test_64_workers_come_up_and_go_within_ten_seconds_each(daemons):
    daemon = daemons({"pools.default.size": 64}, start=False)

    began = time.monotonic()
    daemon.start()
    wait_until(lambda: len(daemon.slots("idle")) == 64, 30)
    up = time.monotonic()
    daemon.stop()
    down = time.monotonic()

    assert up - began < 10.0
    assert down - up < 10.0


@pytest.mark.fault("J5")
def test_nobody_is_signalled_but_tagged_processes_and_own_children(daemons, tmp_path):
    notes = tmp_path / "signals"
    daemon = daemons({"pools.default.size": 3, "daemon.stop_timeout": "1s"}, start=False)
    recorder = hooked(tmp_path / "hook", "gigqd.supervisor.loop", RECORDER.format(notes=str(notes)))
    daemon.start(**recorder)

    family = daemon.submit(jobs.spawn_children, "family", timeout=2, max_attempts=1)
    messy = daemon.submit(jobs.leave_children_and_raise, "messy", max_attempts=2)
    crashing = daemon.submit(jobs.segv, "crashing", max_attempts=2)
    for job_id in (family, messy, crashing):
        daemon.wait_for_job(job_id, "timeout", "failed", within=30)
    daemon.submit(jobs.ignore_signals, "deaf", timeout=600)
    daemon.wait_for_calls("deaf")
    daemon.stop()

    sent = [json.loads(line) for line in notes.read_text().splitlines()]
    home = home_of(str(daemon.database))
    unidentified = [line for line in sent if home not in str(line["tag"]) and not is_own(line)]
    assert len(sent) > 10
    assert unidentified == []
    assert all(line["target"] > 1 and line["target"] != os.getpid() for line in sent)


def is_own(line):
    """Whether a process signalled itself, a child of its own, or one that was gone already."""
    return (
        line["by"] in (line["target"], line["parent"])
        or not Path(f"/proc/{line['target']}").exists()
    )
