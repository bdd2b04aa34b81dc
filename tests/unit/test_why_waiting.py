"""Why a pending job does not run yet."""

from __future__ import annotations

import pytest

from gigq.cli.formatting import local_time
from gigq.cli.why_waiting import Servers, reason, served
from gigq.model import clock
from gigq.model.served_queues import parse

NOW = "2026-11-28T12:00:00.000000+00:00"
JOB = {"retry_after": None, "on_parent_failure": "fail", "queue": "mail"}
FREE = "due; waits for a free worker of pool 'main'"
NOTHING = {"daemons": (), "workers": ()}


def parent(status, name="extract", id_="p1"):
    return {"id": id_, "name": name, "status": status}


def daemon(*queues, state="running", why=None, size=2):
    pool = {"name": "main", "size": size, "queues": list(queues)}
    return {"name": "default", "state": state, "reason": why, "pools": [pool]}


@pytest.mark.parametrize(
    ("parents", "policy", "said"),
    [
        (
            [parent("running")], "fail",
            ("waits for its parent extract (p1), which is running; if that one ends without "
            "success, this job fails too (on_parent_failure is fail)"),
        ),
        (
            [parent("pending"), parent("pending", "b", "p2")], "run",
            ("waits for its parent extract (p1), which is pending, and 1 more; this job runs "
            "however that one ends (on_parent_failure is run)"),
        ),
        (
            [parent("running"), parent("failed", "b", "p2")], "wait",
            ("waits for its parent b (p2), which is failed, and 1 more; requeue that one "
            "(on_parent_failure is wait)"),
        ),
        (
            [parent(None, None)], "wait",
            ("waits for its parent None (p1), which is missing; if that one ends without success, "
            "this job waits for its requeue (on_parent_failure is wait)"),
        ),
    ],
)  # fmt: skip
def test_a_job_waits_for_a_parent_first(parents, policy, said):
    job = {**JOB, "on_parent_failure": policy, "retry_after": clock.after(NOW, 60)}

    assert reason(job, parents, NOW) == said


def test_a_job_that_is_not_due_says_when_it_is(monkeypatch):
    job = {**JOB, "retry_after": clock.after(NOW, 3723)}

    assert reason(job, [], NOW) == (f"not due until {local_time(job['retry_after'])} (in 1h2m)")


@pytest.mark.parametrize("due_at", [None, NOW, clock.after(NOW, -1), b"\xff", 3])
def test_a_job_whose_time_has_come_or_that_has_none_is_due(due_at):
    assert reason({**JOB, "retry_after": due_at}, [], NOW) is None


def test_a_time_that_is_none_is_shown_as_it_is():
    assert reason({**JOB, "retry_after": "soon"}, [], NOW) == "not due until soon"


@pytest.mark.parametrize(
    ("daemons", "processes", "said"),
    [
        ([], NOTHING, "no daemon and no worker runs on this database; start gigqd, or gigq worker"),
        ([daemon("*")], NOTHING, FREE),
        ([daemon("mail", state="reloading")], NOTHING, FREE),
        (
            [daemon("*", size=0)], NOTHING,
            "its queue is served by pool 'main', which has no workers (size = 0)",
        ),
        ([daemon("mail", size=0), daemon("*")], NOTHING, FREE),
        (
            [daemon("*", "!mail"), daemon("a", "b")], {"daemons": (7, 8), "workers": ()},
            "its queue 'mail' is served by no pool (main: *, !mail; main: a, b)",
        ),
        (
            [daemon("*", state="paused")], NOTHING,
            "the daemon 'default' is paused; gigqd resume starts its jobs again",
        ),
        (
            [daemon("*", state="degraded", why="the disk is full")], NOTHING,
            "the daemon 'default' is degraded: the disk is full",
        ),
        ([daemon("*", state="stopping")], NOTHING, "the daemon 'default' is stopping"),
        ([daemon("*", state="paused"), daemon("*")], NOTHING, FREE),
        ([daemon("*"), daemon("*", state="paused")], NOTHING, FREE),
        (
            [daemon("*", state="paused")], {"daemons": (7,), "workers": (8,)},
            ("the daemon 'default' is paused; gigqd resume starts its jobs again; a "
            "plain worker (pid 8) runs on this database too"),
        ),
        (
            [daemon("a")], {"daemons": (7,), "workers": (8, 9)},
            ("due; a plain worker (pid 8, 9) runs on this database and is busy, or does not serve "
            "queue 'mail'"),
        ),
        (
            [], {"daemons": (), "workers": (0,)},
            ("due; a plain worker (in another container) runs on this database and is busy, or "
            "does not serve queue 'mail'"),
        ),
        (
            [], {"daemons": (7,), "workers": ()},
            "due; the daemon of this database is starting, or cannot announce what it serves",
        ),
        ([], None, "due; this user may not see which processes run jobs of this database"),
    ],
)  # fmt: skip
def test_a_due_job_waits_for_a_process(daemons, processes, said):
    assert served("mail", Servers(daemons, processes)) == said


def test_of_a_database_on_a_server_only_the_processes_of_this_host_are_seen():
    alone = served("mail", Servers([], NOTHING, are_shared=True))
    listed = served("mail", Servers([], NOTHING, (), True, "2 sessions of 'gigq daemon'"))
    others = served("mail", Servers([daemon("a")], NOTHING, are_shared=True))

    assert alone.startswith("due; this account sees no process on this host that serves it, and")
    assert "but the server lists 2 sessions of 'gigq daemon', of another host" in listed
    assert others == "its queue 'mail' is served by no pool of this host and account (main: a)"


def test_a_job_of_a_queue_that_no_waiting_worker_serves_says_so():
    servers = Servers(
        [], {"daemons": (), "workers": (8,)}, [parse(["a", "b"]), parse(["*", "!mail"])]
    )

    assert served("mail", servers) == "its queue 'mail' is served by no worker (a, b; *, !mail)"
    assert served("a", servers).startswith("due; a plain worker (pid 8)")
