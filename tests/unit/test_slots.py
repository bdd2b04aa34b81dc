"""The life of a slot: every edge of the state machine, with the time given to it."""

import pytest

from gigq.model.cause import Cause
from gigqd.ipc.exit_record import ExitRecord
from gigqd.ipc.scoreboard import Activity, Report
from gigqd.supervisor.slots import Action, Limits, Phase, Slot

LIMITS = Limits(boot=30.0, grace=2.0, record=120.0, hang=60.0)
NOTHING = Report()
IDLE = Report(Activity.IDLE, since=100.0)


def busy(
    *, number: int = 1, since: float = 100.0, deadline: float = 110.0, interrupted: bool = False
) -> Report:
    return Report(
        Activity.BUSY,
        started=number,
        since=since,
        deadline=deadline,
        execution="e",
        interrupted=interrupted,
    )


def slot_up(*, grace: float = 2.0) -> Slot:
    slot = Slot("default/0", "default", Limits(boot=30.0, grace=grace, record=120.0, hang=60.0))
    slot.spawned(99.0)
    assert slot.step(100.0, IDLE) is Action.READY
    return slot


def died(slot: Slot, last: Report, *, code: int | None = None, booted: bool = True) -> Cause | None:
    slot.begin_end(200.0, slot.cause)
    return slot.died(200.0, ExitRecord(exit_code=code), last, booted=booted)


def test_an_empty_slot_wants_a_child_and_a_retired_one_does_not() -> None:
    slot = Slot("default/0", "default", LIMITS)

    assert slot.step(0.0, NOTHING) is Action.SPAWN
    slot.retired = True
    assert slot.step(0.0, NOTHING) is Action.NOTHING


def test_a_child_is_ready_when_it_says_that_it_is_idle() -> None:
    slot = Slot("default/0", "default", LIMITS)
    slot.spawned(0.0)

    assert slot.step(1.0, Report(Activity.BOOTING)) is Action.NOTHING
    assert slot.step(2.0, IDLE) is Action.READY
    assert slot.phase is Phase.UP


def test_a_child_that_does_not_boot_in_time_is_killed() -> None:
    slot = Slot("default/0", "default", LIMITS)
    slot.spawned(0.0)

    assert slot.step(29.9, NOTHING) is Action.NOTHING
    assert slot.step(30.0, NOTHING) is Action.KILL
    assert slot.cause is Cause.BOOT


def test_a_job_is_asked_at_its_deadline_and_killed_after_the_grace() -> None:
    slot = slot_up()

    assert slot.step(109.99, busy()) is Action.NOTHING
    assert slot.step(110.0, busy()) is Action.INTERRUPT
    assert slot.step(111.99, busy(interrupted=True)) is Action.NOTHING
    assert slot.step(112.0, busy(interrupted=True)) is Action.KILL
    assert slot.cause is Cause.TIMEOUT


def test_a_job_is_interrupted_again_and_again_until_the_exception_was_raised_in_it() -> None:
    slot = slot_up()

    assert slot.step(110.0, busy()) is Action.INTERRUPT
    assert slot.step(110.01, busy()) is Action.NOTHING
    assert slot.wake_at(busy()) == pytest.approx(110.02)
    assert slot.step(110.021, busy()) is Action.INTERRUPT_AGAIN
    assert slot.step(110.03, busy()) is Action.NOTHING
    assert slot.step(110.05, busy()) is Action.INTERRUPT_AGAIN
    assert slot.step(110.08, busy(interrupted=True)) is Action.NOTHING
    assert slot.wake_at(busy(interrupted=True)) == pytest.approx(112.0)


def test_the_next_job_is_not_interrupted_for_the_last_one() -> None:
    slot = slot_up()
    slot.step(110.0, busy())

    assert slot.step(111.0, busy(number=2, deadline=200.0)) is Action.NOTHING
    assert slot.phase is Phase.UP


