"""`gigq status` and `gigq logs` of attempts that ended before; without a daemon."""

from __future__ import annotations

import json

import pytest

from gigq import JobQueue
from gigq.model.cause import Cause
from gigq.model.claim import Claimant
from gigq.model.execution_result import ExecutionResult, PostMortem
from gigq.model.job_status import JobStatus
from gigq.store.verbs import settle_and_claim

pytestmark = pytest.mark.each_database

LINES = [f"line {number}" for number in range(30)]
KNOWN = PostMortem(
    exit_code=3,
    signal="SIGKILL",
    stack="File shop.py, line 7 in convert",
    output="\n".join([*LINES, "\x1b[2Jgone\x07"]) + "\n",
    peak_rss=300 * 2**20,
    cpu_time=1.25,
    wall_time=7.5,
    late=0.042,
    killed=3,
    note="what a note",
)


@pytest.fixture
def dead(shell):
    """The id of a job that was killed, with all that can be known of it."""
    job_id = shell.submit("shop.resize", "--max-attempts", "1")
    queue = JobQueue(shell.database)
    settle_and_claim.claim(queue._database, Claimant("default/0.1@12", "gigqd:1"), "e1")
    ending = ExecutionResult(
        JobStatus.TIMEOUT, error="too long", cause=Cause.TIMEOUT, post_mortem=KNOWN
    )
    settle_and_claim.settle(queue._database, "e1", ending)
    queue.close()
    return job_id


@pytest.mark.parametrize("options", [(), ("--show-executions",)])
def test_the_status_of_a_bad_end_shows_the_whole_post_mortem(shell, dead, options):
    shown = shell.out("status", dead, *options)

    for words in (
        "  Cause: timeout\n",
        "  Exit code: 3\n",
        "  Signal: SIGKILL\n",
        "  Wall time: 7.5s\n",
        "  CPU time: 1.25s\n",
        "  Peak memory: 300 MiB\n",
        "  Killed: 3 processes\n",
        "  Kill was late by: 42ms\n",
        "  Note: what a note\n",
        "  Stack: File shop.py, line 7 in convert\n",
    ):
        assert words in shown


def test_the_output_in_the_status_is_short_and_says_where_there_is_more(shell, dead):
    shown = shell.out("status", dead)

    assert f"[the last 10 of 31 lines; gigq logs {dead} --attempt 1]" in shown
    assert "line 21\n" in shown
    assert "line 20\n" not in shown


def test_the_error_that_is_the_jobs_own_is_not_shown_twice(shell, dead):
    assert shell.out("status", dead).count("too long") == 1
    assert shell.out("status", dead, "--show-executions").count("too long") == 2


def test_json_has_all_of_it(shell, dead):
    (execution,) = shell.json("status", dead)["executions"]

    for name in PostMortem.__slots__:
        assert execution[name] == getattr(KNOWN, name)
    assert execution["cancel_requested_at"] is None


def test_no_control_character_of_a_job_reaches_the_terminal(shell, dead):
    for command in ("status", "logs"):
        shown = shell.out(command, dead)

        assert "\\x1b[2Jgone\\x07" in shown
        assert "\x1b" not in shown


def test_logs_show_all_that_is_stored(shell, dead):
    shown = shell.out("logs", dead)

    assert shown.split("\n")[:-2] == LINES
    assert shell.json("logs", dead)["output"] == KNOWN.output


def test_following_a_job_that_is_over_shows_it_and_says_how_it_ended(shell, dead):
    done = shell.run("logs", "-f", dead)

    assert done.returncode == 1
    assert done.stdout == shell.out("logs", dead)
    assert "attempt 1 ended: timeout (SIGKILL, exit code 3, after " in done.stderr
    assert f"job {dead} is timeout" in done.stderr


def test_there_are_no_logs_of_what_there_was_not(shell, dead):
    fresh = shell.submit()

    for arguments, words in [
        ((fresh,), "has not started yet; it is pending"),
        ((dead, "--attempt", "2"), "has no attempt 2; it has had 1"),
        ((dead, "--attempt", "2", "-f"), "has no attempt 2; it has had 1"),
    ]:
        done = shell.run("logs", *arguments)

        assert (done.returncode, done.stdout) == (1, "")
        assert words in done.stderr


def test_an_unknown_job_has_no_logs(shell, dead):
    for options in ((), ("-f",)):
        done = shell.run("logs", "missing", *options)

        assert (done.returncode, done.stdout) == (1, "Job missing not found.\n")
    assert json.loads(shell.run("logs", "missing", "--json").stdout)["exists"] is False


def test_a_plain_workers_job_says_where_its_output_is(shell):
    job_id = shell.submit()
    shell.out("worker", "--once")
    done = shell.run("logs", job_id)

    assert (done.returncode, done.stdout) == (0, "")
    assert "it ran in a plain worker" in done.stderr


@pytest.mark.only("sqlite")
def test_a_run_that_foreign_sql_has_made_up_is_nobodys(shell):
    job_id = shell.submit()
    queue = JobQueue(shell.database)
    settle_and_claim.claim(queue._database, Claimant("odd", "gigqd:no number"), "e1")
    queue.close()

    assert shell.run("logs", job_id).returncode == 0


def test_cancelling_a_plain_workers_job_says_what_to_expect(shell):
    job_id = shell.submit()
    queue = JobQueue(shell.database)
    settle_and_claim.claim(queue._database, Claimant("plain", "worker:1"), "e1")
    queue.close()
    refused = shell.run("cancel", job_id)

    assert refused.returncode == 1
    assert "it is running; --running asks it to end." in refused.stdout
    asked = shell.out("cancel", "--running", job_id)
    assert "is asked to end. It runs in a plain worker, which cannot interrupt it" in asked
    assert shell.json("cancel", "--running", job_id) == {
        "id": job_id, "cancelled": False, "status": "running", "requested": True
    }  # fmt: skip
    assert "\nCancel requested: 20" in shell.out("status", job_id)
