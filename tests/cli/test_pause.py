"""`gigq pause` and `gigq resume`, and the commands that say that a queue is paused."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.each_database


def submitted(shell, queue="mail"):
    given = ("--name", "a", "-p", "file=x", "--queue", queue)
    return shell.json("submit", "shop.resize", *given)["id"]


def test_a_worker_starts_no_job_of_a_paused_queue(shell):
    mail, etl = submitted(shell), submitted(shell, "etl")

    assert shell.out("pause", "mail").splitlines() == [
        "Queue mail is paused: no worker starts its jobs until gigq resume; running jobs go on."
    ]
    shell.out("worker", "--once")
    shell.out("worker", "--once")
    assert shell.json("status", mail)["status"] == "pending"
    assert shell.json("status", etl)["status"] != "pending"
    assert shell.out("resume", "mail").splitlines() == ["Queue mail is resumed."]
    shell.out("worker", "--once")
    assert shell.json("status", mail)["status"] != "pending"


def test_a_queue_without_jobs_is_paused_and_its_name_is_in_doubt(shell):
    submitted(shell)

    mistyped, right = shell.out("pause", "mial", "mail").splitlines()

    assert mistyped.startswith("Queue mial is paused: ")
    assert mistyped.endswith(" It has no job yet; gigq stats --by queue lists the queues with one.")
    assert right.startswith("Queue mail is paused: ")
    assert right.endswith("; running jobs go on.")
    assert set(shell.json("resume", "mial")["paused"]) == {"mail"}


def test_the_other_commands_say_that_a_queue_is_paused(shell):
    mail, etl = submitted(shell), submitted(shell, "etl")
    paused = shell.json("pause", "mail")["paused"]

    assert list(paused) == ["mail"]
    waits = shell.json("status", mail)["why_waiting"]
    assert waits.startswith("its queue 'mail' is paused, since 20")
    assert waits.endswith("; gigq resume mail ends it")
    assert "paused" not in shell.json("status", etl)["why_waiting"]
    for options in ((), ("--by", "queue"), ("--queue", "mail")):
        assert "\nqueue mail is paused, since 20" in shell.out("stats", *options)
    assert (
        shell.json("stats")["paused"] == shell.json("stats", "--queue", "mail")["paused"] == paused
    )
    by_queue = shell.json("stats", "--by", "queue")
    assert by_queue["mail"]["paused_at"] == paused["mail"]
    assert "paused_at" not in by_queue["etl"]
    assert "paused" not in shell.json("stats", "--queue", "etl")
    assert "paused" not in shell.out("stats", "--queue", "etl")
    assert "paused: mail" in shell.run("doctor").stdout


def test_a_pause_of_everything_ends_without_a_name_only(shell):
    job_id = submitted(shell)

    assert shell.out("pause").startswith("Every queue is paused: no worker")
    assert shell.out("pause").startswith("Every queue is paused already: no worker")
    assert shell.json("status", job_id)["why_waiting"].startswith("every queue is paused, since 20")
    assert "\nevery queue is paused, since 20" in shell.out("stats", "--queue", "mail")
    assert "\nevery queue is paused, since 20" in shell.out("workers")
    assert list(shell.json("stats", "--queue", "mail")["paused"]) == ["*"]
    assert "paused_at" in shell.json("stats", "--by", "queue")["mail"]
    assert "every queue is paused" in shell.run("doctor").stdout
    assert shell.out("resume", "mail").splitlines() == [
        "Queue mail was not paused. Every queue is still paused: gigq resume ends that."
    ]
    assert shell.json("resume") == {"paused": {}}
    assert shell.out("resume").splitlines() == ["No queue was paused."]


def test_the_name_of_a_pattern_is_refused(shell):
    submitted(shell)

    done = shell.run("pause", "!mail")

    assert done.returncode == 2
    assert "which workers read as a pattern" in done.stderr
