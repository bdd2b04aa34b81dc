"""Waiting for a database file that another program has just put at a path and may still fill."""

from __future__ import annotations

import os
import struct
import time

from gigq.errors import StoreGone
from gigq.model import clock
from gigq.store.sqlite.file.identity import state_of
from gigq.store.sqlite.initialized_mark import is_noted

SETTLED_AFTER = 1.0
"""Seconds without a change after which a file counts as complete."""

_PAUSE = 0.05
_MAGIC = b"SQLite format 3\0"
# Page size at 16, change counter at 24, pages at 28, and at 92 the change at which pages was set
# (sqlite.org, "Database File Format", 1.3).
_HEADER = struct.Struct(">16sH6xII60xI4x")
_LARGEST_PAGE = 65536

# The state of each file, and since when it has it, in seconds of the monotonic clock.
_seen: dict[str, tuple[tuple[int, ...], float]] = {}


def wait_until_complete(path: str, patience: float) -> None:
    """Wait until a file that replaced another one is complete.

    This opens and closes the file, which drops the locks that SQLite holds on it in this process.
    So no connection to it may be open.

    Args:
        path: the database file.
        patience: seconds to wait at most.

    Raises:
        StoreGone: the file is missing, shorter than its header says, or was just changed.
    """
    deadline = time.monotonic() + min(patience, 2 * SETTLED_AFTER)
    while (why := _why_incomplete(path)) is not None:
        if time.monotonic() >= deadline:
            raise StoreGone(f"{path} {why}: gigq uses it once it is complete and stays unchanged")
        time.sleep(_PAUSE)


def _why_incomplete(path: str) -> str | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    try:
        found = os.fstat(file)
        wanted = _size_by_header(os.pread(file, _HEADER.size, 0))
    finally:
        os.close(file)
    if found.st_size < wanted:
        return f"has {found.st_size} bytes of {wanted}"
    return None if _is_settled(path, found) else "is still being written"


def _size_by_header(header: bytes) -> int:
    """Return the size in bytes that a header states; 0 when the header does not say."""
    if len(header) < _HEADER.size:
        return _HEADER.size
    magic, page, changes, pages, counted_at = _HEADER.unpack(header)
    if magic != _MAGIC or changes != counted_at:
        return 0
    return int(pages * (page if page > 1 else _LARGEST_PAGE))


def _is_settled(path: str, found: os.stat_result) -> bool:
    if clock.seconds_since(found.st_mtime_ns) >= SETTLED_AFTER or is_noted(path, found):
        return True
    # The file's time may lie in the future, so a state that stays the same counts as well.
    now = time.monotonic()
    state = state_of(found)
    before, since = _seen.setdefault(path, (state, now))
    if before != state:
        _seen[path] = (state, now)
        return False
    return now - since >= SETTLED_AFTER
