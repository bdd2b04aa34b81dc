"""check: whether a daemon would start with this configuration, without starting one."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from gigqd import config as configuration
from gigqd import exits
from gigqd.cli import trying
from gigqd.cli.terminal import complain, say, say_json
from gigqd.config import DEVICES, load
from gigqd.errors import ConfigError
from gigqd.lock_file import cannot_create

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from gigqd.config import Config


def check(options: argparse.Namespace) -> int:
    """Validate the file and, when asked to, the database and the imports."""
    try:
        config = load(options.config, os.environ)
    except ConfigError as error:
        return _refuse(error, as_json=options.json)
    findings = [trying.as_finding("warning", text) for text in configuration.warnings(config)]
    findings += _try_out(config, options)
    code = max((finding["code"] for finding in findings), default=exits.OK)
    if options.json:
        source = str(config.source) if config.source else None
        facts = {"config": source, "findings": findings, "problems": []}
        say_json({"ok": not code, "code": code, **facts})
    else:
        _report(config, findings)
    return code


def _try_out(config: Config, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    from gigqd.roles import trial

    if options.init:
        yield trying.in_child(config, "database", trial.begin_database)
    elif options.db:
        yield from _judge_log(config)
        yield trying.try_database(config)
    if options.imports:
        yield trying.try_imports(config)


def _judge_log(config: Config) -> Iterator[dict[str, Any]]:
    """Find a log that `start` could not open; not as root, which gives the daemon's account one."""
    file = config.log.file
    if file is None or str(file) in DEVICES or os.geteuid() == 0:
        return
    missing = not os.path.lexists(file)
    place, needed = (file.parent, os.W_OK | os.X_OK) if missing else (file, os.W_OK)
    if not os.access(place, needed):
        error = cannot_create("log", file, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
        yield trying.as_finding("log", str(error), error.exit_code)


def _refuse(error: ConfigError, *, as_json: bool) -> int:
    if as_json:
        problems = [problem._asdict() for problem in error.problems]
        code, text = error.exit_code, str(error)
        facts = {"problems": problems, "findings": []}
        say_json({"ok": False, "code": code, "error": text, **facts})
    else:
        complain(str(error))
    return error.exit_code


def _report(config: Config, findings: list[dict[str, Any]]) -> None:
    say(f"{config.source or 'the environment'}: valid")
    for finding in findings:
        write = complain if finding["code"] else say
        write(f"{finding['what']}: {finding['text']}")
