"""Messages about a damaged file name only the files that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gigq.store.sqlite.file.wal_file_names import beside, the_log, together

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("there", "kept", "moved"),
    [
        ((), "the file", "the -wal"),
        (("-wal",), "the file and its -wal together", "the -wal"),
        (("-shm",), "the file and its -shm together", "the -shm"),
        (("-wal", "-shm"), "the file, its -wal and its -shm together", "the -wal and the -shm"),
    ],
)
def test_only_what_lies_beside_the_file_is_named(
    tmp_path: Path, there: tuple[str, ...], kept: str, moved: str
) -> None:
    path = str(tmp_path / "queue.db")
    for suffix in there:
        (tmp_path / f"queue.db{suffix}").touch()

    assert beside(path) == there
    assert together(there) == kept
    assert the_log(path) == moved
