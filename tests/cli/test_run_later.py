"""Jobs that run later on the command line: submit, list, run-now, reschedule and status."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import datetime, timedelta

import pytest
from support.raw_sql import Program

from gigq.cli.formatting import local_time
from gigq.model import clock

pytestmark = pytest.mark.each_database

AT = "2999-01-01T09:00:00+01:00"
DUE = "it is due already, and starts when a worker is free"


def seconds(earlier, later):
    return round((clock.parse(later) - clock.parse(earlier)).total_seconds())


def test_a_job_is_submitted_for_later_and_its_times_are_printed(shell):
    printed = shell.out(
        "submit", "shop.resize", "--name", "a", "-p", "file=x", "--in", "10m", "--expires-in", "1h"
    )
    (job,) = [shell.json("list")]

    assert printed.splitlines() == [
        f"Job submitted: {job['id']}",
        f"Not before: {local_time(job['retry_after'])}",
        f"Expires: {local_time(job['expires_at'])}",
    ]
    assert seconds(job["updated_at"], job["retry_after"]) == 600
    assert seconds(job["updated_at"], job["expires_at"]) == 3600


def test_the_times_are_in_the_json(shell):
    given = ("submit", "shop.resize", "--name", "a", "-p", "file=x")
    later = shell.json(*given, "--at", AT)

    assert later == {"id": later["id"], "retry_after": "2999-01-01T08:00:00.000000+00:00"}
    assert shell.json(*given).keys() == {"id"}
    assert shell.json(*given, "--in", "0").keys() == {"id"}


def test_a_time_without_a_zone_is_local_time(shell):
    given = ("submit", "shop.resize", "--name", "a", "-p", "file=x", "--at", "2999-01-01 09:00")
    printed = shell.out(*given, TZ="Asia/Kathmandu")

    assert shell.json("list")["retry_after"] == "2999-01-01T03:15:00.000000+00:00"
    assert printed.splitlines()[1] == "Not before: 2999-01-01 09:00:00+05:45"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--at", "tomorrow"), "'tomorrow' is not a time such as 23:30, 'tomorrow 09:00', '2026-"),
        (("--at", "25:00"), "'25:00' is not a time such as 23:30"),
        (("--at", "0001-01-01 00:00+14:00"), "is not a time such as"),
        (("--in", "soon"), "'soon' is not a duration such as 10m or 1h30m"),
        (("--in", "-5"), "--in: '-5' is negative; give a time from now on"),
        (("--in", "-5m"), "--in: '-5m' is negative; give a time from now on"),
        (("--in=-5m",), "--in: '-5m' is negative; give a time from now on"),
        (("--expires-in", "-1h"), "--expires-in: '-1h' is negative"),
        (("--expires-at", "2020-01-01"), "which is past, so it would never start"),
        (("--expires-at", AT, "--expires-in", "1h"), "not allowed with"),
        (("--in", "5", "--at", AT), "not allowed with"),
        (("--expires-in", "0"), "expires_in is 0.0; give more than 0"),
        (("--in", "2h", "--expires-in", "1h"), "and is due only at"),
    ],
)
@pytest.mark.only("sqlite")
def test_a_time_that_cannot_be_is_a_usage_error(shell, flags, message):
    refused = shell.run("submit", "shop.resize", "--name", "a", "-p", "file=x", *flags)

    assert refused.returncode == 2
    assert message in refused.stderr


def test_a_time_takes_the_place_of_that_of_the_task(shell, tmp_path):
    (tmp_path / "plans.py").write_text(
        "from gigq import task\n@task(delay='1h')\ndef plan():\n    pass\n"
    )
    late = shell.json("submit", "plans.plan")
    at = shell.json("submit", "plans.plan", "--at", AT)

    assert late["retry_after"] < at["retry_after"] == "2999-01-01T08:00:00.000000+00:00"


def test_delayed_jobs_are_listed_with_their_time_the_next_one_first(shell):
    shell.submit()
    parent = shell.submit()
    late = shell.submit("shop.resize", "--in", "2h")
    soon = shell.submit("shop.total", "--in", "1h", "--depends-on", parent)
    lines = shell.run("list", "--delayed", "--json").stdout.splitlines()
    found = [json.loads(line) for line in lines]
    printed = shell.out("list", "--delayed")

    assert [job["id"] for job in found] == [soon, late]
    assert "| Not before" in printed
    assert [local_time(job["retry_after"]) in printed for job in found] == [True, True]
    assert shell.json("list", "--delayed", "--limit", "1", "--offset", "1")["id"] == late


def test_a_job_is_run_now_and_rescheduled(shell):
    job_id = shell.submit("shop.resize", "--in", "2h")

    assert shell.out("run-now", job_id) == f"Job {job_id} is not delayed any more.\n"
    assert shell.json("reschedule", job_id, "--at", AT) == {
        "id": job_id, "rescheduled": True, "retry_after": "2999-01-01T08:00:00.000000+00:00",
    }  # fmt: skip
    printed = shell.out("reschedule", job_id[-8:], "--in", "1h")
    time = shell.json("status", job_id)["retry_after"]
    assert printed == f"Job {job_id} does not run before {local_time(time)}.\n"
    assert datetime.fromisoformat(time) - datetime.now().astimezone() <= timedelta(hours=1)


def test_ids_come_from_standard_input(shell, tmp_path):
    ids = [shell.submit("shop.resize", "--in", "2h") for _ in range(2)]
    (tmp_path / "ids").write_text("\n".join(ids))
    with (tmp_path / "ids").open() as listed:
        done = shell.run("run-now", "-", stdin=listed)

    assert done.returncode == 0
    assert [shell.json("status", one)["retry_after"] for one in ids] == [None, None]


def test_a_job_whose_time_cannot_be_changed_is_a_negative_answer_with_the_reason(shell):
    job_id = shell.submit()
    refused = shell.run("run-now", job_id, "unknown")

    assert refused.returncode == 1
    assert refused.stdout.splitlines() == [
        f"Job {job_id} cannot be made due now: {DUE}.",
        "Job unknown not found.",
    ]
    assert json.loads(shell.run("run-now", job_id, "--json").stdout) == {
        "id": job_id,
        "rescheduled": False,
        "reason": DUE,
    }


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("running", "it is running; cancel it, or wait for its end"),
        ("completed", "it is completed; submit a new job"),
        ("failed", "it is failed; requeue it"),
        ("cancelled", "it is cancelled; requeue it"),
    ],
)
def test_a_job_that_is_not_pending_is_refused_with_its_state_and_the_remedy(shell, state, reason):
    job_id = shell.submit()
    with closing(Program(shell.database)) as other:
        other.execute("UPDATE jobs SET status = ?", (state,))

    printed = shell.run("run-now", job_id)
    later = shell.run("reschedule", job_id, "--in", "5m")

    assert printed.stdout == f"Job {job_id} cannot be made due now: {reason}.\n"
    assert later.stdout == f"Job {job_id} could not be rescheduled: {reason}.\n"
    assert (printed.returncode, later.returncode) == (1, 1)


def test_a_job_expires_at_a_time_in_place_of_that_of_its_task(shell, tmp_path):
    (tmp_path / "plans.py").write_text(
        "from gigq import task\n@task(expires_in='1h')\ndef plan():\n    pass\n"
    )
    at = shell.json("submit", "plans.plan", "--expires-at", AT)

    assert at["expires_at"] == "2999-01-01T08:00:00.000000+00:00"


@pytest.mark.parametrize("command", [("run-now",), ("reschedule", "x"), ("reschedule",)])
@pytest.mark.only("sqlite")
def test_what_is_missing_is_a_usage_error(shell, command):
    shell.submit()
    assert shell.run(*command).returncode == 2


def test_the_status_says_why_a_job_waits_and_why_an_attempt_was_due(shell):
    job_id = shell.submit("shop.resize", "--in", "2h", "--expires-in", "3h")
    waiting = shell.out("status", job_id)
    shell.out("run-now", job_id)
    shell.out("worker", "--once")
    done = shell.json("status", job_id)
    (execution,) = done["executions"]

    assert "(in 1h59m; it was submitted so)" in waiting
    assert "Expires: " in waiting
    assert execution["due_why"] == "rescheduled"
    assert execution["due_at"] <= execution["started_at"]
    printed = shell.out("status", job_id, "--show-executions")
    assert f"Due: {local_time(execution['due_at'])} (rescheduled)" in printed


def test_jobs_are_run_now_and_rescheduled_by_conditions(shell):
    due, mail = shell.submit(), shell.submit("shop.greet", "-p", "name=Ada", "--in", "2h")
    charged = shell.submit("shop.charge", "-p", "order=7", "--retry-delay", "1h", "--queue", "pay")
    shell.run("worker", "--once", "--queue", "pay")

    assert shell.out("run-now", "--error", "no card") == (
        f"Job {charged} is not delayed any more.\n"
    )
    assert shell.out("run-now", "--status", "pending") == f"Job {mail} is not delayed any more.\n"
    assert shell.run("run-now", "--status", "pending").returncode == 1
    later = shell.run("reschedule", "--queue", "default", "--in", "1h", "--json")
    assert [json.loads(line)["id"] for line in later.stdout.splitlines()] == [due]


def test_the_refusal_to_requeue_a_delayed_job_names_run_now(shell):
    job_id = shell.submit("shop.resize", "--in", "1h")

    assert shell.run("requeue", job_id).stdout == (
        f"Job {job_id} could not be requeued: it is pending; "
        "gigq run-now starts it before its time.\n"
    )


def test_the_statistics_count_the_delayed_jobs_of_the_queues(shell):
    shell.submit()
    assert "delayed" not in shell.out("stats")
    first = shell.submit("shop.resize", "-p", "file=x", "--in", "1h")
    shell.submit("shop.greet", "-p", "name=Ada", "--in", "2h")
    due = local_time(shell.json("status", first)["retry_after"])

    everywhere, mail = shell.out("stats"), shell.out("stats", "--queue", "mail")

    assert everywhere.endswith(f"\n2 of the pending jobs are delayed, the next one until {due}\n")
    assert "\n1 of the pending jobs is delayed, the next one until " in mail
    assert "delayed" not in shell.out("stats", "--json")


def test_the_list_of_delayed_jobs_says_why_they_wait(shell):
    shell.submit("shop.charge", "-p", "order=7", "--retry-delay", "600")
    shell.submit("shop.resize", "-p", "file=x", "--in", "1h")
    shell.run("worker", "--once")  # which reports the failure on standard error

    retried, delayed = shell.out("list", "--delayed").splitlines()[3:5]

    assert "| retry: ValueError: order 7 has no card " in retried
    assert delayed.rstrip(" |").endswith("| delay")


def test_the_list_of_delayed_jobs_gives_the_reason_of_a_snooze_alone(shell):
    (shell.folder / "visits.py").write_text(
        "from gigq import Snooze\n\n\ndef visit():\n    raise Snooze('1h', 'the door is closed')\n"
    )
    shell.submit("visits.visit")
    shell.run("worker", "--once")

    assert "| snooze: the door is closed " in shell.out("list", "--delayed")
