"""docs/cli.md says what the command does."""

from __future__ import annotations

import re

import pytest
from support.console import differences, examples
from support.parsers import all_options_of, commands_of
from support.tree import ROOT

from gigq.cli import exit_codes, job_json
from gigq.cli.parser import build_parser
from gigqd.cli.parser import build_parser as build_daemons_parser

pytestmark = pytest.mark.docs

MODULE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGE = (ROOT / "docs/cli.md").read_text()


def test_every_example_prints_what_stands_there(tmp_path):
    ((name, code),) = MODULE.findall(PAGE)
    (tmp_path / name).write_text(code)

    assert list(differences(PAGE, tmp_path)) == []


def test_there_is_an_example_of_every_command():
    used = {command.split()[1] for command, _ in examples(PAGE) if command.startswith("gigq ")}

    assert used == set(commands_of(build_parser()))


@pytest.mark.parametrize("parser", [build_parser(), build_daemons_parser()], ids=["gigq", "gigqd"])
def test_every_option_is_there(parser):
    options = all_options_of(parser) - {"--version"}

    assert sorted(option for option in options if option not in PAGE) == []


def test_every_exit_code_is_there():
    codes = {str(value) for name, value in vars(exit_codes).items() if name.isupper()}

    assert set(re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)) == codes


def test_every_variable_is_there():
    assert set(re.findall(r"GIGQ_\w+", PAGE)) == set(
        re.findall(r"GIGQ_\w+", build_parser().format_help())
    )


@pytest.mark.parametrize("key", sorted({*job_json.JOB_KEYS, *job_json.EXECUTION_KEYS}))
def test_every_key_of_the_json_is_there(key):
    assert f"`{key}`" in PAGE


@pytest.mark.parametrize("command", ["", *commands_of(build_parser())])
def test_every_help_text_fits_a_terminal(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as left:
        build_parser().parse_args([*command.split(), "--help"])

    assert left.value.code == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
