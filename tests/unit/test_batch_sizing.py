"""How many jobs travel together, from how long they took."""

from __future__ import annotations

from itertools import count

import pytest
from support.claims import claim

from gigq.execution.held_claims import BatchSizing
from gigq.model.execution_result import PostMortem
from gigq.model.function_import import FunctionRef

SHORT, LONG = 0.00005, 0.02


def of(name="f", module="m"):
    return claim(function=FunctionRef(module, name))


def row(name="f", module="m"):
    return {"function_module": module, "function_name": name}


def after(sizing, *runs):
    for seconds in runs:
        sizing.ran(of(), seconds)
    return sizing


def test_at_first_jobs_are_taken_one_at_a_time():
    assert BatchSizing(64, lambda: 0).size(0.0) == 1


def test_a_function_that_has_not_run_is_not_known_to_be_short():
    sizing = BatchSizing(64, lambda: 0)

    assert not sizing.fits(row())
    assert not sizing.is_short(of())


def test_after_a_rest_jobs_are_taken_one_at_a_time_again():
    sizing = after(BatchSizing(64, lambda: 0), *[SHORT] * 100)
    grown = [sizing.size(0.0) for _ in range(3)]
    sizing.rest()

    assert (grown, sizing.size(0.0), sizing.size(0.0)) == ([1, 2, 4], 1, 2)


def test_while_jobs_are_short_twice_as_many_are_taken_each_time_up_to_the_most():
    sizing = after(BatchSizing(64, lambda: 0), *[SHORT] * 100)

    assert [sizing.size(0.0) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 64, 64]


def test_after_failures_no_more_than_64_are_taken():
    sizing = after(BatchSizing(256, lambda: 0), *[SHORT / 10] * 100)
    grown = [sizing.size(0.0) for _ in range(10)][-1]

    assert (grown, sizing.size(0.0, has_failures=True), sizing.size(0.0)) == (256, 64, 128)


def test_they_are_no_more_than_what_fits_into_the_time_that_outcomes_may_wait():
    sizing = after(BatchSizing(64, lambda: 0), *[0.001] * 200)
    sizes = [sizing.size(0.0) for _ in range(8)]

    assert sizes[-1] in (3, 4)


def test_where_exchanges_take_long_so_many_are_taken_that_they_take_as_long_together():
    sizing = after(BatchSizing(64, lambda: 0), *[0.001] * 200)
    sizes = [sizing.size(exchange=0.02) for _ in range(8)]
    limited = [sizing.size(exchange=5.0) for _ in range(8)]

    assert sizes[-1] in (19, 20)
    assert limited[-1] in (24, 25)


def test_one_long_job_makes_the_next_batch_smaller_at_once():
    sizing = after(BatchSizing(64, lambda: 0), *[SHORT] * 100)
    before = [sizing.size(0.0) for _ in range(8)][-1]
    sizing.ran(of(), LONG)

    assert before == 64
    assert sizing.size(0.0) <= 2


def test_after_a_long_job_the_number_grows_again_from_there():
    sizing = after(BatchSizing(64, lambda: 0), *[SHORT] * 100)
    for _ in range(8):
        sizing.size(0.0)
    after(sizing, LONG)
    small = sizing.size(0.0)
    after(sizing, *[SHORT] * 100)

    assert sizing.size(0.0) == 2 * small


def test_long_jobs_are_taken_one_at_a_time():
    sizing = after(BatchSizing(64, lambda: 0), *[LONG] * 3)

    assert [sizing.size(0.0) for _ in range(3)] == [1, 1, 1]


def test_a_function_is_short_when_its_runs_are():
    sizing = BatchSizing(64, lambda: 0)
    sizing.ran(of("quick"), SHORT)
    sizing.ran(of("slow"), LONG)

    assert (sizing.fits(row("quick")), sizing.is_short(of("quick"))) == (True, True)
    assert (sizing.fits(row("slow")), sizing.is_short(of("slow"))) == (False, False)
    assert not sizing.fits(row("quick", "another"))


