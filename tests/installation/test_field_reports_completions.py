"""What public bug reports say of the shell completions of other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.shell_completion import needs, offered_by_bash, offered_by_fish, shown_by_zsh

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a configuration."""
    (tmp_path / "my shop.toml").touch()
    (tmp_path / "other.toml").touch()
    return tmp_path


@pytest.mark.fault("K14")
def test_bash_completes_a_value_behind_an_equals_sign(folder: Path) -> None:
    """kislyuk/argcomplete#272, syncany/syncany#209: nothing was offered there."""
    assert offered_by_bash(folder, "gigqd", "--config", "=", "ot") == ["other.toml"]
    assert offered_by_bash(folder, "gigq", "--config", "=", "my") == ["my shop.toml"]
    assert sorted(offered_by_bash(folder, "gigq", "--config", "=")) == [
        "my shop.toml",
        "other.toml",
    ]
    assert offered_by_bash(folder, "gigq", "list", "--status", "=", "pe") == ["pending"]
    assert offered_by_bash(folder, "gigqd", "--name", "=", "shop", "rel") == ["reload"]


@pytest.mark.fault("K14")
@needs("fish")
def test_fish_completes_a_value_behind_an_equals_sign(folder: Path) -> None:
    """kislyuk/argcomplete#272, as above."""
    assert offered_by_fish(folder, "gigqd", "gigqd --config=ot") == ["--config=other.toml"]
    assert offered_by_fish(folder, "gigqd", "gigqd --config ot") == ["other.toml"]
    assert offered_by_fish(folder, "gigq", "gigq list --status=pe") == ["--status=pending"]


@pytest.mark.fault("K14")
@needs("zsh")
@pytest.mark.parametrize(
    ("program", "typed", "wanted"),
    [
        ("gigqd", "gigqd --config=ot", "--config=other.toml"),
        ("gigqd", "gigqd --config ot", "--config other.toml"),
        ("gigq", "gigq list --status=pe", "--status=pending"),
    ],
)
def test_zsh_completes_a_value_behind_an_equals_sign(
    folder: Path, program: str, typed: str, wanted: str
) -> None:
    """kislyuk/argcomplete#272, as above."""
    assert wanted in shown_by_zsh(folder, program, typed, wanted)


@pytest.mark.fault("K15")
@pytest.mark.parametrize(
    "setting",
    ["IFS=:", "IFS=$'\\n'", "set -u", "set -f", "set -o posix", "shopt -s failglob nullglob"],
)
def test_a_setting_of_the_shell_does_not_break_the_completion(folder: Path, setting: str) -> None:
    """scop/bash-completion#143, vshulcz/deja-vu#1656: IFS and `set -u` in the user's start file."""

    def offered(*words: str) -> list[str]:
        return offered_by_bash(folder, *words, setting=setting)

    assert offered("gigq", "sta") == ["status", "stats"]
    assert offered("gigqd", "--config", "ot") == ["other.toml"]
    assert offered("gigqd", "--config", "other.toml", "systemd", "un") == ["unit"]
    assert offered("gigq", "--config", "my") == ["my shop.toml"]
