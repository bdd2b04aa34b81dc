"""INT and other signals: noted on arrival, followed where the demo can end in order."""

from __future__ import annotations

import signal

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptedDemoError(Exception):
    """The demo was asked to end.

    Args:
        number: the signal that said so.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"interrupted by {signal.Signals(number).name}")


class Interruption:
    """Notes the signals that ask for an end."""

    def __init__(self) -> None:
        self._number: int | None = None
        for number in _NUMBERS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)

    def check(self) -> None:
        """Raise if a signal has come.

        Raises:
            InterruptedDemoError: one has.
        """
        if self._number is not None:
            raise InterruptedDemoError(self._number)

    def _note(self, number: int, _frame: object) -> None:
        self._number = self._number or number
