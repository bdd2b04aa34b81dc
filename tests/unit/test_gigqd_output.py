"""The answers of `gigqd --json`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from gigqd.cli.output import print_json

if TYPE_CHECKING:
    import pytest


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def test_nan_and_infinities_are_texts_as_in_gigq(capfd: pytest.CaptureFixture[str]) -> None:
    print_json({"n": math.nan, "i": [math.inf, (-math.inf,)], "x": 1.5, "path": Path("/run")})

    assert json.loads(capfd.readouterr().out, parse_constant=refuse) == {
        "n": "NaN",
        "i": ["Infinity", ["-Infinity"]],
        "x": 1.5,
        "path": "/run",
    }
