"""The parser of both commands: only the module of the command that is given is imported."""

from __future__ import annotations

import pytest

import gigq.cli.parser
import gigqd.cli.parser
from gigq.command_parser import CommandParser

BUILDERS = [gigq.cli.parser.build_parser, gigqd.cli.parser.build_parser]


def commands_in(parser):
    return list(next(action.choices for action in parser._actions if action.choices))


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize(
    "before",
    [[], ["--config", "status"], ["--config=stop"], ["--debug"], ["--debug", "--config", "run"]],
)
def test_options_before_a_command_import_no_other_command(build, before):
    assert commands_in(build([*before, "status", "--json"])) == ["status"]


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize(
    "given", [[], ["--help", "status"], ["-h", "status"], ["statsu"], ["--confg", "x", "status"]]
)
def test_without_a_known_command_all_of_them_can_be_shown(build, given):
    assert {"status", "pause", "resume"} < set(commands_in(build(given)))


def test_a_missing_value_is_no_command():
    parser = CommandParser()
    parser.add_argument("--config")

    assert parser.command_in(["--config"]) == ""
