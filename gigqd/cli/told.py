"""What a command has to tell at its end: a code, a sentence for people, facts for programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gigqd.cli.terminal import complain, say, say_json

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Told:
    """The end of a command.

    Attributes:
        code: what the command exits with.
        text: what a person reads; on standard error, after "gigqd: ", when the code is not 0.
        facts: what a program reads besides.
    """

    code: int
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def tell(self, *, as_json: bool) -> int:
        """Write it, in one of its two forms; the code."""
        if as_json:
            error = {"error": self.text} if self.code else {}
            say_json({"ok": not self.code, "code": self.code, **error, **self.facts})
        elif self.code:
            complain(f"gigqd: {self.text}")
        else:
            say(self.text)
        return self.code
