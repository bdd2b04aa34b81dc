"""The command `gigqd systemd`: print the unit of this installation, or a file beside it."""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path

from gigq import configuration_file
from gigq.model import paths_with_links
from gigqd import exit_codes
from gigqd.cli import unit_paths
from gigqd.cli.options import Commands, Namespace, add_flag, add_parser
from gigqd.cli.output import print_answer, print_error
from gigqd.cli.packaged_files import text_of
from gigqd.errors import GigqdError

_FILES = {
    "unit": "gigqd.service",
    "sysusers": "gigqd.sysusers",
    "delegate": "gigqd-delegate.conf",
    "more-rights": "gigqd-more-rights.conf",
}
_COMMAND = re.compile(r"^(ExecStart|ExecReload)=\S+ (run|reload) --config \S+$", re.MULTILINE)
_STATE_MODE = "StateDirectoryMode=0750\n"
_PAGES = "man:gigqd(1) man:gigq(1)"


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    what = "print a file for systemd; the unit has the paths of this installation"
    parser = add_parser(commands, "systemd", systemd, what)
    parser.add_argument(
        "file",
        choices=[*_FILES],
        help="the unit, the account for sysusers.d, or a drop-in for control groups or more rights",
    )
    add_flag(parser, "--user", "the unit for the service manager of a user, without root")


def systemd(options: Namespace) -> int:
    """Print a file for systemd."""
    if options.file == "unit":
        print_answer(_unit(options))
    elif options.user:
        raise GigqdError("--user is for the unit only", exit_code=exit_codes.USAGE)
    else:
        print_answer(text_of(f"systemd/{_FILES[options.file]}"))
    return exit_codes.OK


def _unit(options: Namespace) -> str:
    program, file = _program(), _config_file(options)
    folders = [] if options.user else unit_paths.folders_to_write(Path(file))
    if not options.user:
        _warn_of_closed_path(program[0])
        unit_paths.warn_of_hidden([Path(program[0]), Path(file), *folders])
    name = f" --name {options.name}" if options.name else ""
    words = [_first_word(program[0]), *program[1:]]
    argument = unit_paths.quoted(unit_paths.escaped(file).replace("$", "$$"))

    def filled(line: re.Match[str]) -> str:
        return f"{line[1]}={' '.join(words)} {line[2]} --config {argument}{name}"

    unit = text_of(f"systemd/{'gigqd-user' if options.user else 'gigqd'}.service")
    unit = unit.replace(_STATE_MODE, _STATE_MODE + unit_paths.directive_for(folders))
    if pages := unit_paths.documentation():
        unit = unit.replace(_PAGES, pages)
    return _COMMAND.sub(filled, unit)


def _program() -> list[str]:
    """Return the command that runs this installation: a script, an archive, or the module."""
    program = Path(paths_with_links.absolute(sys.argv[0]))
    if program.name != "__main__.py" and program.is_file() and os.access(program, os.X_OK):
        return [str(program)]
    return [sys.executable, "-m", "gigqd"]


def _config_file(options: Namespace) -> str:
    if options.config:
        return paths_with_links.absolute(str(options.config))
    if found := configuration_file.search(os.environ).file:
        return paths_with_links.absolute(found)
    if options.user:
        raise GigqdError(
            "there is no configuration for the unit: name one, as in"
            " `gigqd --config FILE systemd unit --user`",
            exit_code=exit_codes.USAGE,
        )
    return configuration_file.FOR_THE_HOST


def _first_word(program: str) -> str:
    """Return a program's path as a unit has it: systemd replaces no variables in it."""
    if not program.isprintable() or re.search(r"""["'\\]""", program):
        raise GigqdError(
            f"systemd starts no program whose path has quotes, backslashes or control characters, "
            f"as {program!r} has; install gigqd in another folder",
            exit_code=exit_codes.USAGE,
        )
    return unit_paths.quoted(program.replace("%", "%%"))


def _warn_of_closed_path(program: str) -> None:
    """Warn of the first file or folder that the account of the unit cannot read or enter."""
    for path in (Path(program), Path(__file__), Path(sys.executable).resolve()):
        for part in (*reversed(path.parents), path):
            needed = stat.S_IXOTH if part != path else stat.S_IROTH
            if not part.stat().st_mode & needed:
                print_error(
                    f"gigqd: warning: the unit's account cannot use {path}: {part} is closed to"
                    " other accounts; open it, or install gigqd and its Python in /opt"
                )
                return