def test_a_short_function_that_takes_long_once_is_not_short_any_more_for_a_while():
    sizing = after(BatchSizing(64, lambda: 0), *[SHORT] * 50, LONG)
    at_once = sizing.fits(row())
    after(sizing, *[SHORT] * 20)

    assert (at_once, sizing.fits(row())) == (False, True)


@pytest.mark.parametrize("function", [b"\xff", None, 7])
def test_what_foreign_sql_wrote_for_a_function_is_not_known(function):
    assert not BatchSizing(64, lambda: 0).fits(
        {"function_module": function, "function_name": function}
    )


def test_a_worker_that_takes_one_at_a_time_learns_nothing():
    sizing = after(BatchSizing(1, lambda: 0), *[SHORT] * 100)

    assert sizing.size(0.0) == 1
    assert not sizing.fits(row())


def test_the_memory_of_functions_is_bounded():
    sizing = BatchSizing(64, lambda: 0)
    for number in range(5000):
        sizing.ran(of(f"f{number}"), SHORT)

    assert len(sizing._of_function) <= 1000
    assert sizing.fits(row("f4999"))


def test_a_function_that_is_known_stays_known_when_the_memory_is_full():
    sizing = BatchSizing(64, lambda: 0)
    for number in range(1000):
        sizing.ran(of(f"f{number}"), SHORT)
    sizing.ran(of("f0"), SHORT)

    assert sizing.fits(row("f999"))


def test_what_preemption_adds_to_a_run_does_not_make_a_function_long():
    sizing = BatchSizing(64, count(1).__next__)
    for _ in range(20):  # a quota of half a core: 50 ms of work, then 50 ms without the processor
        after(sizing, *[0.0002] * 250)
        sizing.ran(of(), 0.05, PostMortem(cpu_time=0.0002))

        assert sizing.is_short(of())
    assert [sizing.size(0.0) for _ in range(8)][-1] >= 8


def test_batches_stay_as_large_where_every_third_run_is_preempted():
    sizing = after(BatchSizing(64, count(1).__next__), *[SHORT] * 100)
    for _ in range(100):
        sizing.ran(of(), 0.05, PostMortem(cpu_time=SHORT))
        after(sizing, SHORT, SHORT)

    assert [sizing.size(0.0) for _ in range(8)][-1] == 64


def test_of_very_many_functions_the_preempted_runs_are_forgotten_too():
    sizing = BatchSizing(64, count(1).__next__)
    for number in range(3000):
        sizing.ran(of(f"f{number}"), SHORT)
        sizing.ran(of(f"f{number}"), LONG, PostMortem(cpu_time=SHORT))

    assert len(sizing._excused) <= 1000


def test_processor_time_of_other_threads_makes_no_run_longer_than_it_was():
    sizing = after(BatchSizing(64, count(1).__next__), *[SHORT] * 100)
    sizing.ran(of(), 0.0011, PostMortem(cpu_time=5.0))

    assert sizing.is_short(of())


def test_a_preempted_run_that_was_not_measured_counts_within_a_limit():
    sizing = after(BatchSizing(64, count(1).__next__), *[0.0002] * 100)
    sizing.ran(of(), 0.05)

    assert sizing.is_short(of())


def test_a_function_that_has_begun_to_sleep_on_a_busy_host_is_known_to_be_long_after_two_runs():
    sizing = after(BatchSizing(64, count(1).__next__), *[SHORT] * 100)
    for _ in range(2):
        sizing.ran(of(), 0.2, PostMortem(cpu_time=0.0003))

    assert not sizing.is_short(of())


def test_a_long_run_that_was_not_preempted_counts_in_full():
    sizing = after(BatchSizing(64, lambda: 7), *[SHORT] * 100)
    sizing.ran(of(), LONG)

    assert not sizing.is_short(of())


def test_a_function_that_has_become_long_on_a_busy_host_is_soon_known_to_be():
    sizing = after(BatchSizing(64, count(1).__next__), *[SHORT] * 100)
    for _ in range(8):
        sizing.ran(of(), 5.0, PostMortem(cpu_time=4.9))

    assert not sizing.is_short(of())