def test_without_a_grace_there_is_only_time_to_dump_the_stacks() -> None:
    slot = slot_up(grace=0.0)

    assert slot.step(110.0, busy()) is Action.DUMP_STACKS
    assert slot.wake_at(busy()) == pytest.approx(110.01)
    assert slot.step(110.009, busy()) is Action.NOTHING
    assert slot.step(110.011, busy()) is Action.KILL


@pytest.mark.parametrize("cause", [Cause.CANCELLED, Cause.STOPPED])
def test_a_job_that_is_to_end_is_interrupted_and_then_killed(cause: Cause) -> None:
    slot = slot_up()
    slot.request_end(1, cause)

    assert slot.step(101.0, busy()) is Action.INTERRUPT
    assert slot.interruption_cause is cause
    assert slot.step(102.9, busy(interrupted=True)) is Action.NOTHING
    assert slot.step(103.0, busy(interrupted=True)) is Action.KILL
    assert slot.cause is cause


def test_a_job_over_its_memory_limit_has_no_grace() -> None:
    slot = slot_up()
    slot.request_end(1, Cause.MEMORY, 0.0)

    assert slot.step(101.0, busy()) is Action.DUMP_STACKS
    assert slot.step(101.03, busy()) is Action.KILL
    assert slot.cause is Cause.MEMORY


def test_a_wish_for_an_execution_that_is_over_does_not_hit_the_next() -> None:
    slot = slot_up()
    slot.request_end(1, Cause.CANCELLED)

    assert slot.step(101.0, busy(number=2)) is Action.NOTHING


def test_a_job_that_eats_memory_in_its_grace_is_killed_at_once() -> None:
    slot = slot_up()
    slot.step(110.0, busy())
    slot.request_end(1, Cause.MEMORY, 0.0)

    assert slot.step(110.1, busy()) is Action.KILL
    assert slot.cause is Cause.MEMORY


def test_a_second_wish_with_a_grace_does_not_prolong_the_first() -> None:
    slot = slot_up()
    slot.step(110.0, busy())
    slot.request_end(1, Cause.CANCELLED)

    assert slot.step(111.0, busy(interrupted=True)) is Action.NOTHING
    assert slot.step(112.0, busy(interrupted=True)) is Action.KILL
    assert slot.cause is Cause.TIMEOUT


def test_nobody_is_blamed_for_the_time_that_the_database_was_away() -> None:
    slot = slot_up()
    settling = Report(Activity.SETTLING, started=1, since=100.0)
    slot.limits_count_from = 300.0

    assert slot.step(419.9, settling) is Action.NOTHING
    assert slot.wake_at(settling) == 420.0
    assert slot.step(420.0, settling) is Action.KILL


def test_an_idle_child_that_stands_still_for_too_long_is_killed() -> None:
    slot = slot_up()
    slot.no_progress_since = 150.0

    assert slot.step(209.9, IDLE) is Action.NOTHING
    assert slot.step(210.0, IDLE) is Action.KILL
    assert slot.cause is Cause.CRASHED


def test_what_a_child_has_said_since_it_was_looked_at_counts() -> None:
    slot = slot_up()
    slot.no_progress_since = 150.0

    assert slot.step(210.0, Report(Activity.IDLE, since=150.1)) is Action.NOTHING
    assert slot.step(210.1, Report(Activity.IDLE, since=150.1)) is Action.KILL


def test_standing_still_while_this_process_was_suspended_does_not_count() -> None:
    slot = slot_up()
    slot.no_progress_since = 150.0
    slot.limits_count_from = 1000.0

    assert slot.step(1059.9, IDLE) is Action.NOTHING


def test_a_child_killed_by_the_kernel_for_memory_has_its_own_cause() -> None:
    slot = slot_up()
    slot.begin_end(200.0, None)

    cause = slot.died(200.0, ExitRecord(signal="SIGKILL"), busy(), booted=True, oom=True)

    assert cause is Cause.OOM
    assert slot.crashed


