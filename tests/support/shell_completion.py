"""What a shell offers for a command line, with the completions of this tree."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

BASH = """
cd "$1" && . "$2" && . "$3" && eval "$4"
program=$5
COMP_WORDS=("${@:5}")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_complete_$program
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1=; fpath=($1 \\$fpath); autoload -U compinit; compinit -u -D; echo RE''ADY"
zpty -r shell seen '*READY*'
zpty -n -w shell "$2"$'\\t'
zpty -r shell seen "*$3*" && print -r -- "$seen"
zpty -d shell
"""


def needs(shell: str) -> pytest.MarkDecorator:
    """Skip a test where a shell is not installed."""
    return pytest.mark.skipif(not shutil.which(shell), reason=f"{shell} is not installed")


def completion_file(program: str, shell: str) -> Path:
    """Return the completion of a command for a shell."""
    return ROOT / program / "share/completions" / f"{program}.{shell}"


def output_of(*command: str | Path, folder: Path = ROOT) -> str:
    """Run a command in a folder and return what it prints."""
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=True
    ).stdout


def offered_by_bash(folder: Path, *words: str, setting: str = ":") -> list[str]:
    """Return what bash offers for the last of the words, after a setting of the user.

    Args:
        folder: where the user is.
        words: the command line, split at `=` as bash splits it.
        setting: a command of the user's start file.
    """
    files = [completion_file(program, "bash") for program in ("gigq", "gigqd")]
    return output_of("bash", "-c", BASH, "bash", folder, *files, setting, *words).splitlines()


def offered_by_fish(folder: Path, program: str, line: str) -> list[str]:
    """Return what fish offers at the end of a command line."""
    script = f"source {completion_file(program, 'fish')}; complete -C '{line}'"
    printed = output_of("env", f"HOME={folder}", "fish", "-c", script, folder=folder)
    return [offer.partition("\t")[0] for offer in printed.splitlines()]


def shown_by_zsh(folder: Path, program: str, line: str, wanted: str) -> str:
    """Return what zsh shows after a tab at the end of a command line, up to a wanted word."""
    shutil.copy(completion_file(program, "zsh"), folder / f"_{program}")
    return output_of("zsh", "-f", "-c", ZSH, "zsh", folder, line, wanted, folder=folder)
