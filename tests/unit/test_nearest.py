"""The known word that a misspelled one probably means."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.shell import clean_environment

from gigq.nearest import nearest

if TYPE_CHECKING:
    from pathlib import Path

_KNOWN = ("status", "stats", "Backup")


@pytest.mark.parametrize(
    ("word", "meant"),
    [("staus", "status"), ("STATSU", "stats"), ("backpu", "Backup"), ("xyz", None), ("", None)],
)
def test_the_nearest_word_is_found_in_any_case(word: str, meant: str | None) -> None:
    assert nearest(word, _KNOWN) == meant


def test_a_difflib_of_the_application_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "difflib.py").write_text("raise SystemExit('the application ran')\n")
    program = "from gigq.nearest import nearest; print(nearest('staus', ['status']))"

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**clean_environment(), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.stdout, done.stderr) == ("status\n", "")
