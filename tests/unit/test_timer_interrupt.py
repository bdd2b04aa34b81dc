"""The timer that ends a job that overruns."""

import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from functools import wraps
from types import SimpleNamespace

import pytest
from support.claims import claim
from support.waiting import wait_until

from gigq.errors import JobInterrupted, JobStopped, JobTimeout
from gigq.execution import attempt
from gigq.execution.attempt import CtrlC
from gigq.execution.timer_interrupt import NoInterrupter, TimerInterrupter, for_this_thread
from gigq.model.cause import Cause
from gigq.model.job_status import JobStatus

# The timer belongs to what is tested here.
pytestmark = pytest.mark.timeout(method="thread")


def alone(test):
    """Run a test in a process with a single thread: another one would take the signal."""

    @wraps(test)
    def run():
        pid = os.fork()
        if not pid:
            try:
                test()
                os._exit(0)
            except BaseException:  # noqa: BLE001 - pytest's own exceptions too
                traceback.print_exc()
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    return run


def armed(timeout):
    return TimerInterrupter().armed(claim(timeout=timeout))


def test_an_overrun_is_interrupted_and_finally_runs():
    steps = []

    def careful():
        try:
            time.sleep(30)
        finally:
            steps.append("finally")

    with pytest.raises(JobTimeout, match=r"Job timed out after 0\.05 seconds"), armed(0.05):
        careful()

    assert steps == ["finally"]


def test_except_exception_does_not_swallow_the_interruption():
    def stubborn():
        while True:
            try:
                time.sleep(30)
            except Exception:  # noqa: BLE001 - the point of it
                continue

    with pytest.raises(JobInterrupted), armed(0.05):
        stubborn()


def test_a_busy_loop_is_interrupted():
    def busy():
        while True:
            pass

    with pytest.raises(JobTimeout), armed(0.05):
        busy()


@alone
def test_a_job_is_interrupted_although_an_earlier_one_has_blocked_the_signal():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})

    with pytest.raises(JobTimeout), armed(0.05):
        threading.Event().wait(30)


@alone
def test_an_alarm_that_an_earlier_job_left_pending_does_not_interrupt_the_next():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    os.kill(os.getpid(), signal.SIGALRM)

    with armed(60):
        threading.Event().wait(0.01)


@alone
def test_a_job_that_blocks_the_signal_leaves_none_pending_and_the_signal_unblocked():
    with armed(60):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        wait_until(lambda: signal.SIGALRM in signal.sigpending())

    assert signal.SIGALRM not in signal.sigpending()
    assert signal.SIGALRM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_after_the_job_nothing_is_left_of_the_timer():
    before = signal.getsignal(signal.SIGALRM)
    with armed(60):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 50

    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_a_timer_of_the_application_goes_on_after_the_job():
    rung = threading.Event()
    before = signal.signal(signal.SIGALRM, lambda *_: rung.set())
    try:
        signal.setitimer(signal.ITIMER_REAL, 30)
        with armed(60):
            pass
        left = signal.getitimer(signal.ITIMER_REAL)[0]
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        rung.wait(10)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert 20 < left <= 30
    assert rung.is_set()


def test_the_timer_never_strikes_outside_the_job_however_close_the_race():
    def busy():
        until = time.monotonic() + 0.0005
        while time.monotonic() < until:
            pass

    for _ in range(1000):
        with suppress(JobTimeout), armed(0.0005):
            busy()

        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_an_alarm_within_the_frames_around_a_job_waits_for_the_next_one():
    manager = armed(60)

    with manager:
        ring = signal.getsignal(signal.SIGALRM)
        for name in ("__enter__", "__exit__"):
            ring(signal.SIGALRM, SimpleNamespace(f_code=getattr(type(manager), name).__code__))
        still_runs = signal.getitimer(signal.ITIMER_REAL)[0]
        with pytest.raises(JobTimeout):
            ring(signal.SIGALRM, sys._getframe())

    assert still_runs > 0


def test_no_timeout_needs_no_timer():
    with armed(None):
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_timeout_of_a_thousand_years_is_taken():
    with armed(86400 * 365 * 1000):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0


def test_only_the_main_thread_can_be_interrupted():
    found = []
    thread = threading.Thread(target=lambda: found.append(for_this_thread()))
    thread.start()
    thread.join()

    assert isinstance(for_this_thread(), TimerInterrupter)
    assert isinstance(found[0], NoInterrupter)
    with found[0].armed(claim(timeout=0.01)):
        pass


def test_ctrl_c_is_distinguished_from_a_job_that_raises_keyboard_interrupt():
    with CtrlC() as raised, pytest.raises(KeyboardInterrupt):
        raise KeyboardInterrupt
    with CtrlC() as pressed, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)

    assert not raised.pressed
    assert pressed.pressed
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_applications_own_handler_for_ctrl_c_stays():
    own = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with CtrlC():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, own)


def test_an_execution_ends_one_way_or_the_other_however_close_the_race():
    def busy():
        until = time.monotonic() + 0.0005
        while time.monotonic() < until:
            pass

    endings = [
        attempt.run(
            claim(timeout=0.0005),
            attempt.Environment(lambda _ref: busy, lambda _ids: {}, TimerInterrupter()),
        )
        for _ in range(1000)
    ]

    assert {ending.status for ending in endings} <= {JobStatus.COMPLETED, JobStatus.TIMEOUT}
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_job_is_interrupted_once():
    interrupter = TimerInterrupter()
    with interrupter.armed(claim(timeout=600)):
        with pytest.raises(JobStopped):
            interrupter.stop()
        interrupter.stop()  # the job may be in its `finally` by now

    assert interrupter.interruption.cause is Cause.STOPPED


def test_no_job_is_interrupted_after_its_end():
    interrupter = TimerInterrupter()
    with interrupter.armed(claim(timeout=600)):
        pass

    interrupter.stop()

    assert interrupter.interruption is None