def test_a_child_killed_for_its_job_has_not_crashed() -> None:
    slot = slot_up()
    slot.begin_end(200.0, Cause.TIMEOUT)

    slot.died(200.0, ExitRecord(signal="SIGKILL"), busy(), booted=True)

    assert not slot.crashed


def test_a_worker_stop_that_takes_longer_than_the_hang_timeout_is_ended() -> None:
    slot = slot_up()
    leaving = Report(Activity.LEAVING, started=1, settled=1, since=150.0)

    assert slot.step(209.9, leaving) is Action.NOTHING
    assert slot.wake_at(leaving) == 210.0
    assert slot.step(210.0, leaving) is Action.KILL


def test_a_worker_that_leaves_after_its_worker_stop_has_left_as_asked() -> None:
    slot = slot_up()
    leaving = Report(Activity.LEAVING, started=1, settled=1, since=150.0)

    assert died(slot, leaving, code=0) is None
    assert slot.restarts == 0


def test_a_job_without_a_limit_is_left_alone() -> None:
    assert slot_up().step(1e9, busy(deadline=0.0)) is Action.NOTHING


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Report(Activity.SETTLING, started=1, since=111.0), id="it is being settled"),
        pytest.param(busy(number=2, deadline=500.0), id="the next one has begun"),
        pytest.param(IDLE, id="nothing runs any more"),
    ],
)
def test_a_job_that_ends_within_the_grace_is_not_killed(answer: Report) -> None:
    slot = slot_up()
    slot.step(110.0, busy())

    assert slot.step(113.0, answer) is Action.NOTHING
    assert slot.phase is Phase.UP


def test_an_outcome_that_is_not_written_in_time_is_killed() -> None:
    slot = slot_up()
    settling = Report(Activity.SETTLING, started=1, since=100.0)

    assert slot.step(219.9, settling) is Action.NOTHING
    assert slot.step(220.0, settling) is Action.KILL


def test_a_child_that_left_as_asked_has_no_cause_and_is_replaced_at_once() -> None:
    slot = slot_up()

    assert died(slot, IDLE, code=0) is None
    assert slot.step(200.0, NOTHING) is Action.SPAWN
    assert slot.restarts == 0


def test_an_exit_code_of_zero_in_the_middle_of_a_job_is_a_crash() -> None:
    slot = slot_up()

    assert died(slot, busy(), code=0) is Cause.CRASHED
    assert slot.step(200.0, NOTHING) is Action.SPAWN


def test_an_unknown_end_is_a_crash() -> None:
    assert died(slot_up(), IDLE, code=None) is Cause.CRASHED


def test_a_child_that_cannot_boot_is_retried_after_growing_delays() -> None:
    slot = Slot("default/0", "default", LIMITS)
    delays = []
    for _ in range(9):
        slot.spawned(0.0)
        died(slot, NOTHING, code=80, booted=False)
        assert slot.step(200.0, NOTHING) is Action.NOTHING
        delays.append(slot.until - 200.0)

    assert all(
        0.8 * ideal <= delay <= 1.2 * ideal
        for ideal, delay in zip([0.5, 1, 2, 4, 8, 16, 32, 60, 60], delays, strict=True)
    )
    assert slot.step(slot.until, NOTHING) is Action.SPAWN


def test_a_child_that_crashes_idle_before_it_has_worked_is_slowed_down_too() -> None:
    slot = slot_up()

    died(slot, IDLE, code=1)

    assert slot.phase is Phase.BACKOFF
    assert not slot.crashed


def test_a_child_that_has_worked_and_dies_idle_is_replaced_at_once_as_after_a_crash() -> None:
    slot = slot_up()

    died(slot, IDLE._replace(settled=1), code=1)

    assert slot.phase is Phase.EMPTY
    assert slot.crashed
    assert slot.failures == 0


def test_a_child_that_left_as_asked_has_not_crashed() -> None:
    slot = slot_up()

    died(slot, IDLE, code=0)

    assert slot.phase is Phase.EMPTY
    assert not slot.crashed


