"""The checker of the torture run, on small histories of a few lines: each breaks one promise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from torture.checker import check
from torture.history import Execution, History, JobRow
from torture.ledger import Line, note, read
from torture.violations import KINDS

BEGAN = 1000.0
"""When all of it began, by the calendar; in the ledger's own time that is 0."""


def line(what, at, execution=None, job="a", pid=10, **data):
    return Line(0, what, at, BEGAN + at, pid, job, execution, data)


def intent(job="a", **spec):
    return line("intent", 0.0, job=job, **spec)


def accepted(job="a", at=0.1):
    return line("accepted", at, job=job)


def call(execution, start, end=None, how="returned", job="a", pid=10):
    """The lines of one call: its start, and its end unless it was killed."""
    lines = [line("start", start, execution, job, pid)]
    return [*lines, line("end", end, execution, job, pid, how=how)] if end is not None else lines


def row(status="completed", execution="e1", job="a", **columns):
    given = {"attempts": 1, "execution_id": execution, "completed_at": BEGAN + 2.0, **columns}
    result = json.dumps({"execution": execution}) if status == "completed" else None
    return JobRow(job, status, **{"result": result, **given})


def ran(execution="e1", start=0.9, end=2.0, status="completed", cause=None, job="a"):
    completed_at = None if end is None else BEGAN + end
    return Execution(execution, job, status, BEGAN + start, completed_at, cause)


def history(*parts, **also):
    """Put lines (or lists of them), rows and executions together; lines in the order of time."""
    flat = [one for part in parts for one in (part if isinstance(part, list) else [part])]
    lines = sorted((p for p in flat if isinstance(p, Line)), key=lambda one: one.at)
    return History(
        lines=[replace(one, number=number) for number, one in enumerate(lines, 1)],
        jobs=[p for p in flat if isinstance(p, JobRow)],
        executions=[p for p in flat if isinstance(p, Execution)],
        **also,
    )


def kinds(*parts, **also):
    return [violation.kind for violation in check(history(*parts, **also))]


GOOD = [intent(), accepted(), *call("e1", 1.0, 1.9), ran(), row()]
TWICE = [
    intent(),
    accepted(),
    *call("e1", 1.0, 1.9, "raised:ValueError"),
    ran(status="failed", cause="error"),
    *call("e2", 3.0, 3.9),
    ran("e2", 2.9, 4.0),
    row(execution="e2", attempts=2, completed_at=BEGAN + 4.0),
]


def replaced(parts, old, new):
    assert old in parts
    return [new if part == old else part for part in parts]


def test_a_job_that_ran_once_is_fine():
    assert kinds(GOOD) == []


def test_a_job_that_failed_and_ran_again_is_fine():
    assert kinds(TWICE) == []


def test_a_submit_without_an_answer_may_have_stored_the_job_or_not():
    assert kinds(intent()) == []
    assert kinds(intent(), *call("e1", 1.0, 1.9), ran(), row()) == []


def test_lost():
    assert kinds(intent(), accepted()) == ["lost"]


def test_unexpected():
    assert kinds(GOOD[2:]) == ["unexpected"]


def test_refused_and_stored_all_the_same():
    refusal = line("refused", 0.1, error="StoreLocked: busy")

    assert kinds(intent(), refusal, GOOD[2:]) == ["refused"]
    assert kinds(intent(), refusal, GOOD) == []


def test_a_submit_into_a_file_that_is_moved_away_at_that_moment_may_be_stored():
    gone = line("refused", 0.1, error="StoreGone: jobs.db is gone")

    assert kinds(intent(), gone, GOOD[2:]) == []


@pytest.mark.parametrize(
    ("error", "found"),
    [
        ("the connection is lost; what was asked may have been done all the same", []),
        ("the connection is lost", ["refused"]),
    ],
)
def test_a_submit_whose_answer_was_lost_may_be_stored(error, found):
    lost = line("refused", 0.1, error=f"StoreUnavailable: postgresql:///queue: {error}")

    assert kinds(intent(), lost, GOOD[2:]) == found


