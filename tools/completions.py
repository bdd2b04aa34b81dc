"""Write the shell completions of both commands from their parsers: `make completions`.

shtab makes them; here they also learn to complete the value in `--option=value`. They are kept in
the repository, so that an installation needs no shtab.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

import shtab

import gigq.cli.parser
import gigqd.cli.parser
from gigq.command_parser import SHELLS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PARSERS = {"gigq": gigq.cli.parser.build_parser, "gigqd": gigqd.cli.parser.build_parser}
COMPLETED = {"FILE": shtab.FILE, "DEST": shtab.FILE, "DIR": shtab.DIRECTORY}
"""The values that are files or folders, by their name in the help."""

BASH = r"""
# bash splits words at "=": `--option=value` is three words here, and becomes two.
_complete_{program}() {
  local IFS=$' \t\n' index given_cword=$COMP_CWORD
  local -a given=("${COMP_WORDS[@]}") COMP_WORDS=()
  local COMP_CWORD=$given_cword
  for ((index = 0; index < ${#given[@]}; index++)); do
    if [[ ${given[index]} != "=" || ${given[index - 1]} != --* ]]; then
      COMP_WORDS+=("${given[index]}")
    elif ((index == given_cword)); then
      COMP_WORDS+=("")
    elif ((index < given_cword)); then
      ((COMP_CWORD--))
    fi
  done
  _shtab_{program}
}

complete -o bashdefault -F _complete_{program} {program}
"""
ZSH_OPTION_WITH_VALUE = re.compile(
    r"""^(  "\*?|  "\*"\{-\w,)(--[a-z-]+)(\}"\[.*:|\[.*\]:)""", re.MULTILINE
)
ZSH_END = re.compile(r"if \[\[ \$zsh_eval_context\[-1\] == eval ")
ZSH_CALL_OR_REGISTER = """
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  # found by compinit in fpath
  _shtab_{program} "$@"
elif (( $+functions[compdef] )); then
  # eval, source or .
  compdef _shtab_{program} {program}
else
  print -u2 "{program}: run compinit first, then load this completion"
fi
"""
FISH_WORD = "(commandline -ct)"
FISH_VALUE = "(commandline -ct | string replace -r -- '^--[^=]*=' '')"


def scripts() -> Iterator[tuple[Path, str]]:
    """Yield the file and the text of each completion."""
    for program, build_parser in PARSERS.items():
        for shell in SHELLS:
            parser = build_parser()
            mark_paths(parser)
            file = ROOT / program / "share/completions" / f"{program}.{shell}"
            yield file, with_values(program, shell, shtab.complete(parser, shell=shell).strip())


def with_values(program: str, shell: str, script: str) -> str:
    """Return shtab's script such that it completes the value in `--option=value`, too."""
    if shell == "zsh":
        start, end, rest = ZSH_OPTION_WITH_VALUE.sub(r"\1\2=\3", script).rpartition("\nif [[")
        assert ZSH_END.match(f"{end.lstrip()}{rest}")
        return start.rstrip() + "\n" + ZSH_CALL_OR_REGISTER.replace("{program}", program)
    if shell == "fish":
        return script.replace(FISH_WORD, FISH_VALUE) + "\n"
    start, end, rest = script.rpartition(f"complete -o bashdefault -F _shtab_{program} {program}")
    assert end
    assert not rest
    return start.rstrip() + "\n" + BASH.replace("{program}", program)


def mark_paths(parser: argparse.ArgumentParser) -> None:
    """Note at each option whose value is a path that the shell completes it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                mark_paths(command)
        elif action.metavar in COMPLETED:
            action.complete = COMPLETED[action.metavar]


if __name__ == "__main__":
    for file, text in scripts():
        file.write_text(text, encoding="utf-8")
