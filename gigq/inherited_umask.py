"""A umask that takes the owner's own rights, which a program passes on to those that it starts."""

from __future__ import annotations

import os

_OF_OTHERS = 0o077


def keep_own_access() -> None:
    """Take the owner's bits out of the umask.

    With them a new folder or file could not be used again by the account that has made it.
    """
    os.umask(os.umask(_OF_OTHERS) & _OF_OTHERS)