def test_torn_batch():
    batch = [intent("a", batch="b1"), intent("b", batch="b1")]

    assert kinds(batch, GOOD[2:]) == ["torn"]
    assert kinds(batch) == []


def test_doubled_because_one_execution_called_the_function_twice():
    assert "doubled" in kinds(GOOD, line("start", 1.95, "e1"))


def test_doubled_because_it_ran_after_its_success():
    again = [*call("e2", 3.0, 3.9), ran("e2", 2.9, 4.0, "failed", "error")]

    assert "doubled" in kinds(replaced(GOOD, row(), row(attempts=2)), again)


def test_doubled_because_two_executions_completed():
    bad = replaced(TWICE, ran(status="failed", cause="error"), ran())

    assert "doubled" in kinds(bad)


@pytest.mark.parametrize(
    "seen",
    [
        line("seen", 2.5, "e1", status="failed"),
        line("seen", 0.5, "e1", status="completed"),
    ],
    ids=["another end", "a start after the end"],
)
def test_doubled_because_its_end_was_seen_before(seen):
    assert kinds(GOOD, seen) == ["doubled"]


def test_doubled_because_it_did_not_end_with_its_last_execution():
    ended = row("failed", attempts=2, completed_at=BEGAN + 2.0)

    assert kinds([*TWICE[:-1], ended]) == ["doubled"]


def test_overlapping_in_the_ledger():
    bad = replaced(TWICE, line("start", 3.0, "e2"), line("start", 1.5, "e2"))

    assert kinds(bad) == ["overlapping"]


def test_overlapping_with_a_killed_execution_whose_last_sign_of_life_came_later():
    killed = [line("start", 1.0, "e1"), line("beat", 3.1, "e1")]
    bad = [part for part in TWICE if not (isinstance(part, Line) and part.execution == "e1")]

    assert "overlapping" in kinds(bad, killed)


def test_overlapping_in_the_database():
    bad = replaced(TWICE, ran("e2", 2.9, 4.0), ran("e2", 1.5, 4.0))

    assert kinds(bad) == ["overlapping"]


def test_phantom_because_the_function_never_returned():
    assert kinds(GOOD[:2], *call("e1", 1.0), ran(), row()) == ["phantom"]
    assert kinds(GOOD[:2], *call("e1", 1.0, 1.9, "raised:ValueError"), ran(), row()) == ["phantom"]


def test_phantom_because_the_result_is_that_of_another_execution():
    assert kinds(GOOD[:-1], row(result='{"execution": "e0"}')) == ["phantom"]


def parent(status="completed", end=2.0):
    cause = None if status == "completed" else "error"
    how = "returned" if status == "completed" else "raised:ValueError"
    return [
        intent("p"),
        *call("p1", 1.0, end - 0.1, how, job="p", pid=11),
        ran("p1", 0.9, end, status, cause, job="p"),
        row(status, "p1", "p", completed_at=BEGAN + end, max_attempts=1),
    ]


def child(start=3.0, **columns):
    return [
        intent(),
        *call("e1", start, start + 0.9),
        ran("e1", start - 0.1, start + 1.0),
        row(dependencies=("p",), completed_at=BEGAN + start + 1.0, **columns),
    ]


def test_a_dependent_that_begins_after_its_parent_is_fine():
    assert kinds(parent(), child()) == []
    assert kinds(parent("failed"), child(on_parent_failure="run")) == []


@pytest.mark.parametrize("policy", ["fail", "wait"])
def test_early_because_a_parent_did_not_succeed(policy):
    assert kinds(parent("failed"), child(on_parent_failure=policy)) == ["early"]


