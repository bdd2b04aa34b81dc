"""The manual pages name every command, option, variable and exit code."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from support.parsers import all_options_of, commands_of, options_of
from support.tree import ROOT

import gigq.cli.exit_codes
import gigq.cli.parser
import gigqd.cli.parser
import gigqd.exit_codes

pytestmark = pytest.mark.docs

PART = r'^\.SS "?{} {}\b.*?(?=^\.S[SH])'
OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
PARSERS = {"gigq": gigq.cli.parser.build_parser(), "gigqd": gigqd.cli.parser.build_parser()}
COMMANDS = [(program, name) for program, parser in PARSERS.items() for name in commands_of(parser)]
OF_EVERY_COMMAND = {
    "gigq": {"--config", "--db", "--debug", "--json"},
    "gigqd": {"--config", "--debug", "--name"},
}

programs = pytest.mark.parametrize("program", PARSERS)


def manual(program):
    text = (ROOT / f"docs/man/{program}.1").read_text().replace("\\-", "-")
    return re.sub(r"\\f[BIR]", "", text)


def codes_of(program):
    values = {"gigq": gigq.cli.exit_codes, "gigqd": gigqd.exit_codes}[program]
    found = {name: value for name, value in vars(values).items() if name.isupper()}
    return {str(v) for name, v in found.items() if not name.startswith("WORKER_")} | {"130"}


@pytest.mark.parametrize(("program", "command"), COMMANDS)
def test_a_command_has_a_part_with_its_options(program, command):
    part = re.search(PART.format(program, command), manual(program), re.MULTILINE | re.DOTALL)
    options = options_of(commands_of(PARSERS[program])[command])

    assert part
    assert options - OF_EVERY_COMMAND[program] == {
        option for option in OPTION.findall(part[0]) if option not in OF_EVERY_COMMAND[program]
    }


@programs
def test_every_option_is_there(program):
    described = set(OPTION.findall(manual(program)))

    assert all_options_of(PARSERS[program]) <= described


@programs
def test_every_exit_code_is_there(program):
    assert set(re.findall(r"^\.B (\d+)$", manual(program), re.MULTILINE)) == codes_of(program)


@programs
def test_the_page_describes_the_signal_to_stop(program):
    signals = manual(program).partition(".SH SIGNALS")[2].partition(".SH")[0]

    assert re.search(r"^\.B TERM\b", signals, re.MULTILINE)


@programs
def test_every_variable_of_the_help_text_is_there(program):
    variables = set(re.findall(r"\b(?:GIGQD?_\w+|NO_COLOR)", PARSERS[program].format_help()))

    assert {name for name in variables if name not in manual(program)} == set()


@programs
@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_groff_reads_the_page_without_a_warning(program):
    page = ROOT / f"docs/man/{program}.1"
    read = subprocess.run(
        ["groff", "-man", "-ww", "-z", "-Tutf8", page], capture_output=True, text=True
    )

    assert (read.returncode, read.stderr) == (0, "")
