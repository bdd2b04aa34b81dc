"""`gigq status`, `gigq list` and `gigq stats`"""

from __future__ import annotations

import io
import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing, redirect_stderr, redirect_stdout

import pytest
from support import jobs_to_run
from support.raw_sql import Program
from support.shell import clean_environment

from gigq import Job, JobQueue, Worker, close_connections
from gigq.cli import job_json, main

pytestmark = pytest.mark.each_database

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00"


def test_a_new_job_is_shown_with_a_dash_for_what_has_not_come(shell):
    job_id = shell.submit()
    lines = shell.out("status", job_id).splitlines()

    assert lines[:2] == [f"Job: a job ({job_id})", "Status: pending"]
    assert re.match(
        "Waiting: (no daemon and no worker runs|due; this account sees no process)", lines[2]
    )
    assert re.fullmatch(f"Created: {TIME}", lines[3])
    assert re.fullmatch(f"Updated: {TIME}", lines[4])
    assert lines[5:] == ["Started: -", "Completed: -", "Attempts: 0 / 3", "Queue: default"]


def test_params_result_and_executions_are_shown_on_request(shell):
    job_id = shell.submit()
    shell.out("worker", "--once", "--worker-id", "w1")
    shown = shell.out("status", job_id, "--show-params", "--show-result", "--show-executions")

    assert "\nParameters:\n  file: cat.jpg\n" in shown
    assert '\nResult:\n  "cat.jpg: 100 pixels wide"\n' in shown
    assert "\n  Attempt: 1\n  Status: completed\n  Worker: w1\n" in shown


def test_a_result_with_names_is_shown_like_the_parameters(shell):
    job_id = shell.submit("shop.summary", "-p", "count=3")
    shell.run("worker", "--once")
    shown = shell.out("status", job_id, "--show-result")

    assert shown.endswith('\nResult:\n  count: 3\n  items: [1, {"a": null}]\n  text: plain\n')


def test_a_failed_job_shows_type_text_and_traceback(shell):
    job_id = shell.submit("shop.charge", "-p", "order=7", "--max-attempts", "1")
    shell.run("worker", "--once")
    shown = shell.out("status", job_id)

    assert "Status: failed\n" in shown
    assert "Cause: error\n" in shown
    assert "ValueError: order 7 has no card" in shown
    assert "shop.py" in shown


def test_a_delayed_job_shows_when_it_is_tried_again(shell):
    job_id = shell.submit("shop.charge", "-p", "order=7", "--retry-delay", "3600")
    shell.run("worker", "--once")

    assert re.search(f"^Not before: {TIME}$", shell.out("status", job_id), re.MULTILINE)


def test_an_unknown_id_is_a_negative_answer(shell):
    shell.submit()
    plain, as_json = shell.run("status", "missing"), shell.run("status", "missing", "--json")

    assert (plain.returncode, plain.stdout) == (1, "Job missing not found.\n")
    assert (as_json.returncode, json.loads(as_json.stdout)) == (
        1,
        {"id": "missing", "exists": False},
    )


def test_the_list_is_a_box_with_the_newest_job_first(shell):
    ids = [shell.submit(), shell.submit()]
    lines = shell.out("list").splitlines()

    assert len(set(map(len, lines))) == 1
    assert re.fullmatch(r"(\+-+)+\+", lines[0])
    assert [title.strip() for title in lines[1].strip("|").split("|")] == [
        "ID",
        "Name",
        "Status",
        "Priority",
        "Created",
        "Updated",
    ]
    assert [line.split()[1] for line in lines[3:-1]] == ids[::-1]


def test_the_list_is_filtered_by_status_queue_and_limit(shell):
    mail, other = shell.submit("shop.resize", "--queue", "mail"), shell.submit()
    shell.out("cancel", mail)

    def listed(*options):
        return {
            json.loads(line)["id"] for line in shell.out("list", "--json", *options).splitlines()
        }

    assert listed("--status", "cancelled") == {mail}
    assert listed("--queue", "default") == {other}
    assert listed("--queue", "mail", "--status", "pending") == set()
    assert listed("--limit", "1") == {other}
    assert listed("--status", "cancelled", "--status", "pending") == {mail, other}
    assert listed("--queue", "mail", "--queue", "default") == {mail, other}