def test_early_because_a_parent_was_still_running():
    assert kinds(parent(end=5.0), child()) == ["early", "early"]
    assert kinds(parent("failed", 5.0), child(on_parent_failure="run")) == ["early", "early"]


def test_early_because_its_time_had_not_come():
    assert kinds([intent(not_before=BEGAN + 1.5), *GOOD[1:]]) == ["early"]
    assert kinds([intent(not_before=BEGAN + 0.5), *GOOD[1:]]) == []


def test_early_because_the_retry_delay_was_not_over():
    patient = row(execution="e2", attempts=2, completed_at=BEGAN + 4.0, retry_delay=1.0)

    assert kinds([*TWICE[:-1], patient]) == ["early"]
    assert kinds([*TWICE[:-1], replace(patient, retry_delay=0.5)]) == []


@pytest.mark.parametrize(
    ("cause", "spec", "delay"),
    [
        ("snoozed", {"params": {"how": "snooze", "delay": 3.0}}, 3.0),
        ("error", {"params": {"how": "later", "delay": 3.0}}, 3.0),
        ("error", {"options": {"retry": [2.0, 5.0]}}, 2.0),
        ("crashed", {}, 1.0),
        ("lost", {"options": {"retry": [2.0]}}, 0.0),
        ("stopped", {"options": {"retry": [2.0]}}, 0.0),
    ],
)
def test_early_because_the_delay_of_a_policy_was_not_over(cause, spec, delay):
    def story(gap):
        first = ran(start=0.9, end=1.0, status="failed", cause=cause)
        second = ran("e2", start=1.0 + gap, end=9.0)
        calls = [*call("e1", 0.9, 1.0, "raised:X"), *call("e2", 1.0 + gap, 9.0)]
        counted = row(execution="e2", attempts=2, completed_at=BEGAN + 9.0)
        return kinds(intent(**spec), accepted(), *calls, first, second, counted)

    assert story(delay) == []
    assert ("early" in story(max(delay - 0.5, 0.0))) == (delay > 0.5)


def test_late_because_it_had_expired():
    lasting = [intent(options={"expires_in": 1.0}), *GOOD[1:]]

    assert kinds(lasting) == []
    assert kinds(replaced(lasting, lasting[0], intent(options={"expires_in": 0.5}))) == ["late"]


def test_not_late_because_a_stop_had_interrupted_it():
    stopped = ran(start=0.4, end=0.5, status="cancelled", cause="stopped")
    calls = [*call("e1", 0.4, 0.5, "raised:JobStopped"), *call("e2", 1.1, 2.0)]
    over = row(execution="e2", refunds=1)
    parts = [accepted(), *calls, stopped, ran("e2", start=1.1), over]

    assert kinds(intent(options={"expires_in": 0.6}), *parts) == []


def test_early_because_it_expired_before_its_time():
    def story(at):
        over = row(
            "cancelled", execution=None, attempts=0, cause="expired", completed_at=BEGAN + at
        )
        return kinds(intent(options={"expires_in": 1.0}), accepted(), over)

    assert story(1.2) == []
    assert story(0.9) == ["early"]


def test_early_because_it_expired_although_it_had_put_itself_off_for_less():
    def story(delay):
        over = row("cancelled", attempts=0, snoozes=1, cause="expired", completed_at=BEGAN + 0.6)
        snoozed = ran(start=0.5, end=0.6, status="cancelled", cause="expired")
        options = intent(options={"expires_in": 1.0}, params={"how": "snooze", "delay": delay})
        return kinds(options, accepted(), *call("e1", 0.5, 0.6, "raised:Snooze"), snoozed, over)

    assert story(0.5) == []
    assert story(0.2) == ["early"]


