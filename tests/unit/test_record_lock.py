"""The list of all record locks, of which the kernel may leave one out in a reading."""

import fcntl
import os
from pathlib import Path

import pytest
from support.lock_lists import LONG, Readings

from gigq.store.sqlite.file import record_lock
from gigq.store.sqlite.file.record_lock import RecordLock


@pytest.mark.parametrize("seen", [(True, True, True), (False, True, True), (False, False, True)])
def test_a_lock_that_a_reading_of_a_long_list_leaves_out_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: tuple[bool, ...]
) -> None:
    file = tmp_path / "file"
    file.touch()
    line = f"7: POSIX  ADVISORY  WRITE {os.getpid()} 08:01:{file.stat().st_ino} 5 6\n"
    readings = Readings(line + LONG if one else LONG for one in seen)
    monkeypatch.setattr(record_lock, "_LIST", readings)

    assert record_lock.on_file(str(file)) == [RecordLock(fcntl.F_WRLCK, 5, 2, os.getpid())]


def test_a_lock_of_this_process_is_in_the_list_of_the_kernel(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        record_lock.take(file.fileno(), 5, 2)

        assert record_lock.on_file(file.name) == [RecordLock(fcntl.F_WRLCK, 5, 2, os.getpid())]
