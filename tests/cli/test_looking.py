"""`gigq status`, `gigq list` and `gigq stats`"""

from __future__ import annotations

import json
import re

from gigq.cli import shapes

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00"


def test_a_new_job_is_shown_with_a_dash_for_what_has_not_come(shell):
    job_id = shell.submit()
    lines = shell.out("status", job_id).splitlines()

    assert lines[:2] == [f"Job: a job ({job_id})", "Status: pending"]
    assert lines[2].startswith("Waiting: no daemon and no worker runs on this database")
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
    plain, as_json = shell.run("status", "nobody"), shell.run("status", "nobody", "--json")

    assert (plain.returncode, plain.stdout) == (1, "Job nobody not found.\n")
    assert (as_json.returncode, json.loads(as_json.stdout)) == (
        1,
        {"id": "nobody", "exists": False},
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

    assert tuple(listed) == shapes.JOB_KEYS
    assert tuple(shown) == ("exists", *shapes.JOB_KEYS, "executions", "why_waiting")
    assert tuple(shown["executions"][0]) == shapes.EXECUTION_KEYS
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
