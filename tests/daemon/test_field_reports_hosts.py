"""What went wrong where several hosts share a job queue, from public bug reports: daemons."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing

import pytest
from support import jobs, jobs_that_talk, stores
from support.postgres_standby import with_standby
from support.raw_sql import Program
from support.waiting import wait_until

pytestmark = [pytest.mark.daemon, pytest.mark.long]

LEASE = 6
# A process namespace is another host to gigq: it cannot see the daemon, nor the end of it.
ELSEWHERE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


def rows(daemon, sql):
    with closing(Program(daemon.address)) as program:
        return program.rows(sql)


def lease_ends_at(daemon):
    return [row["lease_ends_at"] for row in rows(daemon, "SELECT * FROM gigq_processes")]


@pytest.fixture
def pair():
    """A server with a standby, and the tables of a queue."""
    with with_standby(synchronous=False) as pair:
        stores.begun_at(pair.address)
        yield pair


@pytest.mark.fault("O8")
def test_a_daemon_that_reaches_a_standby_only_says_so_in_few_lines_and_goes_on(pair, daemons):
    """graphile/worker#224: thirty thousand lines in twenty seconds."""
    hosts = f"{pair.primary.folder},{pair.standby.folder}"
    address = f"postgresql://postgres@/postgres?host={hosts}"
    daemon = daemons({"queue.database": address, "pools.default.size": 1})
    go = daemon.home / "go"
    long = daemon.submit(jobs.wait_for_file, "long", {"path": str(go)}, max_attempts=1)
    daemon.wait_for_calls("long")
    before = len(daemon.log())

    pair.primary.stop("immediate")
    log = pair.standby.folder / "log"
    wait_until(
        lambda: log.read_text().count("in a read-only transaction") > 5,
        why="the daemon has tried to write several times",
        deadline=60,
    )
    assert "read-only transaction" in daemon.status()["reason"]
    refusals = [one for one in daemon.log()[before:] if "error" in one]
    assert [one["event"] for one in refusals] == ["db_down"]
    pair.standby.promote()
    go.touch()

    job = daemon.wait_for_job(long, within=60)
    assert [one["status"] for one in job["executions"]] == ["completed"]


@pytest.mark.fault("O2")
@pytest.mark.parametrize("daemons", ["postgres"], indirect=True)
def test_a_daemon_whose_row_is_deleted_adds_it_again_and_keeps_its_job(daemons, launched):
    """rails/solid_queue#763, rails/solid_queue#778: it was never registered again."""
    daemon = daemons({"pools.default.size": 1}, lease=LEASE)
    go = daemon.home / "go"
    job_id = daemon.submit(jobs.wait_for_file, "long", {"path": str(go)})
    daemon.wait_for_calls("long")
    other = launched({"queue.database": daemon.address, "daemon.name": "other"})
    assert other.command("start").returncode == 0
    wait_until(lambda: len(lease_ends_at(daemon)) == 2, why="both have rows")

    with closing(Program(daemon.address)) as program:
        program.execute("DELETE FROM gigq_processes")
    wait_until(lambda: len(lease_ends_at(daemon)) == 2, why="both have rows again", deadline=30)
    go.touch()

    job = daemon.wait_for_job(job_id)
    assert [one["status"] for one in job["executions"]] == ["completed"]


@pytest.mark.fault("O9")
@pytest.mark.parametrize("daemons", ["postgres"], indirect=True)
def test_a_job_that_holds_the_interpreter_for_several_leases_runs_once(daemons, launched):
    """hatchet-dev/hatchet#322, janbjorge/pgqueuer#323: the job delayed the heartbeat."""
    daemon = daemons({"pools.default.size": 1}, lease=3)
    job_id = daemon.submit(jobs.hold_gil, "holds", timeout=12, max_attempts=1)
    daemon.wait_for_calls("holds")
    other = launched({"queue.database": daemon.address, "daemon.name": "other"})
    assert other.command("start").returncode == 0

    job = daemon.wait_for_job(job_id, within=60)
    assert [one["cause"] for one in job["executions"]] == ["timeout"]
    assert len(daemon.calls("holds")) == 1


@pytest.mark.fault("O10")
@pytest.mark.parametrize("daemons", ["postgres"], indirect=True)
def test_a_reader_on_another_host_goes_on_when_the_host_that_runs_the_job_has_died(
    daemons, launched, tmp_path
):
    """mesosphere-backup/mesos-cli#12: following the output of a task crashed with its host."""
    if subprocess.run([*ELSEWHERE, "true"], capture_output=True).returncode:
        pytest.skip("this user may not make a pid namespace")
    daemon = daemons({"pools.default.size": 1}, lease=3)
    params = {"cues": str(tmp_path), "lines": ["one", "two"]}
    job_id = daemon.submit(jobs_that_talk.say_on_cue, "talk", params, max_attempts=2)
    daemon.wait_for_calls("talk")
    command = [*ELSEWHERE, sys.executable, "-m", "gigq", "--db", daemon.address, "logs", "-f"]
    out, err = tmp_path / "out", tmp_path / "err"
    with (
        out.open("wb") as to_out,
        err.open("wb") as to_err,
        subprocess.Popen(
            [*command, job_id], env=daemon.environment, stdout=to_out, stderr=to_err
        ) as reader,
    ):
        (tmp_path / "0").touch()
        wait_until(lambda: out.read_text() == "talk: one\n", why="it is followed", deadline=30)
        other = launched({"queue.database": daemon.address, "daemon.name": "other"})
        assert other.command("start").returncode == 0
        daemon.kill()
        (tmp_path / "1").touch()
        assert reader.wait(60) == 0

    assert out.read_text() == "talk: one\ntalk: one\ntalk: two\n"
    assert "attempt 1 ended: failed (lost" in err.read_text()
    assert f"job {job_id} is completed" in err.read_text()
