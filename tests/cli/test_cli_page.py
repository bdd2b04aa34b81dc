"""docs/cli.md says what the command does."""

from __future__ import annotations

import pytest
from support.guide import Page
from support.parsers import commands_of
from support.tree import ROOT

from gigq.cli import job_json
from gigq.cli.parser import build_parser

pytestmark = pytest.mark.docs

PAGE = (ROOT / "docs/cli.md").read_text()


def test_there_is_an_example_of_every_command():
    commands = Page("docs/cli.md").commands
    used = {command.split()[1] for command in commands if command.startswith("gigq ")}

    assert used == set(commands_of(build_parser()))


@pytest.mark.parametrize("key", sorted({*job_json.JOB_KEYS, *job_json.EXECUTION_KEYS}))
def test_every_key_of_the_json_is_described(key):
    assert f"`{key}`" in PAGE + (ROOT / "docs/reference/schema.md").read_text()


@pytest.mark.parametrize("command", ["", *commands_of(build_parser())])
def test_every_help_text_fits_a_terminal(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as left:
        build_parser().parse_args([*command.split(), "--help"])

    assert left.value.code == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
