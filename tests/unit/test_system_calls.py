"""What the kernel is asked for beyond the standard library."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.waiting import wait_until

from gigqd.linux import syscalls
from gigqd.process.child import scratch_file, tail
from gigqd.process.process_tree import descendants

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = os.sysconf("SC_PAGESIZE")


@pytest.fixture
def output() -> Iterator[int]:
    fd = scratch_file("output")
    yield fd
    os.close(fd)


@pytest.fixture
def shell() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["/bin/sh", "-c", "sleep 600 & sleep 600"])
    wait_until(lambda: len(syscalls.children_of(process.pid)) == 2)
    yield process
    for pid in (*syscalls.children_of(process.pid), process.pid):
        os.kill(pid, signal.SIGKILL)
    process.wait()


def memory_of(fd: int) -> int:
    return os.fstat(fd).st_blocks * 512


def test_freeing_the_front_of_a_file_keeps_its_size_and_its_end(output: int) -> None:
    os.write(output, b"a" * 100 * PAGE + b"the end")

    syscalls.free_front(output, keep=10)

    assert os.fstat(output).st_size == 100 * PAGE + 7
    assert memory_of(output) <= 2 * PAGE
    assert os.pread(output, 10, 100 * PAGE - 3) == b"aaathe end"


def test_a_writer_goes_on_where_it_was_after_the_front_is_freed(output: int) -> None:
    os.write(output, b"a" * 50 * PAGE)

    syscalls.free_front(output, keep=PAGE)
    os.write(output, b"more")

    assert os.fstat(output).st_size == 50 * PAGE + 4
    assert tail(output, 6) == "aamore"


def test_zero_bytes_of_what_was_freed_are_never_shown(output: int) -> None:
    os.write(output, b"a" * 3 * PAGE + b"b")

    syscalls.free_front(output, keep=1)

    assert tail(output, 10 * PAGE) == "b"


def test_a_short_file_is_left_alone(output: int) -> None:
    os.write(output, b"short")

    syscalls.free_front(output, keep=PAGE)

    assert tail(output, 10) == "short"


def test_a_file_that_cannot_have_holes_is_an_error() -> None:
    reader, writer = os.pipe()

    with pytest.raises(OSError, match="fallocate"):
        syscalls._punch(writer, PAGE)

    os.close(reader)
    os.close(writer)


def test_read_process_identifies_a_process(shell: subprocess.Popen[bytes]) -> None:
    process = syscalls.read_process(shell.pid)

    assert (process.pid, process.parent) == (shell.pid, os.getpid())
    assert (process.group, process.session) == (os.getpgid(shell.pid), os.getsid(shell.pid))
    assert process.identity == (shell.pid, syscalls.start_ticks(shell.pid))
    assert process.alive
    assert not process.stopped
    assert not process.is_kernel_thread
    assert process.memory > 0


def test_a_stopped_process_is_seen_to_be(shell: subprocess.Popen[bytes]) -> None:
    os.kill(shell.pid, signal.SIGSTOP)

    assert wait_until(lambda: syscalls.read_process(shell.pid).stopped)


def test_descendants_are_found_with_and_without_lists_of_children(
    shell: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = {process.pid for process in descendants(syscalls.read_process(shell.pid))}
    monkeypatch.setattr(syscalls, "_HAS_CHILDREN_LISTS", False)

    assert len(listed) == 2
    assert {process.pid for process in descendants(syscalls.read_process(shell.pid))} == listed


def test_a_process_that_is_gone_has_no_children_and_cannot_be_looked_at() -> None:
    child = subprocess.Popen(["/bin/true"])
    child.wait()

    assert syscalls.children_of(child.pid) == []
    with pytest.raises(ProcessLookupError):
        syscalls.read_process(child.pid)
