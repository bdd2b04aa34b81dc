"""What went wrong with times on the command line in other queues, from public bug reports."""

from __future__ import annotations

import pytest

ZONE = "CET-1CEST,M3.5.0,M10.5.0/3"
"""The rules of central Europe."""


@pytest.mark.fault("L8")
def test_a_delay_on_the_command_line_replaces_the_delays_of_the_task(shell, tmp_path):
    """celery/celery#313: the delay that was given with a retry lost to the usual one, silently."""
    (tmp_path / "mails.py").write_text(
        "from gigq import task\n\n\n@task(retry=[60])\ndef send():\n    raise OSError\n"
    )
    shell.out("submit", "mails.send", "--retry-delay", "0")
    shell.run("worker", "--once")
    job = shell.json("list")

    assert (job["attempts"], job["retry_after"]) == (1, None)


@pytest.mark.fault("L12")
@pytest.mark.parametrize(
    ("local", "stored"),
    [
        ("2999-03-31 02:30", "2999-03-31T01:30"),
        ("2999-07-01 12:00", "2999-07-01T10:00"),
        ("2999-10-27 02:30", "2999-10-27T00:30"),
    ],
)
def test_a_local_time_is_not_before_the_one_that_was_written(shell, local, stored):
    """rq/rq#1258: jobs for a local time in summer came an hour late."""
    shell.out("submit", "shop.resize", "--name", "a", "-p", "file=x", "--at", local, TZ=ZONE)

    assert shell.json("list")["retry_after"] == f"{stored}:00.000000+00:00"


@pytest.mark.fault("L12")
def test_the_last_moment_of_the_calendar_is_a_time_in_every_zone(shell):
    given = ("submit", "shop.resize", "--name", "a", "-p", "file=x")
    shell.out(*given, "--at", "9999-12-31T23:59:59Z", TZ="Etc/GMT-14")

    assert shell.json("list")["retry_after"] == "9999-12-31T23:59:59.000000+00:00"
    assert "9999-12-31T23:59:59" in shell.out("list", "--delayed", TZ="Etc/GMT-14")
