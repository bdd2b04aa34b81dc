"""The completions are what the parsers say, and the shells take them."""

from __future__ import annotations

import shutil
import subprocess

import completions
import pytest
from support.tree import ROOT

PROGRAMS = pytest.mark.parametrize("program", ["gigq", "gigqd"])

ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1=; fpath=($1 \\$fpath); autoload -U compinit; compinit -u -D; echo RE''ADY"
zpty -r shell seen '*READY*'
zpty -n -w shell "$2"$'\\t'
zpty -r shell seen "*$3*" && print -r -- "$seen"
zpty -d shell
"""


def needs(shell):
    return pytest.mark.skipif(not shutil.which(shell), reason=f"{shell} is not installed")


def file_of(program, shell):
    return ROOT / program / "share/completions" / f"{program}.{shell}"


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.parametrize(
    ("file", "text"), [*completions.scripts()], ids=lambda given: getattr(given, "name", "")
)
def test_a_completion_is_up_to_date(file, text):
    assert file.read_text(encoding="utf-8") == text, "run `make completions`"


@PROGRAMS
def test_bash_completes_commands_and_options(program):
    script = """
        . "$1"
        COMP_WORDS=("$2" sta) COMP_CWORD=1; _shtab_$2; echo "${COMPREPLY[*]}"
        COMP_WORDS=("$2" status --js) COMP_CWORD=2; _shtab_$2; echo "${COMPREPLY[*]}"
    """
    completed = output_of("bash", "-c", script, "bash", file_of(program, "bash"), program)
    commands = {"gigq": "status stats", "gigqd": "start status"}

    assert completed.splitlines() == [commands[program], "--json"]


@PROGRAMS
def test_bash_completes_the_path_of_a_configuration(program, tmp_path):
    (tmp_path / "shop.toml").touch()
    script = """
        . "$1"; cd "$3"
        COMP_WORDS=("$2" --config sh) COMP_CWORD=2; _shtab_$2; echo "${COMPREPLY[*]}"
    """
    completed = output_of("bash", "-c", script, "bash", file_of(program, "bash"), program, tmp_path)

    assert completed == "shop.toml\n"


@needs("fish")
@PROGRAMS
def test_fish_completes_commands_and_options(program, tmp_path):
    script = f"source {file_of(program, 'fish')}; complete -C '{program} sta'"
    script += f"; complete -C '{program} status --js'"
    completed = output_of("env", f"HOME={tmp_path}", "fish", "-c", script)
    words = {line.partition("\t")[0] for line in completed.splitlines()}

    assert words == {"status", "--json", {"gigq": "stats", "gigqd": "start"}[program]}


@needs("zsh")
@pytest.mark.parametrize(
    ("program", "typed", "offered"),
    [("gigq", "gigq stat", "status"), ("gigqd", "gigqd systemd unit --us", "user")],
)
def test_zsh_completes_commands_and_options(program, typed, offered, tmp_path):
    shutil.copy(file_of(program, "zsh"), tmp_path / f"_{program}")
    completed = output_of("zsh", "-f", "-c", ZSH, "zsh", tmp_path, typed, offered)

    assert offered in completed
