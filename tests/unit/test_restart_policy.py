"""How fast dead workers are replaced."""

from gigqd.supervisor.restart_policy import Breaker, Bucket, Restarts
from gigqd.supervisor.slots import Limits, Slot


def test_ten_workers_are_replaced_at_once_then_two_a_second() -> None:
    bucket = Bucket()

    waits = [bucket.take(100.0) for _ in range(11)]

    assert waits == [0.0] * 10 + [0.5]
    assert bucket.take(100.25) == 0.25
    assert bucket.take(100.5) == 0.0
    assert bucket.take(100.5) == 0.5


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    bucket = Bucket()
    for _ in range(10):
        bucket.take(100.0)

    waits = [bucket.take(10_000.0) for _ in range(11)]

    assert waits.count(0.0) == 10


def open_breaker(at: float = 100.0) -> Breaker:
    breaker = Breaker(size=4)
    assert [breaker.failed(at) for _ in range(8)] == [False] * 7 + [True]
    return breaker


def test_a_breaker_opens_after_twice_as_many_failures_as_workers() -> None:
    assert open_breaker().open


def test_a_small_pool_may_fail_five_times() -> None:
    breaker = Breaker(size=1)

    assert [breaker.failed(100.0) for _ in range(5)] == [False] * 4 + [True]


def test_failures_of_more_than_a_minute_ago_do_not_count() -> None:
    breaker = Breaker(size=1)
    for _ in range(4):
        breaker.failed(100.0)

    assert not breaker.failed(160.1)


def test_an_open_breaker_lets_one_probe_at_a_time_through_at_growing_distances() -> None:
    breaker = open_breaker()

    assert breaker.next_try_at(100.0) == 102.0
    assert breaker.next_try_at(102.0) == 0.0
    assert breaker.next_try_at(102.0) == 104.0
    distances = []
    for _ in range(7):
        breaker.failed(1000.0)
        distances.append(breaker.next_try_at(1000.0) - 1000.0)
    assert distances == [4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_a_worker_that_boots_closes_the_breaker() -> None:
    breaker = open_breaker()

    assert breaker.succeeded()
    assert breaker.next_try_at(100.0) == 0.0
    assert not breaker.succeeded()


def test_a_canary_is_tried_at_once_while_the_workers_of_its_pool_are_held_back() -> None:
    restarts = Restarts()
    worker, canary = (Slot(name, "mail", Limits(30.0, 2.0, 120.0)) for name in ("0", "canary"))
    canary.canary = True
    restarts.resize("mail", 1)
    while not restarts.open_breakers():
        restarts.failed(worker, 100.0)

    assert restarts.wait(worker, 100.0) == 2.0
    assert restarts.wait(canary, 100.0) == 0.0


def test_failed_boots_of_a_canary_do_not_hold_back_the_workers_of_its_pool() -> None:
    restarts = Restarts()
    canary = Slot("canary", "mail", Limits(30.0, 2.0, 120.0))
    canary.canary = True
    restarts.resize("mail", 1)

    assert [restarts.failed(canary, 100.0) for _ in range(9)] == [False] * 9
    assert restarts.open_breakers() == []
