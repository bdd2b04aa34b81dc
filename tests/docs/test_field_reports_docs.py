"""What public bug reports say of the manual pages and documents of other tools."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.docs

MANUALS = sorted((ROOT / "docs/man").glob("*.1"))
manuals = pytest.mark.parametrize("manual", MANUALS, ids=lambda path: path.name)


@manuals
@pytest.mark.fault("K24")
def test_what_is_copied_from_a_manual_page_is_what_was_meant(manual: Path) -> None:
    """mintty/mintty#1250, lincolnloop/python-qrcode#47: hyphens in the options were U+2010.

    groff prints each of these characters as another one, unless the macros of the host prevent it.
    """
    text = "".join(
        line for line in manual.read_text().splitlines(True) if not line.startswith('.\\"')
    )

    assert "\\-\\-" in text
    assert re.findall(r".{0,20}(?<!\\)[-'`^~].{0,20}", text) == []


@manuals
@pytest.mark.fault("K24")
@pytest.mark.skipif(not shutil.which("lexgrog"), reason="man-db is not installed")
def test_a_manual_page_has_a_line_for_whatis(manual: Path) -> None:
    """lincolnloop/python-qrcode#47, as above."""
    found = subprocess.run(["lexgrog", manual], capture_output=True, text=True, check=True).stdout

    assert re.fullmatch(rf'{manual}: "{manual.stem} - \w[^"]+"\n', found)