def test_over_tried_because_it_put_itself_off_too_often():
    first = ran(start=0.9, end=1.0, status="cancelled", cause="snoozed")
    calls = [*call("e1", 0.9, 1.0, "raised:Snooze"), *call("e2", 1.1, 2.0)]
    counted = row(execution="e2", max_attempts=1, snoozes=1)
    parts = [accepted(), *calls, first, ran("e2", start=1.1), counted]

    assert kinds(intent(options={"max_snoozes": 1}), *parts) == []
    assert kinds(intent(options={"max_snoozes": 0}), *parts) == ["over-tried"]


def test_over_tried():
    final = TWICE[-1]

    assert kinds([*TWICE[:-1], replace(final, max_attempts=1)]) == ["over-tried", "over-tried"]
    assert kinds([*TWICE[:-1], replace(final, refunds=4, attempts=-2)]) == ["over-tried"]


def test_a_start_that_was_given_back_may_be_made_again():
    released = [
        intent(),
        *call("e1", 1.0),
        ran(status="cancelled", cause="stopped"),
        *TWICE[5:-1],
        row(execution="e2", refunds=1, max_attempts=2, completed_at=BEGAN + 4.0),
    ]

    assert kinds(released) == []


def test_over_tried_because_of_its_crash_limit():
    bad = replaced(TWICE, ran(status="failed", cause="error"), ran(status="failed", cause="memory"))

    assert kinds([*bad[:-1], replace(TWICE[-1], crash_limit=0)]) == ["over-tried"]
    assert kinds([*bad[:-1], replace(TWICE[-1], crash_limit=1)]) == []


def test_cancelled_but_started():
    answer = line("answer", 0.5, cancelled=True, running=False)
    cancelled_row = row("cancelled", attempts=1)
    run = [*call("e1", 1.0), ran(status="cancelled", cause="cancelled")]

    assert kinds(intent(), answer, run, cancelled_row) == ["cancelled-but-started"]
    assert kinds(intent(), answer, row("cancelled", None, attempts=0)) == []
    assert kinds(intent(), replace(answer, data={"cancelled": False, "running": False}), GOOD) == []


def test_cancelled_while_running_may_end_as_cancelled_or_completed_but_not_go_on():
    answer = line("answer", 0.95, cancelled=True, running=True)
    run = [*call("e1", 1.0), ran(status="cancelled", cause="cancelled")]

    assert kinds(intent(), answer, run, row("cancelled")) == []
    assert kinds(GOOD, answer) == []
    assert kinds(TWICE, answer) == ["cancelled-but-started"]
    assert kinds(
        intent(), answer, *call("e1", 1.0), ran(status="failed", cause="crashed"), row("failed")
    ) == ["cancelled-but-started"]


FAILED = [
    intent(),
    *call("e1", 1.0, 1.9, "raised:ValueError"),
    ran(status="failed", cause="error"),
    row("failed", max_attempts=1),
]


@pytest.mark.parametrize("what", ["child", "beat"])
def test_survivor_after_its_execution_was_settled(what):
    assert kinds(FAILED, line(what, 2.1, "e1")) == ["survivor"]
    assert kinds(FAILED, line(what, 1.8, "e1")) == []


def test_survivor_in_the_next_attempt():
    bad = replaced(
        TWICE, ran(status="failed", cause="error"), ran(end=3.2, status="failed", cause="error")
    )

    assert "survivor" in kinds(bad, line("child", 3.1, "e1", pid=99))


def test_survivor_beside_the_next_job_of_its_worker():
    other = [
        intent("b"),
        *call("f1", 3.0, 3.9, job="b"),
        ran("f1", 2.9, 4.0, job="b"),
        row(execution="f1", job="b"),
    ]

    assert kinds(GOOD, other, line("child", 3.5, "e1", pid=99)) == ["survivor"]
    assert kinds(GOOD, other, line("child", 2.5, "e1", pid=99)) == []


