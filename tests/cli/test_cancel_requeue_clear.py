"""`gigq cancel`, `gigq requeue` and `gigq clear`"""

from __future__ import annotations

import json

import pytest

from gigq.cli.formatting import local_time

pytestmark = pytest.mark.each_database


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
    assert json.loads(shell.run("requeue", job_id, "--json").stdout) == {
        "id": job_id, "requeued": False, "status": "pending", "reason": "it is pending"
    }  # fmt: skip


def test_an_unknown_job_is_not_found(shell):
    shell.submit()
    for command in ("cancel", "requeue"):
        done = shell.run(command, "missing")

        assert (done.returncode, done.stdout) == (1, "Job missing not found.\n")


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
    assert shell.json("clear", "--before", "1h30m") == {"cleared": 0}
    assert shell.json("clear", "--before", "0") == {"cleared": 1}


def test_a_number_of_days_beyond_the_calendar_clears_nothing(shell):
    shell.submit()
    shell.out("worker", "--once")

    assert shell.json("clear", "--before", "9999999999") == {"cleared": 0}


def test_several_jobs_are_cancelled_and_one_refusal_does_not_keep_the_others(shell):
    ids = [shell.submit(), "missing", shell.submit()]
    done = shell.run("cancel", *ids)

    assert done.returncode == 1
    assert done.stdout == (
        f"Job {ids[0]} cancelled.\nJob missing not found.\nJob {ids[2]} cancelled.\n"
    )


def test_running_includes_pending_jobs(shell):
    job_id = shell.submit()

    assert shell.json("cancel", "--running", job_id) == {
        "id": job_id, "cancelled": True, "status": "cancelled", "requested": True
    }  # fmt: skip


def failed_chain(shell):
    """A job that was cancelled, and one that failed because of it."""
    parent = shell.submit()
    child = shell.submit("shop.total", "--depends-on", parent)
    shell.out("cancel", parent)
    return parent, child


def test_a_job_whose_parent_has_failed_is_refused_with_the_reason(shell):
    parent, child = failed_chain(shell)
    refused = shell.run("requeue", child)

    assert refused.returncode == 1
    assert refused.stdout == (
        f"Job {child} could not be requeued: its parent 'a job' ({parent}) is cancelled; "
        "requeue that one with its dependents.\n"
    )


@pytest.mark.parametrize("option", [("--delay", "10m"), ("--in", "10m"), ("--at", "2999-01-01")])
def test_a_job_is_requeued_for_later_with_one_attempt(shell, option):
    job_id = shell.submit("shop.charge", "-p", "order=7", "--max-attempts", "2")
    for _ in range(2):
        shell.run("worker", "--once")
    printed = shell.out("requeue", job_id, "--one-more", *option)
    job = shell.json("status", job_id)

    time = local_time(job["retry_after"])
    assert printed == f"Job {job_id} requeued; it does not run before {time}.\n"
    assert (job["status"], job["attempts"]) == ("pending", 1)
    assert job["retry_after"] > job["updated_at"]
    assert "; it was requeued so)" in shell.out("status", job_id)


def test_the_time_of_a_requeued_job_is_in_the_json(shell):
    job_id = shell.submit()
    shell.out("cancel", job_id)
    done = shell.json("requeue", job_id, "--at", "2999-01-01T00:00:00Z")

    assert done == {
        "id": job_id,
        "requeued": True,
        "status": "pending",
        "retry_after": "2999-01-01T00:00:00.000000+00:00",
    }


def test_dependents_are_requeued_with_the_job_and_listed(shell):
    parent, child = failed_chain(shell)

    assert shell.out("requeue", "--dependents", parent) == (
        f"Job {parent} requeued.\nJob {child} requeued.\n"
    )
    assert shell.json("stats")["pending"] == 2


def test_dependents_are_requeued_also_when_the_job_itself_is_not(shell):
    parent, child = failed_chain(shell)
    shell.out("requeue", parent)

    assert shell.out("requeue", "--dependents", parent) == (
        f"Job {parent} stays as it is: it is pending.\nJob {child} requeued.\n"
    )
    assert shell.run("requeue", "--dependents", parent).returncode == 1


def test_several_jobs_are_requeued_in_any_order(shell):
    parent, child = failed_chain(shell)

    assert shell.out("requeue", child, parent).splitlines() == [
        f"Job {child} requeued.", f"Job {parent} requeued."
    ]  # fmt: skip


