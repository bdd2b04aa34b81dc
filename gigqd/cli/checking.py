"""check: whether a daemon would start with this configuration, without starting one."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gigqd import config as configuration
from gigqd import exits
from gigqd.cli.terminal import complain, say, say_json
from gigqd.config import DEVICES, load
from gigqd.errors import ConfigError, GigqdError
from gigqd.lock_file import cannot_create
from gigqd.privileges import drop_privileges, find_account, is_to_be_given

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from gigqd.config import Config

_LONGEST_REPORT = 65536


def check(options: argparse.Namespace) -> int:
    """Validate the file and, when asked to, the database and the imports."""
    try:
        config = load(options.config, os.environ)
    except ConfigError as error:
        return _refuse(error, as_json=options.json)
    findings = [_as_finding("warning", text) for text in configuration.warnings(config)]
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
        yield _in_child(config, "database", trial.begin_database)
    elif options.db:
        yield from _judge_log(config)
        look = trial.try_way if _is_gift(config) else trial.try_database
        yield _in_child(config, "database", look)
    if options.imports:
        yield _in_child(config, "imports", trial.try_imports)


def _judge_log(config: Config) -> Iterator[dict[str, Any]]:
    """Find a log that `start` could not open; not as root, which gives the daemon's account one."""
    file = config.log.file
    if file is None or str(file) in DEVICES or os.geteuid() == 0:
        return
    missing = not os.path.lexists(file)
    place, needed = (file.parent, os.W_OK | os.X_OK) if missing else (file, os.W_OK)
    if not os.access(place, needed):
        error = cannot_create("log", file, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
        yield _as_finding("log", str(error), error.exit_code)


def _is_gift(config: Config) -> bool:
    """Return True when the first start by root makes the database's folder, or gives it away."""
    database = Path(config.queue.database)
    try:
        account = find_account(config.daemon.user, config.daemon.group)
        return account is not None and os.geteuid() == 0 and is_to_be_given(database.parent)
    except (GigqdError, OSError):
        return False  # the child finds the same, and says it


def _refuse(error: ConfigError, *, as_json: bool) -> int:
    if as_json:
        problems = [asdict(problem) for problem in error.problems]
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


def _as_finding(what: str, text: str, code: int = exits.OK) -> dict[str, Any]:
    return {"what": what, "text": text, "code": code}


# --- trying things out, in a process of their own --------------------------------------------


def _in_child(config: Config, what: str, attempt: Callable[[Config], str]) -> dict[str, Any]:
    """Try something as the account that the daemon would run as, in a process that then ends."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _attempt(config, attempt, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read(_LONGEST_REPORT)
    _, status = os.waitpid(pid, 0)
    if not said:
        died = os.waitstatus_to_exitcode(status)
        return _as_finding(what, f"the process that tried it died ({died})", exits.INTERNAL_ERROR)
    return _as_finding(what, **json.loads(said))


def _attempt(config: Config, attempt: Callable[[Config], str], writer: int) -> NoReturn:
    """Never returns: what a module does at its import must not reach the command's own code."""
    found: dict[str, Any] = {"text": "interrupted", "code": exits.INTERNAL_ERROR}
    try:
        account = find_account(config.daemon.user, config.daemon.group)
        if account is not None and os.geteuid() == 0:
            drop_privileges(account)
        found = {"text": attempt(config), "code": exits.OK}
    except GigqdError as error:
        found = {"text": str(error), "code": error.exit_code}
    except OSError as error:
        found = {"text": str(error), "code": exits.for_database(error)}
    finally:
        os.write(writer, json.dumps(found).encode())
        os._exit(exits.OK)
