"""The completions are what the parsers say, and the shells take them."""

from __future__ import annotations

import completions
import pytest
from support.shell_completion import needs, offered_by_bash, offered_by_fish, shown_by_zsh

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
