"""The output of the current job on standard output and error."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gigqd.process.child import dumped_stacks, tail
from gigqd.process.spawn import flush_standard_streams

if TYPE_CHECKING:
    from gigqd.process.spawn import ChildContext


class Output:
    """The file behind the standard streams, which is emptied before each job.

    Args:
        context: the context of the child, with the descriptors.
        kept: the number of bytes to keep from its end; 0 for none.

    Attributes:
        whole: True when the last job has left the standard streams open.
    """

    def __init__(self, context: ChildContext, kept: int) -> None:
        assert context.output is not None
        self._output = context.output
        self._stacks = context.stacks
        self._kept = kept
        self._is_empty = False
        self.whole = True

    def empty(self) -> None:
        """Empty the file."""
        if not self._is_empty:
            flush_standard_streams()
            os.ftruncate(self._output, 0)

    def take(self) -> str | None:
        """Return the end of the job's output; None when there is none."""
        self.whole = flush_standard_streams()
        self._is_empty = os.fstat(self._output).st_size == 0
        return None if self._is_empty else tail(self._output, self._kept) or None

    def stacks(self) -> str | None:
        """Return the stacks of all threads, if they were dumped."""
        return dumped_stacks(self._stacks) or None
