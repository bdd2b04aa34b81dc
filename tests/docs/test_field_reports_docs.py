"""What public bug reports say of the manual pages and documents of other tools."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.guide import BLOCK
from support.parsers import commands_of, options_of
from support.tree import ROOT, documents

import gigq.cli.parser
import gigqd.cli.parser

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.docs

CODE = re.compile(r"`([^`\n]+)`")
PARSERS = {"gigq": gigq.cli.parser.build_parser(), "gigqd": gigqd.cli.parser.build_parser()}
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


def commands_shown() -> Iterator[tuple[str, list[str]]]:
    """The file and the words of each call of a command in documents, units and examples."""
    for file in [*documents(), *(ROOT / "systemd").iterdir(), *(ROOT / "etc").iterdir()]:
        text = file.read_text(encoding="utf-8")
        calls = CODE.findall(text) if file.suffix == ".md" else []
        calls += [line for block in BLOCK.findall(text) for line in block[1].splitlines()]
        calls += re.findall(r"^Exec\w+=(.*)", text, re.MULTILINE)
        for call in calls:
            for part in re.split(r"[|;&<>]+| # ", call.replace("'", " ")):
                words = part.split()
                programs = [n for n, word in enumerate(words) if Path(word).name in PARSERS]
                if programs:
                    program = words[programs[-1]]
                    yield (
                        str(file.relative_to(ROOT)),
                        [
                            Path(program).name,
                            *words[programs[-1] + 1 :],
                        ],
                    )


@pytest.mark.fault("K25")
def test_each_command_of_a_document_or_a_unit_has_the_options_that_are_shown() -> None:
    """celery/celery#6397, celery/celery#6454: those of the documented unit were of the past."""
    wrong, commands = [], set()
    for file, (program, *words) in commands_shown():
        known = commands_of(PARSERS[program])
        named = next((word for word in words if word in known), "")
        parser = known.get(named, PARSERS[program])
        options = {word.partition("=")[0] for word in words if re.match("--[a-z]", word)}
        commands.add((program, named))
        if unknown := options - options_of(parser) - {"--help"}:
            wrong.append((file, program, *words, unknown))

    assert wrong == []
    assert commands >= {
        (name, command) for name in PARSERS for command in commands_of(PARSERS[name])
    }
