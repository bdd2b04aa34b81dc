"""Reading a job's output while it grows, loses its front, and begins anew."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from gigq.cli.logs import continued
from gigq.output_file import OutputFile
from gigqd.linux import syscalls
from gigqd.process.child import scratch_file

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def file() -> Iterator[int]:
    descriptor = scratch_file("a job's output")
    yield descriptor
    os.close(descriptor)


def all_of(output: OutputFile) -> bytes:
    return b"".join(iter(output.read, b""))


def test_what_is_added_is_read_once(file: int) -> None:
    output = OutputFile(os.dup(file))
    os.write(file, b"one\n")

    assert all_of(output) == b"one\n"
    assert all_of(output) == b""
    os.write(file, b"two\n")
    assert all_of(output) == b"two\n"
    output.close()


def test_zeros_that_a_job_has_written_are_read_as_they_are(file: int) -> None:
    output = OutputFile(os.dup(file))
    os.write(file, b"\0\0one")

    assert all_of(output) == b"\0\0one"
    output.close()


def test_a_front_that_was_freed_is_left_out(file: int) -> None:
    output = OutputFile(os.dup(file))
    os.write(file, b"x" * 1_000_000 + b"the end")
    syscalls.free_front(file, keep=5000)

    found = all_of(output)
    assert found.strip(b"x") == b"the end"
    assert 5000 <= len(found) < 20_000
    output.close()


def test_a_front_that_is_freed_during_the_read_is_left_out(
    file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = OutputFile(os.dup(file))
    os.write(file, b"x" * 1_000_000 + b"the end")
    read = os.pread

    def freed_first(descriptor: int, length: int, at: int) -> bytes:
        syscalls.free_front(file, keep=5000)
        return read(descriptor, length, at)

    monkeypatch.setattr(os, "pread", freed_first)

    assert all_of(output).strip(b"x") == b"the end"
    output.close()


def test_a_file_that_begins_anew_is_read_from_its_start(file: int) -> None:
    output = OutputFile(os.dup(file))
    os.write(file, b"the first job")
    assert all_of(output) == b"the first job"
    os.ftruncate(file, 0)
    os.write(file, b"second")

    assert all_of(output) == b"second"
    output.close()


@pytest.mark.parametrize(
    ("written", "stored", "missing"),
    [
        ("", "all of it", "all of it"),
        ("all", "all of it", " of it"),
        ("all of it", "all of it", ""),
        ("the beginning, all", "all of it", " of it"),
        ("the beginning, all of it", "all of it", ""),
        ("tick\n" * 5, "tick\n" * 6, "tick\n"),
        ("grün ", "\ufffdn und blau", "und blau"),
        ("lost", "found", "found"),
        ("all", "", ""),
    ],
)
def test_what_was_stored_continues_what_was_written(
    written: str, stored: str, missing: str
) -> None:
    assert continued(written, stored) == missing
