"""Doing something in a forked child, as when it changes the account or the namespace for good."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CLONE_NEWUSER = 0x10000000


def in_a_child(action: Callable[[], object]) -> str:
    """What an action returns in a forked child, as text; its exception's text when it raises."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            said = str(action())
        except BaseException as error:  # noqa: BLE001 - every exception is reported to the parent
            said = f"{type(error).__name__}: {error}"
        finally:
            os.write(writer, said.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return text


def unshare(kind: int) -> None:
    """Move this process into a namespace of its own; `os.unshare` came with Python 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(kind):
        raise OSError(ctypes.get_errno(), "unshare")
