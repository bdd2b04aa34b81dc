"""`gigq workers` shows each process that runs jobs, on a file and on a server."""

from __future__ import annotations

import json
from contextlib import closing
from importlib.metadata import version

import pytest
from support import jobs
from support.raw_sql import Program
from support.waiting import wait_until

from gigq import JobQueue
from gigqd import exit_codes

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.parametrize("daemons", ["sqlite", "postgres"], indirect=True),
]


def workers_of(daemon, *options):
    done = daemon.gigq("workers", *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def listed(daemon):
    return [json.loads(line) for line in workers_of(daemon, "--json").splitlines()]


def test_a_daemon_is_shown_with_its_pools_and_its_running_jobs_until_it_stops(daemons):
    daemon = daemons({"pools.default.size": 1, "pools.default.queues": ["default", "mail"]})
    go = daemon.home / "go"
    job_id = daemon.submit(jobs.wait_for_file, "runs", {"path": str(go)})
    daemon.wait_for_calls("runs")
    wait_until(lambda: listed(daemon), why="the recorder has stored the row")
    (found,) = listed(daemon)
    printed = workers_of(daemon).splitlines()
    (job,) = found["jobs"]

    assert (found["kind"], found["name"], found["pid"]) == ("gigqd", "default", daemon.pid)
    assert found["version"] == version("gigqd")
    assert found["pools"] == [{"name": "default", "size": 1, "queues": ["default", "mail"]}]
    assert found["state"] == "running" or found["state"].startswith("lease ends in ")
    assert (job["job_id"], job["name"], job["queue"]) == (job_id, "runs", "default")
    answer = json.loads(daemon.command("status", "--all", "--json").stdout)
    assert [one["run"] for one in answer["daemons"]] == [found["run"]]
    assert daemon.command("status", "--all").stdout.splitlines()[1:] == printed[1:]
    assert printed[0].startswith(f"gigqd 'default' on {found['host']} (pid {daemon.pid}), gigq ")
    assert printed[1] == "  pool default: 1 worker, queues default, mail"
    assert printed[2].startswith(f"  {job['worker_id']}: runs ({job_id}), since ")
    go.touch()
    daemon.wait_for_job(job_id, "completed")
    daemon.stop()
    assert workers_of(daemon) == "No process runs jobs.\n"
    stopped = daemon.command("status", "--all")
    assert stopped.returncode == exit_codes.STATUS_STOPPED
    assert stopped.stdout == "no daemon serves this queue\n"


def test_a_reload_that_changes_the_pools_shows_the_new_ones(daemons):
    daemon = daemons({"pools.default.size": 1})
    wait_until(lambda: listed(daemon), why="the recorder has stored the row")

    daemon.configure({"pools.default.size": 2, "pools.mail.size": 1, "pools.mail.queues": ["mail"]})
    daemon.command("reload")

    def pools():
        return {pool["name"]: (pool["size"], pool["queues"]) for pool in listed(daemon)[0]["pools"]}

    new = {"default": (2, ["*"]), "mail": (1, ["mail"])}
    wait_until(lambda: pools() == new, 30.0, why="the next recorder has stored the row")
    assert "paused" not in daemon.command("status", "--all").stdout
    with JobQueue(daemon.address) as queue:
        queue.pause("mail")
    assert "\nqueue mail is paused, since 20" in daemon.command("status", "--all").stdout
    assert list(json.loads(daemon.command("status", "--all", "--json").stdout)["paused"]) == [
        "mail"
    ]
    assert len(listed(daemon)) == 1


def test_a_killed_daemon_is_gone_and_the_next_one_deletes_its_row_on_a_file(daemons):
    daemon = daemons({"pools.default.size": 1})
    wait_until(lambda: listed(daemon), why="the recorder has stored the row")
    (before,) = listed(daemon)
    daemon.kill()
    wait_until(lambda: listed(daemon)[0]["state"].startswith("gone"), why="its locks are free")
    on_file = daemon.address == str(daemon.database)
    assert listed(daemon)[0]["state"].startswith("gone" if on_file else "gone, lease ")

    daemon.start()

    def others():
        return [one["run"] for one in listed(daemon) if one["run"] != before["run"]]

    wait_until(others, why="the next daemon is shown")
    if on_file:
        assert [one["run"] for one in listed(daemon)] == others()


def test_a_lease_that_is_over_says_since_when(daemons):
    daemon = daemons({"pools.default.size": 1}, lease=3)
    wait_until(lambda: listed(daemon), why="the recorder has stored the row")
    with closing(Program(daemon.address)) as program:
        program.execute(
            "INSERT INTO gigq_processes "
            "VALUES (?, 'gigqd', 'far', 7, '0.1.0', ?, ?, 30, ?, '{}', 1)",
            ("gigqd:1:word:boot:1:2:3", *["2026-01-01T00:00:00.000000+00:00"] * 3),
        )

    states = {one["host"]: one["state"] for one in listed(daemon)}

    # On a file every process is of this host, and its lock is free.
    on_file = daemon.address == str(daemon.database)
    assert states["far"].startswith("gone" if on_file else "lease over since 202")


ODD = ["[" * 50_000, "5", '{"pools": 5}', '{"pools": [1, {"name": "a"}]}']
ODD += ['{"pools": [{"name": "a", "size": 1, "queues": 5}]}']
ODD += ['{"pools": [{"name": "a", "size": 1, "queues": [5]}]}']


def test_odd_rows_of_another_program_hide_no_other_process(daemons):
    daemon = daemons({"pools.default.size": 1})
    wait_until(lambda: listed(daemon), why="the recorder has stored the row")
    begin = "2026-01-01T00:00:00.000000+00:00"
    insert = "INSERT INTO gigq_processes VALUES (?, 'gigqd', 'far', 7, '0.1.0', ?, ?, 30, ?, ?, 1)"
    with closing(Program(daemon.address)) as program:
        for number, info in enumerate(ODD):
            program.execute(insert, (f"gigqd:{number}:word:boot:1:2:3", begin, begin, begin, info))
        program.execute(insert, ("gigqd:9:word:boot:1:2:3", begin, begin, "no time", "{}"))

    found = {one["run"]: one for one in listed(daemon)}
    printed = workers_of(daemon)

    assert len(found) == len(ODD) + 2
    assert [one["pools"] for one in found.values() if one["host"] == "far"] == [[]] * (len(ODD) + 1)
    assert f"(pid {daemon.pid})" in printed
    assert f"(pid {daemon.pid})" in daemon.command("status", "--all").stdout


def test_without_the_database_all_daemons_are_unknown(daemons):
    daemon = daemons(start=False)
    daemon.configure({"queue.database": str(daemon.home / "absent.db")})

    done = daemon.command("status", "--all", "--json")
    answer = json.loads(done.stdout)

    assert (done.returncode, answer["ok"]) == (exit_codes.DATABASE_UNAVAILABLE, False)
    assert "absent.db" in answer["error"]
