"""The completions are what the parsers say, and the shells take them."""

from __future__ import annotations

import completions
import pytest
from support.shell_completion import (
    completion_file,
    needs,
    offered_by_bash,
    offered_by_fish,
    output_of,
    shown_by_zsh,
)

PROGRAMS = pytest.mark.parametrize("program", ["gigq", "gigqd"])
COMMANDS = {"gigq": ["status", "stats"], "gigqd": ["start", "status"]}


@pytest.mark.parametrize(
    ("file", "text"), [*completions.scripts()], ids=lambda given: getattr(given, "name", "")
)
def test_a_completion_is_up_to_date(file, text):
    assert file.read_text(encoding="utf-8") == text, "run `make completions`"


@PROGRAMS
def test_bash_completes_commands_and_options(program, tmp_path):
    assert offered_by_bash(tmp_path, program, "sta") == COMMANDS[program]
    assert offered_by_bash(tmp_path, program, "status", "--js") == ["--json"]


@PROGRAMS
def test_bash_completes_the_path_of_a_configuration(program, tmp_path):
    (tmp_path / "shop.toml").touch()

    assert offered_by_bash(tmp_path, program, "--config", "sh") == ["shop.toml"]


@needs("fish")
@PROGRAMS
def test_fish_completes_commands_and_options(program, tmp_path):
    assert sorted(offered_by_fish(tmp_path, program, f"{program} sta")) == sorted(COMMANDS[program])
    assert offered_by_fish(tmp_path, program, f"{program} status --js") == ["--json"]


@needs("zsh")
@pytest.mark.parametrize(
    ("program", "typed", "offered"),
    [("gigq", "gigq stat", "status"), ("gigqd", "gigqd systemd unit --us", "user")],
)
def test_zsh_completes_commands_and_options(program, typed, offered, tmp_path):
    assert offered in shown_by_zsh(tmp_path, program, typed, offered)


@needs("zsh")
@pytest.mark.parametrize("load", ["source {file}", ". {file}", 'eval "$(cat {file})"'])
@pytest.mark.parametrize("program", ["gigq", "gigqd"])
def test_zsh_registers_a_completion_however_it_is_loaded(program, load, tmp_path):
    command = load.format(file=completion_file(program, "zsh"))
    text = f"autoload -Uz compinit; compinit -D; {command}; print $_comps[{program}]"

    assert output_of("zsh", "-f", "-c", text, folder=tmp_path) == f"_shtab_{program}\n"


@needs("zsh")
def test_zsh_without_compinit_is_told_what_to_do_first(tmp_path):
    text = f"source {completion_file('gigq', 'zsh')} 2>&1"

    assert "run compinit first" in output_of("zsh", "-f", "-c", text, folder=tmp_path)