def test_a_child_that_never_came_up_has_not_crashed_in_a_job() -> None:
    slot = Slot("default/0", "default", LIMITS)
    slot.spawned(0.0)

    assert died(slot, NOTHING, code=80, booted=False) is Cause.BOOT


def test_failures_are_forgotten_after_a_settled_job() -> None:
    slot = slot_up()
    slot.failures = 5

    slot.step(101.0, Report(Activity.IDLE, settled=1))

    assert slot.failures == 0


def test_failures_are_forgotten_after_a_minute_of_life() -> None:
    slot = slot_up()
    slot.failures = 5

    slot.step(159.0, IDLE)
    assert slot.failures == 5
    slot.step(161.0, IDLE)
    assert slot.failures == 0


def test_a_stopped_child_is_not_slowed_down() -> None:
    slot = slot_up()
    slot.begin_end(150.0, Cause.STOPPED)

    assert slot.died(151.0, ExitRecord(signal="SIGKILL"), busy(), booted=True) is Cause.STOPPED
    assert slot.phase is Phase.EMPTY


@pytest.mark.parametrize(
    ("slot", "last", "when"),
    [
        pytest.param(slot_up(), busy(deadline=110.0), 110.0, id="the deadline"),
        pytest.param(slot_up(), busy(deadline=0.0), float("inf"), id="no limit"),
        pytest.param(slot_up(), IDLE, float("inf"), id="idle"),
        pytest.param(Slot("a/0", "a", LIMITS), NOTHING, 0.0, id="an empty slot does not wait"),
        pytest.param(
            slot_up(), Report(Activity.SETTLING, since=100.0), 220.0, id="the time to record"
        ),
    ],
)
def test_a_slot_sleeps_until_its_next_deadline(slot: Slot, last: Report, when: float) -> None:
    assert slot.wake_at(last) == when


@pytest.mark.parametrize("last", [NOTHING, Report(Activity.BOOTING)], ids=["silent", "booting"])
def test_a_child_that_exits_before_it_is_up_could_not_boot_whatever_its_code(last: Report) -> None:
    slot = Slot("default/0", "default", LIMITS)
    slot.spawned(0.0)

    assert died(slot, last, code=0, booted=False) is Cause.BOOT
    assert slot.failures == 1


def test_a_child_that_was_asked_to_leave_while_it_booted_has_left() -> None:
    slot = Slot("default/0", "default", LIMITS)
    slot.spawned(0.0)
    slot.leaving = True

    assert died(slot, Report(Activity.BOOTING), code=0, booted=False) is None
    assert slot.step(200.0, NOTHING) is Action.SPAWN


def test_a_child_that_was_asked_to_leave_and_ended_in_its_job_has_crashed() -> None:
    slot = slot_up()
    slot.leaving = True

    assert died(slot, busy(), code=0) is Cause.CRASHED


def test_a_crash_in_a_job_is_no_failure_to_boot_even_if_it_was_never_seen_up() -> None:
    slot = Slot("default/0", "default", LIMITS)
    slot.spawned(0.0)

    assert died(slot, busy(), code=None, booted=False) is Cause.CRASHED
    assert slot.step(200.0, NOTHING) is Action.SPAWN
    assert slot.failures == 0


def test_a_retired_slot_does_not_wait_for_anything_after_a_crash() -> None:
    slot = slot_up()
    slot.retired = True

    died(slot, IDLE, code=1)

    assert slot.phase is Phase.EMPTY


def test_what_kept_a_child_from_booting_is_not_said_of_the_next() -> None:
    slot = Slot("default/0", "default", LIMITS)
    slot.boot_error = "ModuleNotFoundError: no shop"
    slot.spawned(0.0)
    died(slot, NOTHING, code=81, booted=False)

    assert slot.why_down == "exited with code 81"


def test_a_slot_that_is_hurried_waits_no_longer() -> None:
    slot = slot_up()
    died(slot, IDLE, code=1)

    slot.end_backoff()

    assert slot.wake_at(NOTHING) == 0.0
    assert slot.step(200.0, NOTHING) is Action.SPAWN