@pytest.mark.parametrize(("start", "found"), [(3.0, []), (20.0, ["survivor"])])
def test_survivor_as_an_orphan_that_nobody_has_found_for_long(start, found):
    later = [
        intent("b"),
        *call("f1", start, start + 0.9, job="b"),
        ran("f1", start - 0.1, start + 1.0, job="b"),
        row(execution="f1", job="b"),
    ]
    orphan = line("child", start + 0.5, "e1", pid=99, way="double")

    assert kinds(GOOD, later, orphan) == found


def test_survivor_of_the_daemon():
    stopped = line("stopped", 5.0, job=None)

    assert kinds(GOOD, stopped, line("child", 5.1, "e1", pid=99)) == ["survivor"]
    assert kinds(GOOD, stopped, line("child", 4.9, "e1", pid=99)) == []


def test_stuck():
    pending = row("pending", None, attempts=0, completed_at=None)

    assert kinds(intent(), pending) == ["stuck"]
    assert "stuck" in kinds(
        intent(), *call("e1", 1.0), ran(end=None, status="running"), row("running")
    )


def test_a_job_that_waits_for_a_failed_parent_is_not_stuck_and_nor_is_what_waits_for_it():
    waits = row("pending", None, "b", attempts=0, dependencies=("a",), on_parent_failure="wait")
    further = row("pending", None, "c", attempts=0, dependencies=("b",))

    assert kinds(FAILED, intent("b"), intent("c"), waits, further) == []
    assert kinds(GOOD, intent("b"), intent("c"), waits, further) == ["stuck", "stuck"]


def test_disagreeing_about_which_executions_there_were():
    assert "disagreeing" in kinds(GOOD, line("start", 0.95, "e0"))
    assert "disagreeing" in kinds(replaced(GOOD, row(), row(attempts=2)))
    assert "disagreeing" in kinds(replaced(GOOD, row(), row(execution="e9")))


def test_disagreeing_about_how_it_ended():
    assert "disagreeing" in kinds(replaced(GOOD, ran(), ran(status="failed", cause="error")))


def test_disagreeing_because_an_execution_ended_in_a_function_that_never_began():
    error = [intent(), ran(status="failed", cause="error"), row("failed", max_attempts=1)]
    killed = [intent(), ran(status="failed", cause="lost"), row("failed", max_attempts=1)]

    assert kinds(error) == ["disagreeing"]
    assert kinds(killed) == []


def test_disagreeing_because_an_execution_is_still_open():
    assert "disagreeing" in kinds(replaced(GOOD, ran(), ran(end=None)))


def test_disagreeing_about_what_a_parent_returned():
    def given(results):
        start = line("start", 3.0, "e1", parents={"p": results})
        return [start if part == line("start", 3.0, "e1") else part for part in child()]

    assert kinds(parent(), given({"execution": "p1"})) == []
    assert kinds(parent(), given({"execution": "p0"})) == ["disagreeing"]


def test_corrupt():
    assert kinds(GOOD, integrity=["row 3 missing from index jobs_due"]) == ["corrupt"]
    assert kinds(GOOD, foreign_keys=["('jobs', 3, 'x', 0)"]) == ["corrupt"]


def test_every_kind_of_violation_has_a_test_that_names_it():
    source = Path(__file__).read_text(encoding="utf-8")

    assert [kind for kind in KINDS if f'"{kind}"' not in source] == []


def test_a_violation_names_the_promise_the_job_and_the_lines():
    (violation,) = check(history(intent(), accepted()))

    text = "lost: a: submit returned, and it is not in the database (ledger lines 2)"
    assert str(violation) == text


def test_a_record_that_a_kill_has_cut_off_spoils_no_other(tmp_path):
    ledger = tmp_path / "ledger"
    note(ledger, "intent", job="a", kind="plain")
    with ledger.open("a") as file:
        file.write('\n{"what": "start", "jo')
    note(ledger, "accepted", job="a")

    lines, torn = read(ledger)

    assert [(line.what, line.job) for line in lines] == [("intent", "a"), ("accepted", "a")]
    assert lines[0].data == {"kind": "plain"}
    assert torn == 1
