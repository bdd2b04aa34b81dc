"""Which parts of an output the recorder stores, and when it sends a statement for them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigq.output_file import OutputFile
from gigq.store.database import Database
from gigqd.ipc.scoreboard import Activity, Report
from gigqd.process.child import scratch_file
from gigqd.recorder.requested_output import RequestedOutput, _Output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigq.store.verbs.live_output import Part

KEPT = 100
BUSY = Report(Activity.BUSY, execution="mine")


@pytest.fixture
def file() -> Iterator[int]:
    descriptor = scratch_file("a job's output")
    yield descriptor
    os.close(descriptor)


class Stored:
    """The parts that a database has after each was stored."""

    def __init__(self) -> None:
        self.parts: dict[int, bytes] = {}

    def store(self, part: Part, first: int) -> None:
        self.parts[part.start] = part.content
        self.parts = {
            start: content for start, content in self.parts.items() if first <= start <= part.start
        }


def no_connection() -> object:
    raise AssertionError("a statement was sent")


def requested_output(*reports: Report) -> RequestedOutput:
    found = RequestedOutput(Database(no_connection), "run", lambda _pool: KEPT, lambda: reports)
    found._requested = frozenset()  # it has deleted what had expired before its start
    return found


def test_nothing_is_sent_for_a_job_that_nobody_follows() -> None:
    output = requested_output(BUSY)
    output.follow(frozenset())
    output.store()


def test_nothing_is_sent_for_the_request_of_an_attempt_on_another_host() -> None:
    output = requested_output(BUSY)
    output.follow(frozenset(["other"]))
    output.store()


def test_an_attempt_that_has_ended_is_not_asked_about() -> None:
    output = requested_output(Report(Activity.SETTLING, execution="mine"))
    output.follow(frozenset(["mine"]))
    output.store()


def following(descriptor: int, *reports: Report) -> RequestedOutput:
    """It follows the attempt `mine`, and sees one of the reports at each look."""
    looks = iter(reports)
    found = RequestedOutput(
        Database(no_connection), "run", lambda _pool: KEPT, lambda: [next(looks)]
    )
    found._requested = frozenset(["mine"])
    found._outputs["mine"] = _Output(OutputFile(os.dup(descriptor)), KEPT)
    return found


def test_what_was_read_while_the_worker_began_its_next_job_is_not_stored(file: int) -> None:
    output = following(file, BUSY, Report(Activity.BUSY, execution="next"))
    os.write(file, b"whose?")

    output.store()
    output._close("mine")


def test_what_was_read_and_not_stored_is_stored_later(file: int) -> None:
    output = following(file, BUSY, BUSY)
    os.write(file, b"one ")
    with pytest.raises(AssertionError, match="a statement was sent"):
        output.store()
    os.write(file, b"two")
    kept = output._outputs["mine"]
    assert kept is not None
    part = kept.read()

    assert part is not None
    assert (part.start, part.content) == (0, b"one two")
    output._close("mine")


@given(st.lists(st.integers(1, 3 * KEPT), max_size=60))
def test_the_stored_parts_are_the_end_of_the_output_and_few(sizes: list[int]) -> None:
    descriptor = scratch_file("a job's output")
    output, stored, written = _Output(OutputFile(descriptor), KEPT), Stored(), b""
    for number, size in enumerate(sizes):
        written += bytes([number]) * size
        os.write(descriptor, bytes([number]) * size)
        part = output.read()
        assert part is not None
        stored.store(part, output.first)

        total = sum(map(len, stored.parts.values()))
        assert len(stored.parts) <= 16
        assert total < 2 * KEPT
        assert all(written[at:].startswith(content) for at, content in stored.parts.items())
        assert total >= min(KEPT, len(written))
    os.close(descriptor)


def test_nothing_is_stored_again_while_nothing_is_added(file: int) -> None:
    output = _Output(OutputFile(os.dup(file)), KEPT)
    os.write(file, b"once")
    assert output.read() is not None

    assert output.read() is None
    output.file.close()


def test_after_a_refusal_all_that_is_kept_is_stored_again(file: int) -> None:
    output = _Output(OutputFile(os.dup(file)), KEPT)
    os.write(file, b"one ")
    output.read()
    output.begin()
    again = output.read()
    output.begin()
    os.write(file, b"two")
    with_more = output.read()

    assert again is not None
    assert (again.start, again.content) == (0, b"one ")
    assert with_more is not None
    assert (with_more.start, with_more.content) == (0, b"one two")
    output.file.close()


def test_an_output_that_the_job_has_emptied_goes_on_after_the_rest(file: int) -> None:
    output = _Output(OutputFile(os.dup(file)), KEPT)
    os.write(file, b"before")
    output.read()
    os.ftruncate(file, 0)
    os.write(file, b"now")
    part = output.read()

    assert part is not None
    assert (part.start, part.content) == (6, b"now")
    output.file.close()
