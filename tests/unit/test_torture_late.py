"""What the torture run of several hosts sets apart: writes of a host that was stopped."""

from __future__ import annotations

import pytest
from torture.history import Execution, History
from torture.hosts.late import as_of_one_host, set_apart
from torture.ledger import Line

BEGAN = 1000.0
ENDED_AT = 5.0


def line(what, at, execution="e1", host=None, pid=7, **data):
    data = data if host is None else {"host": host, **data}
    return Line(0, what, at, BEGAN + at, pid, "a", execution, data)


def fault(name, at, host="h1"):
    return line("fault", at, None, host, name=name)


def stopped(at, woke, host="h1"):
    return [fault("SIGSTOP host", at, host), line("wake", woke, None, host)]


def killed(at, up, host="h1"):
    return [fault("SIGKILL supervisor", at, host), line("up", up, None, host)]


def history(*lines, status="failed", claimed=0.9):
    rescued = Execution("e1", "a", status, BEGAN + claimed, BEGAN + ENDED_AT, "lost")
    return History(lines=lines, executions=[rescued])


START = line("start", 1.0, host="h1")


def kept(*lines, **also):
    return list(set_apart(history(*lines, **also))[0].lines)


def test_what_an_attempt_writes_within_a_second_of_the_wake_is_set_apart():
    notes = stopped(2.0, 8.0)
    beats = [line("beat", 8.1), line("end", 8.7, how="raised:JobInterrupted")]

    rest, late = set_apart(history(START, *notes, *beats))

    assert list(rest.lines) == [START, *notes]
    assert late.woken == {"e1": pytest.approx(0.7)}


@pytest.mark.parametrize(
    ("notes", "at"),
    [
        (stopped(2.0, 8.0), 9.1),  # too late
        (stopped(2.0, 8.0, "h2"), 8.1),  # another host
        (stopped(7.0, 8.0), 6.0),  # before the stop
        ([], 8.1),
        (killed(2.0, 9.0), 8.1),  # its function, not a child of it
    ],
)
def test_all_other_writes_after_the_end_of_an_attempt_are_kept(notes, at):
    beat = line("beat", at)

    assert beat in kept(START, *notes, beat)


def test_an_attempt_that_is_claimed_after_the_wake_is_kept():
    start = line("start", 8.1, host="h1")

    assert start in kept(*stopped(2.0, 8.0), start, claimed=8.05)


def test_the_host_may_have_been_stopped_between_the_claim_of_a_job_and_its_start():
    start = line("start", 8.1, host="h1")

    assert start not in kept(*stopped(2.0, 8.0), start, claimed=1.9)


def test_what_an_attempt_writes_before_it_is_settled_or_with_success_is_kept():
    early, late = line("beat", 4.5), line("beat", 8.1)

    assert early in kept(START, *stopped(2.0, 4.2), early)
    assert late in kept(START, *stopped(2.0, 8.0), late, status="completed")


def test_children_of_a_killed_supervisor_are_set_apart_until_the_next_daemon_is_up():
    before, after = line("child", 8.0), line("child", 9.5)

    rest, late = set_apart(history(START, *killed(3.0, 9.0), before, after))

    assert before not in rest.lines
    assert after in rest.lines
    assert late.orphans == {"e1"}


def test_a_job_may_begin_between_the_note_of_a_kill_and_the_kill():
    child = line("child", 8.0)

    rest, late = set_apart(history(START, *killed(0.8, 9.0), child))

    assert child not in rest.lines
    assert late.orphans == {"e1"}


def test_a_host_whose_clock_jumps_and_the_same_process_numbers_are_brought_in_line():
    lines = [
        line("start", 1.0, "e1", "h1"),
        Line(0, "start", 1.0, BEGAN + 601.0, 7, "b", "e2", {"host": "h2"}),
        Line(0, "end", 2.0, BEGAN - 598.0, 7, "b", "e2"),
        line("intent", 0.5, None),
    ]

    first, second, end, intent = as_of_one_host(History(lines)).lines

    assert first.wall == second.wall == BEGAN + 1.0
    assert end.wall == BEGAN + 2.0
    assert first.pid != second.pid == end.pid
    assert intent == lines[3]
