"""Reading a file of JSON lines while another process writes it."""

from __future__ import annotations

import json
from typing import Any


def read_whole(text: str) -> list[dict[str, Any]]:
    """The objects of all lines that are finished; fails on a line that is no JSON object.

    A reader may see only the first part of a line that is just being written: it is left out.
    """
    return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]