def test_an_id_may_be_shortened_to_any_part_that_only_one_job_has(shell):
    job_id = shell.submit()
    shell.submit()
    part = job_id[-8:]

    assert shell.json("status", part)["id"] == job_id
    assert job_id in shell.run("logs", part).stderr + shell.run("logs", part, "--json").stdout
    child = shell.submit("shop.total", "--depends-on", part)
    assert shell.json("status", child)["dependencies"] == [job_id]
    assert shell.out("cancel", part) == f"Job {job_id} cancelled.\n"
    assert shell.out("requeue", part) == f"Job {job_id} requeued.\n"


def test_a_part_of_fewer_than_four_characters_is_no_id(shell):
    job_id = shell.submit()

    assert shell.run("status", job_id[-3:]).stdout == (
        f"Job {job_id[-3:]} not found. A part of an id has at least 4 characters.\n"
    )


def test_a_part_of_several_ids_is_answered_with_the_list_and_changes_nothing(shell):
    first, second = shell.submit(), shell.submit()
    part = first[:5]
    listed = f"{part} is part of several ids: {second} (a job, pending); {first} (a job, pending)"
    cancelled, shown = shell.run("cancel", part, second), shell.run("status", part)

    assert (cancelled.returncode, shown.returncode) == (1, 1)
    assert cancelled.stdout == f"{listed}; write more of the id.\nJob {second} cancelled.\n"
    now = listed.replace(f"{second} (a job, pending)", f"{second} (a job, cancelled)")
    assert shown.stderr == f"gigq: {now}; write more of the id\n"
    assert json.loads(shell.run("cancel", part, "--json").stdout)["ambiguous"] == [second, first]


def test_an_id_that_is_part_of_another_means_itself(shell):
    (shell.folder / "named.py").write_text(
        f"from gigq import Job, JobQueue\nimport shop\nqueue = JobQueue({shell.database!r})\n"
        "for id_ in ('nightly', 'nightly-2'):\n"
        "    job = Job(id_, shop.limits)\n    job.id = id_\n    queue.submit(job)\n"
    )
    shell.python("named.py")

    assert shell.json("status", "nightly")["id"] == "nightly"


def test_jobs_that_meet_conditions_are_requeued_and_cancelled(shell):
    mail = shell.submit("shop.resize", "--queue", "mail")
    other = shell.submit()
    shell.out("cancel", mail, other)

    again = shell.out("requeue", "--queue", "mail", "--queue", "fax", "--status", "cancelled")
    gone = shell.out("cancel", "--newer-than", "1h", "--name", "A JOB")

    assert again == f"Job {mail} requeued.\n"
    assert gone == f"Job {mail} cancelled.\n"


def test_cancelled_jobs_are_requeued_by_conditions_only_when_they_are_named(shell):
    job_id = shell.submit()
    shell.out("cancel", job_id)
    none = shell.run("requeue", "--queue", "default")

    assert (none.returncode, none.stdout) == (1, "No jobs found.\n")
    assert shell.out("requeue", "--status", "cancelled", "--json").startswith('{"id": ')


def test_ids_are_read_from_standard_input(shell, tmp_path):
    ids = [shell.submit(), shell.submit(), shell.submit()]
    listed = tmp_path / "ids"
    listed.write_text(f"{ids[0]} {ids[1]}\n")
    with listed.open() as stdin:
        done = shell.run("cancel", ids[2], "-", stdin=stdin)
    none = shell.run("cancel", "-")

    assert done.stdout.splitlines() == [f"Job {ids[n]} cancelled." for n in (2, 0, 1)]
    assert (none.returncode, none.stdout) == (1, "No jobs found.\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["cancel"], "say which jobs: by ID, by - for ids from standard input, or by --status"),
        (["requeue", "--dependents"], "say which jobs"),
        (["cancel", "some", "--queue", "mail"], "give ids or conditions such as --queue, not both"),
        (["cancel", "--status", "running"], "--status running needs --running"),
        (["cancel", "--status", "failed"], "invalid choice: 'failed'"),
    ],
)
@pytest.mark.only("sqlite")
def test_a_change_names_its_jobs_in_one_way(shell, arguments, problem):
    shell.submit()
    done = shell.run(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr
    assert shell.json("stats")["pending"] == 1