def test_the_list_is_filtered_by_name_error_workflow_and_age_and_turns_pages(shell):
    (shell.folder / "nightly.py").write_text(
        "import shop\nfrom gigq import Job, JobQueue, Workflow\nflow = Workflow('nightly')\n"
        "flow.add_job(Job('charge', shop.charge, {'order': 7}, max_attempts=1))\n"
        f"flow.submit_all(JobQueue({shell.database!r}))\n"
    )
    shell.python("nightly.py")
    shell.run("worker", "--once")
    charged, resized = shell.json("list"), shell.submit()

    assert (charged["workflow"], charged["status"]) == ("nightly", "failed")
    for options in (
        ("--name", "CHARGE"),
        ("--error", "no card"),
        ("--workflow", "nightly"),
        ("--newer-than", "1h", "--limit", "1", "--offset", "1"),
    ):
        assert shell.json("list", *options)["id"] == charged["id"]
    assert shell.out("list", "--older-than", "1h") == "No jobs found.\n"
    assert shell.json("list", "--name", "a job")["id"] == resized
    assert "| Workflow |" in shell.out("list")
    assert "Workflow: nightly" in shell.out("status", charged["id"])


def test_jobs_are_counted_for_each_queue(shell):
    shell.submit("shop.resize", "--queue", "mail")
    shell.submit()

    assert shell.json("stats", "--queue", "mail")["total"] == 1
    assert shell.json("stats", "--queue", "mail", "--queue", "default")["total"] == 2
    by_queue = shell.json("stats", "--by", "queue")
    assert {queue: counts["pending"] for queue, counts in by_queue.items()} == {
        "default": 1, "mail": 1
    }  # fmt: skip
    assert [line.split()[1] for line in shell.out("stats", "--by", "queue").splitlines()[3:5]] == [
        "default", "mail"
    ]  # fmt: skip


def test_a_list_that_is_cut_says_how_to_see_the_rest(shell):
    for name in "abc":
        shell.out("submit", "os:getpid", "--name", name)

    cut, whole = shell.run("list", "--limit", "2"), shell.run("list", "--limit", "3")
    together = subprocess.run(
        [sys.executable, "-m", "gigq", "list", "--limit", "2"],
        cwd=shell.folder,
        env=clean_environment(GIGQ_DB=shell.database),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )

    assert cut.stderr == "gigq: there are more; --offset 2 shows the next ones\n"
    assert whole.stderr == ""
    assert together.stdout == cut.stdout + cut.stderr


def test_an_empty_list_says_so(shell):
    shell.submit()

    assert shell.out("list", "--status", "failed") == "No jobs found.\n"
    assert shell.out("list", "--status", "failed", "--json") == ""


def test_stats_count_every_status(shell):
    shell.submit()
    lines = shell.out("stats").splitlines()

    assert lines[1].split() == ["|", "Status", "|", "Count", "|"]
    assert lines[3].split() == ["|", "pending", "|", "1", "|"]
    assert shell.json("stats") == {
        "pending": 1,
        "running": 0,
        "completed": 0,
        "failed": 0,
        "cancelled": 0,
        "timeout": 0,
        "total": 1,
    }


def test_the_json_of_a_job_has_the_documented_keys_in_their_order(shell):
    job_id = shell.submit()
    shell.out("worker", "--once")
    shown, listed = shell.json("status", job_id), shell.json("list")

    assert tuple(listed) == job_json.JOB_KEYS
    assert tuple(shown) == ("exists", *job_json.JOB_KEYS, "executions", "why_waiting", "host")
    assert tuple(shown["executions"][0]) == job_json.EXECUTION_KEYS
    assert shown["result"] == "cat.jpg: 100 pixels wide"


def strict(text):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_nan_and_infinities_are_texts_in_json(shell):
    job_id = shell.submit("shop.limits")
    shell.out("worker", "--once")
    found = strict(shell.out("status", job_id, "--json"))
    listed = strict(shell.out("list", "--json"))

    assert found["result"] == {"n": "NaN", "i": ["Infinity", "-Infinity"], "x": 1.5}
    assert listed["result"] == found["result"]
    assert '"NaN"' in shell.out("status", job_id, "--show-result")


COLUMNS = (
    *("name", "status", "queue", "priority", "created_at", "updated_at", "started_at"),
    *("completed_at", "retry_after", "attempts", "max_attempts", "timeout", "retry_delay"),
    *("on_parent_failure", "pass_parent_results", "worker_id", "cause", "function_module"),
    *("function_name", "function_file", "dependencies", "description", "params", "error"),
    *("result", "memory_limit", "crash_limit", "retry_policy", "snoozes", "due_why"),
)
EXECUTION_COLUMNS = (
    *("worker_id", "status", "started_at", "completed_at", "attempt", "run", "cause", "exit_code"),
    *("signal", "peak_rss", "cpu_time", "wall_time", "late", "killed", "note", "error", "stack"),
    *("output", "result", "cancel_requested_at"),
)
VALUES = ("'nonsense'", "x'00ff'", "CAST(x'c3' AS TEXT)", "9e999", "-1", "'[1'", "'[[1]]'")
DEEP = "replace(hex(zeroblob(50000)), '00', '[') || replace(hex(zeroblob(50000)), '00', ']')"


