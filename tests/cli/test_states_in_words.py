"""What the commands say of a job in states that a person easily takes for another."""

from __future__ import annotations

from contextlib import closing

import pytest
from support.raw_sql import Program

pytestmark = pytest.mark.each_database


def change(shell, statement, *values):
    with closing(Program(shell.database)) as other:
        other.execute(statement, values)


def test_the_cause_and_error_of_an_earlier_attempt_are_called_previous_while_another_runs(shell):
    job_id = shell.submit()
    change(shell, "UPDATE jobs SET status = 'running', cause = 'timeout', error = 'JobTimeout: x'")

    shown = shell.out("status", job_id)

    assert "\nPrevious cause: timeout\nPrevious error: JobTimeout: x" in shown


def test_a_running_job_whose_process_has_ended_is_called_so(shell):
    job_id = shell.submit("shop.charge", "-p", "order=7")
    shell.run("worker", "--once")
    change(shell, "UPDATE jobs SET status = 'running'")
    change(shell, "UPDATE job_executions SET status = 'running', completed_at = NULL")

    status, logs = shell.out("status", job_id), shell.run("logs", job_id)

    assert "Status: running; the process that ran it has ended" in status
    assert "the process that ran it has ended" in logs.stderr


def test_a_job_that_failed_without_a_start_has_no_output_for_that_reason(shell):
    job_id = shell.submit()
    change(shell, "UPDATE jobs SET status = 'failed'")

    assert f"job {job_id} was never started; it is failed" in shell.run("logs", job_id).stderr


def test_a_database_of_another_program_is_not_taken_for_an_empty_one(shell):
    change(shell, "CREATE TABLE orders (id INTEGER)")

    said = shell.run("list").stderr

    assert "it has tables of another program, " in said
    assert "submit a job" not in said
