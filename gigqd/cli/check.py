"""The command `gigqd check`."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from gigqd import config as configuration
from gigqd import exit_codes
from gigqd.cli import start_checks
from gigqd.cli.options import Commands, Namespace, add_flag, add_json, add_parser
from gigqd.cli.output import print_answer, print_error, print_json
from gigqd.cli.start_checks import finding
from gigqd.config import DEVICES, load
from gigqd.errors import ConfigError
from gigqd.host.lock_file import cannot_create

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigqd.config import Config

_DETAILS = """\
All mistakes are reported, each with its file and line."""


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    parser = add_parser(commands, "check", check, "validate the configuration", _DETAILS)
    add_flag(parser, "--db", "open the database as well")
    add_flag(parser, "--import", "import the configured modules as well", "imports")
    add_flag(
        parser,
        "--init",
        "create the queue in place of a lost one, or in a database of another program",
    )
    add_json(parser)


def check(options: Namespace) -> int:
    """Validate the file and, with the options, the database and the imports."""
    try:
        config = load(options.config, os.environ)
    except ConfigError as error:
        return _report_refusal(error, as_json=options.json)
    findings = [finding("warning", text) for text in configuration.warnings(config)]
    findings += _run_checks(config, options)
    code = max((found["code"] for found in findings), default=exit_codes.OK)
    if options.json:
        source = str(config.source) if config.source else None
        facts = {"config": source, "findings": findings, "problems": []}
        print_json({"ok": not code, "code": code, **facts})
    else:
        _report(config, findings)
    return code


def _run_checks(config: Config, options: Namespace) -> Iterator[dict[str, Any]]:
    if options.init:
        yield start_checks.create_queue(config)
    elif options.db:
        yield from _check_log(config)
        yield start_checks.check_database(config)
    if options.imports:
        yield start_checks.check_imports(config)


def _check_log(config: Config) -> Iterator[dict[str, Any]]:
    """Report a log that `start` could not open; not for root, which creates it for the account."""
    file = config.log.file
    if file is None or str(file) in DEVICES or os.geteuid() == 0:
        return
    missing = not os.path.lexists(file)
    place, needed = (file.parent, os.W_OK | os.X_OK) if missing else (file, os.W_OK)
    if not os.access(place, needed):
        error = cannot_create("log", file, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
        yield finding("log", str(error), error.exit_code)


def _report_refusal(error: ConfigError, *, as_json: bool) -> int:
    if as_json:
        problems = [problem._asdict() for problem in error.problems]
        code, text = error.exit_code, str(error)
        facts = {"problems": problems, "findings": []}
        print_json({"ok": False, "code": code, "error": text, **facts})
    else:
        print_error(str(error))
    return error.exit_code


def _report(config: Config, findings: list[dict[str, Any]]) -> None:
    print_answer(f"{config.source or 'the environment'}: valid")
    for found in findings:
        write = print_error if found["code"] else print_answer
        write(f"{found['what']}: {found['text']}")
