"""Verdicts are kept until the keeper has confirmed them, and what they mean for a job."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from gigq.outcome import decide
from gigq.status import Cause, JobStatus
from gigqd import wire
from gigqd.books import Books
from gigqd.roles.keeper import ending_of
from gigqd.verdicts import Verdict
from gigqd.wire import Wire

if TYPE_CHECKING:
    import socket

CRASH = Verdict("w1", "crashed", "killed by SIGSEGV", signal="SIGSEGV", output="last words")
JOB = {"attempts": 1, "max_attempts": 3, "retry_delay": 0, "refunds": 0, "error": None}


@pytest.fixture
def keeper() -> Iterator[tuple[Wire, Wire]]:
    ours, theirs = wire.pair()
    listening: socket.socket = theirs
    other = Wire(listening)
    yield ours, other
    ours.close()
    other.close()


def test_a_verdict_is_sent_and_kept_until_it_is_settled(keeper: tuple[Wire, Wire]) -> None:
    ours, theirs = keeper
    book = Books()
    book.serve(ours)

    book.add(CRASH)
    (message,) = theirs.receive()

    assert message["worker_id"] == "w1"
    assert len(book) == 1
    book.hear({"settled": message["verdict"] + 1})
    assert len(book) == 1
    book.hear({"settled": message["verdict"]})
    assert len(book) == 0


def test_an_heir_of_the_keeper_is_sent_all_that_is_open(keeper: tuple[Wire, Wire]) -> None:
    ours, theirs = keeper
    book = Books()
    book.add(CRASH)
    book.serve(None)
    book.add(CRASH)

    book.serve(ours)

    assert [message["verdict"] for message in theirs.receive()] == [1, 2]


def test_a_crash_is_a_failed_attempt_with_its_signal_and_last_words() -> None:
    ending = ending_of(CRASH)

    assert ending.status is JobStatus.FAILED
    assert ending.cause is Cause.CRASHED
    assert "was killed by SIGSEGV" in str(ending.error)
    assert ending.post_mortem is not None
    assert (ending.post_mortem.signal, ending.post_mortem.output) == ("SIGSEGV", "last words")


def test_an_overrun_is_a_timeout_that_names_the_limit() -> None:
    ending = ending_of(Verdict("w1", "timeout", "killed by SIGKILL", limit=1.5, killed=3))

    assert ending.status is JobStatus.TIMEOUT
    assert "1.5 s" in str(ending.error)
    assert decide(ending, JOB, "2026-01-01T00:00:00.000000+00:00").status is JobStatus.PENDING


def test_a_stop_gives_the_attempt_back() -> None:
    ending = ending_of(Verdict("w1", "stopped", "killed by SIGKILL"))
    outcome = decide(ending, JOB, "2026-01-01T00:00:00.000000+00:00")

    assert outcome.status is JobStatus.PENDING
    assert outcome.refunded
