"""System calls that a strict filter refuses, as in some containers."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import stat
import struct
import tempfile
from typing import TYPE_CHECKING

import pytest
from support.forked import in_a_child

from gigqd.process.child import scratch_file

if TYPE_CHECKING:
    from pathlib import Path

MEMFD_CREATE = {"x86_64": 319, "aarch64": 279}.get(platform.machine())
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, IS_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000


class Program(ctypes.Structure):
    """struct sock_fprog of <linux/filter.h>."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def refuse(call: int, error: int) -> None:
    """Have the kernel refuse a system call to this process, seccomp(2)."""
    instructions = [
        (LOAD, 0, 0, 0),  # the number of the call
        (IS_EQUAL, 0, 1, call),
        (RETURN, 0, 0, ERRNO | error),
        (RETURN, 0, 0, ALLOW),
    ]
    text = b"".join(struct.pack("HBBI", *each) for each in instructions)
    libc = ctypes.CDLL(None)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    program = Program(len(instructions), text)
    assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program)) == 0


@pytest.mark.skipif(MEMFD_CREATE is None, reason="the number of the call is not known here")
@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS], ids=["EPERM", "ENOSYS"])
def test_what_a_job_prints_goes_to_a_temporary_file_where_files_in_memory_are_refused(
    error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)

    def without_memfd() -> object:
        assert MEMFD_CREATE is not None
        refuse(MEMFD_CREATE, error)
        file = scratch_file("output")
        os.write(file, b"one")
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, b" two")  # always at its end
        state = os.fstat(file)
        mine = state.st_nlink, stat.S_IMODE(state.st_mode), state.st_dev == tmp_path.stat().st_dev
        return os.pread(file, 100, 0), *mine, os.get_inheritable(file)

    assert in_a_child(without_memfd) == "(b'one two', 0, 384, True, False)"


@pytest.mark.skipif(MEMFD_CREATE is None, reason="the number of the call is not known here")
def test_a_folder_for_temporary_files_that_cannot_be_used_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    monkeypatch.setenv("TEMP", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)

    def without_memfd() -> object:
        assert MEMFD_CREATE is not None
        refuse(MEMFD_CREATE, errno.EPERM)
        return os.write(scratch_file("output"), b"one")

    assert in_a_child(without_memfd) == "3"
