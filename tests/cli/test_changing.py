"""`gigq cancel`, `gigq requeue` and `gigq clear`"""

from __future__ import annotations

import json


def test_a_pending_job_is_cancelled_and_requeued(shell):
    job_id = shell.submit()

    assert shell.out("cancel", job_id) == f"Job {job_id} cancelled.\n"
    assert shell.out("requeue", job_id) == f"Job {job_id} requeued.\n"
    assert shell.json("status", job_id)["status"] == "pending"


def test_what_cannot_be_done_is_a_negative_answer_with_the_reason(shell):
    job_id = shell.submit()
    refused = shell.run("requeue", job_id)

    assert refused.returncode == 1
    assert refused.stdout == f"Job {job_id} could not be requeued: it is pending.\n"


def test_an_unknown_job_is_not_found(shell):
    shell.submit()
    for command in ("cancel", "requeue"):
        done = shell.run(command, "nobody")

        assert (done.returncode, done.stdout) == (1, "Job nobody not found.\n")


def test_json_says_what_changed(shell):
    job_id = shell.submit()

    assert shell.json("cancel", job_id) == {"id": job_id, "cancelled": True, "status": "cancelled"}
    again = shell.run("cancel", job_id, "--json")
    assert again.returncode == 1
    assert json.loads(again.stdout) == {"id": job_id, "cancelled": False, "status": "cancelled"}


def test_finished_jobs_are_cleared(shell):
    shell.submit()
    shell.out("worker", "--once")
    shell.submit()

    assert shell.out("clear") == "Cleared 1 completed jobs.\n"
    assert shell.json("stats")["total"] == 1


def test_only_jobs_that_have_been_over_for_so_long_are_cleared(shell):
    shell.submit()
    shell.out("worker", "--once")

    assert shell.json("clear", "--before", "1") == {"cleared": 0}
    assert shell.json("clear", "--before", "0") == {"cleared": 1}


def test_a_number_of_days_beyond_the_calendar_clears_nothing(shell):
    shell.submit()
    shell.out("worker", "--once")

    assert shell.json("clear", "--before", "9999999999") == {"cleared": 0}


def test_several_jobs_are_cancelled_and_one_refusal_does_not_keep_the_others(shell):
    ids = [shell.submit(), "nobody", shell.submit()]
    done = shell.run("cancel", *ids)

    assert done.returncode == 1
    assert done.stdout == (
        f"Job {ids[0]} cancelled.\nJob nobody not found.\nJob {ids[2]} cancelled.\n"
    )


def test_running_includes_pending_jobs(shell):
    job_id = shell.submit()

    assert shell.json("cancel", "--running", job_id) == {
        "id": job_id, "cancelled": True, "status": "cancelled", "requested": True
    }  # fmt: skip
