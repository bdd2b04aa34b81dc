"""The manual pages name every command, option, variable and exit code."""

from __future__ import annotations

import re

import pytest
from support.parsers import all_options_of, commands_of, options_of
from support.tree import ROOT

from gigq.cli import exits
from gigq.cli.parser import build_parser

PART = r"^\.SS \"?gigq {}\b.*?(?=^\.S[SH])"
COMMON = {"--db", "--debug", "--json", "--version"}


def manual(name):
    return (ROOT / f"docs/man/{name}").read_text().replace("\\-", "-")


@pytest.mark.parametrize("command", commands_of(build_parser()))
def test_a_command_has_a_part_with_its_options(command):
    part = re.search(PART.format(command), manual("gigq.1"), re.MULTILINE | re.DOTALL)
    options = options_of(commands_of(build_parser())[command])

    assert part
    assert options - COMMON == set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", part[0]))


def test_every_option_is_there():
    described = set(re.findall(r"--[a-z][a-z-]*", manual("gigq.1")))

    assert {o for o in all_options_of(build_parser()) if o.startswith("--")} <= described


def test_every_exit_code_is_there():
    codes = {str(value) for name, value in vars(exits).items() if name.isupper()}

    assert set(re.findall(r"^\.B (\d+)$", manual("gigq.1"), re.MULTILINE)) == codes


def test_every_variable_is_there():
    variables = set(re.findall(r"GIGQ_\w+", build_parser().format_help()))

    assert set(re.findall(r"GIGQ_\w+", manual("gigq.1"))) == variables
