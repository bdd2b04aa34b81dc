"""The unit of docs/howto/user-service.md: as the shipped one, without what only root may set."""

from __future__ import annotations

import re
import shlex
import sys
from typing import TYPE_CHECKING

import pytest
from support.systemd import analyze, needs_systemd
from support.tree import ROOT

from gigqd.cli.parser import build_parser

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.docs

PAGE = (ROOT / "docs/howto/user-service.md").read_text(encoding="utf-8")
UNIT = re.search(r"^```ini\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]
SHIPPED = (ROOT / "systemd/gigqd.service").read_text(encoding="utf-8")
OF_ITS_OWN = {"Description", "ExecStart", "ExecReload", "WantedBy"}


def directives(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if re.match(r"[A-Z]\w+=", line))


def test_each_directive_has_the_value_of_the_shipped_unit() -> None:
    shipped = directives(SHIPPED)
    own = {key: value for key, value in directives(UNIT).items() if key not in OF_ITS_OWN}

    assert own == {key: shipped[key] for key in own}


@pytest.mark.parametrize(("directive", "command"), [("ExecStart", "run"), ("ExecReload", "reload")])
def test_its_commands_are_commands_of_gigqd(directive: str, command: str) -> None:
    program, *words = shlex.split(directives(UNIT)[directive])
    options = build_parser().parse_args(words)

    assert program == "%h/app/.venv/bin/gigqd"
    assert options.handler.__name__ == command
    assert str(options.config) == "%h/app/gigq.toml"


@needs_systemd
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    program = tmp_path / "gigqd"
    program.write_text(f"#!{sys.executable}\n")
    program.chmod(0o755)
    copy = tmp_path / "gigqd.service"
    copy.write_text(UNIT.replace("%h/app/.venv/bin/gigqd", str(program)))

    done = analyze("verify", "--man=no", copy)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