def commands(path, job_id):
    """Everything that looks, in this process; each must succeed and print what can be read."""
    for words in (
        ("list",),
        ("list", "--json"),
        ("stats",),
        ("stats", "--json"),
        ("status", job_id),
        ("status", job_id, "--show-params", "--show-result", "--show-executions"),
        ("status", job_id, "--json"),
    ):
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(out):
            code = main([*words, "--db", path])
        printed = out.getvalue()
        assert code == 0, (words, printed)
        assert all(c.isprintable() or c == "\n" for c in printed)
        if "--json" in words:
            for line in printed.splitlines():
                strict(line)
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        assert main(["logs", job_id, "--db", path]) in (0, 1)
        assert main(["doctor", "--db", path]) in (0, 1)
    assert "internal error" not in out.getvalue()


def turns():
    """Every column with two of the values in turn; with all of them when there is time."""
    every = (*VALUES, DEEP)
    columns = [*(("jobs", c) for c in COLUMNS), *(("job_executions", c) for c in EXECUTION_COLUMNS)]
    for number, (table, column) in enumerate(columns):
        two = every[number % len(every)], every[(number + 3) % len(every)]
        yield pytest.param(table, column, two, id=f"{table}-{column}")
        yield pytest.param(table, column, every, id=f"{table}-{column}-all", marks=pytest.mark.soak)


@pytest.mark.parametrize("value", VALUES)
def test_the_time_of_the_next_delayed_job_may_be_anything(tmp_path, value):
    path = str(tmp_path / "jobs.db")
    job_id = JobQueue(path).submit(Job("delayed", jobs_to_run.fail, delay=600))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(f"UPDATE jobs SET retry_after = {value}")
    commands(path, job_id)
    close_connections()


@pytest.mark.parametrize(("table", "column", "values"), list(turns()))
def test_looking_works_whatever_a_row_holds(tmp_path, table, column, values):
    path = str(tmp_path / "jobs.db")
    queue = JobQueue(path)
    job_id = queue.submit(Job("odd", jobs_to_run.fail, max_attempts=2))
    Worker(path).process_one()
    key = "id" if table == "jobs" else "job_id"
    for value in values:
        with closing(sqlite3.connect(path)) as other, other:
            try:
                other.execute(f"UPDATE {table} SET {column} = {value} WHERE {key} = ?", (job_id,))
            except sqlite3.IntegrityError:
                continue
        commands(path, job_id)
    close_connections()


def test_passwords_of_urls_in_what_an_exception_has_said_are_masked(shell):
    job_id = shell.submit()
    with closing(Program(shell.database)) as other:
        other.execute(
            "UPDATE jobs SET status = 'failed', error = 'Away: postgres://amy:hunter2@db/x is away'"
        )

    assert "postgres://amy:***@db/x" in shell.out("status", job_id)
    assert "hunter2" not in str(shell.json("status", job_id))


@pytest.mark.only("sqlite")
def test_what_cannot_be_read_is_marked(shell):
    job_id = shell.submit()
    with closing(Program(shell.database)) as other:
        other.execute("UPDATE jobs SET created_at = 'nonsense', name = x'00ff', params = '[1'")
    found = shell.json("status", job_id)
    shown = shell.out("status", job_id, "--show-params")

    assert found["created_at"] == "unreadable: 'nonsense'"
    assert found["name"] == "unreadable: b'\\x00\\xff'"
    assert found["params"] == "unreadable: '[1'"
    assert "Created: unreadable: 'nonsense'" in shown
    assert "Parameters:\n  unreadable: '[1'" in shown
    assert "unreadable: 'nonsense'" in shell.out("list")


@pytest.mark.only("sqlite")
def test_a_name_of_ten_megabytes_is_shown_cut(shell):
    job_id, _ = shell.submit(), shell.submit()
    with closing(Program(shell.database)) as other:
        other.execute("UPDATE jobs SET name = hex(zeroblob(5000000)) WHERE id = ?", (job_id,))

    assert "0... (10,000,000 characters)" in shell.out("list")
    assert len(shell.out("list")) < 20_000
    assert len(shell.out("status", job_id)) < 3_000
