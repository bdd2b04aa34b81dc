"""How many jobs travel together, from how long they took."""

from __future__ import annotations

from itertools import count

import pytest
from support.claims import claim

from gigq.execution.batch_sizing import BatchSizing
from gigq.model.functions import FunctionRef

SHORT, LONG = 0.00005, 0.02


def of(name="f", module="m"):
    return claim(function=FunctionRef(module, name))


def row(name="f", module="m"):
    return {"function_module": module, "function_name": name}


def after(pace, *runs):
    for seconds in runs:
        pace.ran(of(), seconds)
    return pace


def test_at_first_jobs_are_taken_one_at_a_time():
    assert BatchSizing(64, lambda: 0).size() == 1


def test_a_function_that_has_not_run_is_not_known_to_be_short():
    pace = BatchSizing(64, lambda: 0)

    assert not pace.fits(row())
    assert not pace.is_short(of())


def test_after_a_rest_jobs_are_taken_one_at_a_time_again():
    pace = after(BatchSizing(64, lambda: 0), *[SHORT] * 100)
    grown = [pace.size() for _ in range(3)]
    pace.rest()

    assert (grown, pace.size(), pace.size()) == ([1, 2, 4], 1, 2)


def test_while_jobs_are_short_twice_as_many_are_taken_each_time_up_to_the_most():
    pace = after(BatchSizing(64, lambda: 0), *[SHORT] * 100)

    assert [pace.size() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 64, 64]


def test_they_are_no_more_than_what_fits_into_the_time_that_outcomes_may_wait():
    pace = after(BatchSizing(64, lambda: 0), *[0.001] * 200)
    sizes = [pace.size() for _ in range(8)]

    assert sizes[-1] in (3, 4)


def test_one_long_job_makes_the_next_batch_smaller_at_once():
    pace = after(BatchSizing(64, lambda: 0), *[SHORT] * 100)
    before = [pace.size() for _ in range(8)][-1]
    pace.ran(of(), LONG)

    assert before == 64
    assert pace.size() <= 2


def test_after_a_long_job_the_number_grows_again_from_there():
    pace = after(BatchSizing(64, lambda: 0), *[SHORT] * 100)
    for _ in range(8):
        pace.size()
    after(pace, LONG)
    small = pace.size()
    after(pace, *[SHORT] * 100)

    assert pace.size() == 2 * small


def test_long_jobs_are_taken_one_at_a_time():
    pace = after(BatchSizing(64, lambda: 0), *[LONG] * 3)

    assert [pace.size() for _ in range(3)] == [1, 1, 1]


def test_a_function_is_short_when_its_runs_are():
    pace = BatchSizing(64, lambda: 0)
    pace.ran(of("quick"), SHORT)
    pace.ran(of("slow"), LONG)

    assert (pace.fits(row("quick")), pace.is_short(of("quick"))) == (True, True)
    assert (pace.fits(row("slow")), pace.is_short(of("slow"))) == (False, False)
    assert not pace.fits(row("quick", "another"))


def test_a_short_function_that_takes_long_once_is_not_short_any_more_for_a_while():
    pace = after(BatchSizing(64, lambda: 0), *[SHORT] * 50, LONG)
    at_once = pace.fits(row())
    after(pace, *[SHORT] * 20)

    assert (at_once, pace.fits(row())) == (False, True)


@pytest.mark.parametrize("function", [b"\xff", None, 7])
def test_what_foreign_sql_wrote_for_a_function_is_not_known(function):
    assert not BatchSizing(64, lambda: 0).fits(
        {"function_module": function, "function_name": function}
    )


def test_a_worker_that_takes_one_at_a_time_learns_nothing():
    pace = after(BatchSizing(1, lambda: 0), *[SHORT] * 100)

    assert pace.size() == 1
    assert not pace.fits(row())


def test_the_memory_of_functions_is_bounded():
    pace = BatchSizing(64, lambda: 0)
    for number in range(5000):
        pace.ran(of(f"f{number}"), SHORT)

    assert len(pace._of_function) <= 1000
    assert pace.fits(row("f4999"))


def test_a_function_that_is_known_stays_known_when_the_memory_is_full():
    pace = BatchSizing(64, lambda: 0)
    for number in range(1000):
        pace.ran(of(f"f{number}"), SHORT)
    pace.ran(of("f0"), SHORT)

    assert pace.fits(row("f999"))


def test_what_preemption_adds_to_a_run_does_not_make_a_function_long():
    pace = BatchSizing(64, count(1).__next__)
    for _ in range(20):  # a quota of half a core: 50 ms of work, then 50 ms without the processor
        after(pace, *[0.0002] * 250)
        pace.ran(of(), 0.05)

        assert pace.is_short(of())
    assert [pace.size() for _ in range(8)][-1] >= 8


def test_a_long_run_that_was_not_preempted_counts_in_full():
    pace = after(BatchSizing(64, lambda: 7), *[SHORT] * 100)
    pace.ran(of(), LONG)

    assert not pace.is_short(of())


def test_a_function_that_has_become_long_on_a_busy_host_is_soon_known_to_be():
    pace = after(BatchSizing(64, count(1).__next__), *[SHORT] * 100)
    for _ in range(8):
        pace.ran(of(), 5.0)

    assert not pace.is_short(of())
