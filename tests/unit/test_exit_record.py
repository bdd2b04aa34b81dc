"""Exit records are kept until the recorder has confirmed them, and what they mean for a job."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from gigq.model.cause import Cause
from gigq.model.job_status import JobStatus
from gigq.model.retry_decision import decide
from gigqd.ipc import json_socket
from gigqd.ipc.exit_record import ExitRecord
from gigqd.ipc.json_socket import JsonSocket
from gigqd.recorder.result_from_exit import result_of_exit
from gigqd.supervisor.recorder_link import RecorderLink

if TYPE_CHECKING:
    import socket

CRASH = ExitRecord(signal="SIGSEGV", cause=Cause.CRASHED, worker_id="w1", output="last words")
KILLED = ExitRecord(signal="SIGKILL", worker_id="w1")
JOB = {"attempts": 1, "max_attempts": 3, "retry_delay": 0, "refunds": 0, "error": None}


@pytest.fixture
def recorder() -> Iterator[tuple[JsonSocket, JsonSocket]]:
    ours, theirs = json_socket.pair()
    listening: socket.socket = theirs
    other = JsonSocket(listening)
    yield ours, other
    ours.close()
    other.close()


def test_an_exit_record_is_sent_and_kept_until_it_is_settled(
    recorder: tuple[JsonSocket, JsonSocket],
) -> None:
    ours, theirs = recorder
    book = RecorderLink()
    book.serve(ours)

    book.add(CRASH)
    (message,) = theirs.receive()

    assert message["worker_id"] == "w1"
    assert len(book) == 1
    book.receive({"settled": message["exit"] + 1})
    assert len(book) == 1
    book.receive({"settled": message["exit"]})
    assert len(book) == 0


def test_an_exit_record_arrives_as_it_was_sent(recorder: tuple[JsonSocket, JsonSocket]) -> None:
    ours, theirs = recorder
    book = RecorderLink()
    book.serve(ours)
    sent = CRASH._replace(latest="e1", running=True, wall_time=0.25, peak_memory=1 << 40)

    book.add(sent)
    (message,) = theirs.receive()
    del message["exit"]
    arrived = ExitRecord.of_message(message)

    assert arrived == sent
    assert arrived.cause is Cause.CRASHED
    assert ExitRecord.of_message({"exit_code": 0}).cause is None


def test_the_next_recorder_is_sent_all_that_is_open(
    recorder: tuple[JsonSocket, JsonSocket],
) -> None:
    ours, theirs = recorder
    book = RecorderLink()
    book.add(CRASH)
    book.serve(None)
    book.add(CRASH)

    book.serve(ours)

    assert [message["exit"] for message in theirs.receive()] == [1, 2]


def test_a_crash_is_a_failed_attempt_with_its_signal_and_last_words() -> None:
    ending = result_of_exit(CRASH)

    assert ending.status is JobStatus.FAILED
    assert ending.cause is Cause.CRASHED
    assert "was killed by SIGSEGV" in str(ending.error)
    assert ending.post_mortem is not None
    assert (ending.post_mortem.signal, ending.post_mortem.output) == ("SIGSEGV", "last words")


def test_an_overrun_is_a_timeout_that_names_the_limit() -> None:
    ending = result_of_exit(KILLED._replace(cause=Cause.TIMEOUT, limit=1.5, killed=3))

    assert ending.status is JobStatus.TIMEOUT
    assert "1.5 s" in str(ending.error)
    assert decide(ending, JOB, "2026-01-01T00:00:00.000000+00:00").status is JobStatus.PENDING


def test_a_stop_gives_the_attempt_back() -> None:
    ending = result_of_exit(KILLED._replace(cause=Cause.STOPPED))
    outcome = decide(ending, JOB, "2026-01-01T00:00:00.000000+00:00")

    assert outcome.status is JobStatus.PENDING
    assert outcome.released


def test_a_memory_limit_names_what_was_used_and_what_was_allowed() -> None:
    ending = result_of_exit(
        KILLED._replace(cause=Cause.MEMORY, peak_memory=345_600_000, memory_limit=300_000_000)
    )

    assert (ending.status, ending.cause) == (JobStatus.FAILED, Cause.MEMORY)
    assert "330 MiB" in str(ending.error)
    assert "300 MB (286 MiB)" in str(ending.error)
    assert ending.post_mortem is not None
    assert ending.post_mortem.peak_rss == 345_600_000


def test_a_kill_by_the_kernel_for_want_of_memory_says_so() -> None:
    ending = result_of_exit(KILLED._replace(cause=Cause.OOM, peak_memory=900_000_000))

    assert (ending.status, ending.cause) == (JobStatus.FAILED, Cause.OOM)
    assert "the kernel killed" in str(ending.error)
    assert "it had no limit" in str(ending.error)


def test_a_cancelled_job_that_had_to_be_killed_is_cancelled_for_good() -> None:
    ending = result_of_exit(KILLED._replace(cause=Cause.CANCELLED))

    assert (ending.status, ending.cause) == (JobStatus.CANCELLED, Cause.CANCELLED)


def test_a_worker_that_fails_before_it_is_up_is_distinguished_from_one_that_crashes() -> None:
    ending = result_of_exit(ExitRecord(exit_code=80, cause=Cause.BOOT, worker_id="w1"))

    assert (ending.status, ending.cause) == (JobStatus.FAILED, Cause.BOOT)
    assert "exited with code 80 before it was up" in str(ending.error)


def test_a_post_mortem_has_the_figures_that_are_known_and_no_others() -> None:
    known = result_of_exit(
        KILLED._replace(
            cause=Cause.TIMEOUT, limit=2, wall_time=2.51, cpu_time=0.2, late=0.013, killed=4
        )
    ).post_mortem
    nothing = result_of_exit(CRASH).post_mortem

    assert known is not None
    assert (known.wall_time, known.cpu_time, known.late, known.killed) == (2.51, 0.2, 0.013, 4)
    assert nothing is not None
    assert (nothing.wall_time, nothing.cpu_time, nothing.late, nothing.peak_rss) == (None,) * 4


@pytest.mark.parametrize(
    "cause", ["timeout", "crashed", "memory", "oom", "cancelled", "stopped", "boot"]
)
def test_every_cause_is_one_sentence(cause: str) -> None:
    error = str(result_of_exit(KILLED._replace(cause=Cause(cause))).error)

    assert "\n" not in error
    assert not error.endswith(".")
