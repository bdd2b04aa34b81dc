"""Checks of what a start needs, in a process of their own, without a daemon."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import select
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gigqd import exit_codes
from gigqd.errors import GigqdError
from gigqd.host import database_lock
from gigqd.host.privileges import (
    check_access,
    drop_privileges,
    find_account,
    is_place_to_be_given,
    is_to_be_given,
)
from gigqd.host.runtime_files import RuntimeFiles
from gigqd.host.systemd import is_started_by_systemd
from gigqd.linux.syscalls import has_proc

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigqd.config import Config


_LONGEST_REPORT = 65536


def refuse_unusable_host() -> None:
    """Refuse to start without /proc, or with a psutil that is too old.

    The name of the installed folder has the version: an import would take a tenth of the start.
    """
    if not has_proc():
        raise GigqdError(
            "/proc is not mounted here; a daemon finds the processes of its jobs there"
        )
    spec = importlib.util.find_spec("psutil")
    assert spec is not None  # the command has checked its dependencies
    assert spec.origin is not None
    for installed in Path(spec.origin).parents[1].glob("psutil-*-info"):
        found = [int(part) for part in installed.name[7:].split(".")[:2] if part.isdigit()]
        if found < [7, 1]:
            raise GigqdError(f"psutil {'.'.join(map(str, found))} is too old; install 7.1 or newer")


def refuse_in_a_unit() -> None:
    """Refuse to detach from a service manager, which would lose the daemon."""
    if is_started_by_systemd():
        why = "a unit's process must not detach; use `gigqd run` in ExecStart"
        raise GigqdError(why, exit_code=exit_codes.USAGE)


def refuse_as_a_start(config: Config, besides: int | None, within: float) -> None:
    """Refuse a configuration with which a start would fail; nothing is made or changed.

    Args:
        config: the configuration.
        besides: the id of the daemon's process that the start replaces.
        within: seconds that each check may take.

    Raises:
        GigqdError: with the exit code and the message of that start.
    """
    find_account(config.daemon.user, config.daemon.group)
    place = functools.partial(_try_place, given=_paths_to_be_given(config))
    _raise(_in_child(config, "place", place, within))
    runtime_files = RuntimeFiles(config)
    runtime_files.refuse_taken(besides)
    database_lock.refuse_taken(config.place, config.daemon.name, besides)
    _raise(check_database(config, within))
    _raise(check_imports(config, within))


def check_database(config: Config, within: float | None = None) -> dict[str, Any]:
    """Try the database as the daemon's account.

    Returns:
        The finding: its sentence, and the exit code of a start.
    """
    from gigqd.worker import preflight

    given = config.place.parent in _paths_to_be_given(config)
    return _in_child(
        config,
        "database",
        preflight.check_path_to_new_folder if given else preflight.check_database,
        within,
    )


def check_imports(config: Config, within: float | None = None) -> dict[str, Any]:
    """Import what a worker imports before its first job.

    Returns:
        The finding: its sentence, and the exit code of a start.
    """
    from gigqd.worker import preflight

    return _in_child(config, "imports", preflight.check_imports, within)


def create_queue(config: Config) -> dict[str, Any]:
    """Create the queue, where one was lost or in a database of another program."""
    from gigqd.worker import preflight

    return _in_child(config, "database", preflight.create_queue)


def _in_child(
    config: Config, what: str, check: Callable[[Config], str], within: float | None = None
) -> dict[str, Any]:
    """Run a check as the daemon's account, in a process that ends after it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _end_with_report(config, check, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        if not select.select([pipe], [], [], within)[0]:
            os.kill(pid, signal.SIGKILL)
        report = pipe.read(_LONGEST_REPORT)
    _, status = os.waitpid(pid, 0)
    if report:
        return finding(what, **json.loads(report))
    if (died := os.waitstatus_to_exitcode(status)) == -signal.SIGKILL and within is not None:
        text = f"the check of the {what} did not end within {within:g} s"
        return finding(what, text, exit_codes.INTERNAL_ERROR)
    return finding(what, f"the process of the check died ({died})", exit_codes.INTERNAL_ERROR)


def finding(what: str, text: str, code: int = exit_codes.OK) -> dict[str, Any]:
    """Return a finding about a part of the configuration, as `gigqd check --json` prints it."""
    return {"what": what, "text": text, "code": code}


def _end_with_report(config: Config, check: Callable[[Config], str], writer: int) -> NoReturn:
    """Run a check and end the process: an imported module must not reach the command's code."""
    found: dict[str, Any] = {"text": "interrupted", "code": exit_codes.INTERNAL_ERROR}
    try:
        os.dup2(2, 1)  # an application's output must not mix with the command's answer
        account = find_account(config.daemon.user, config.daemon.group)
        if account is not None and os.geteuid() == 0:
            drop_privileges(account)
        found = {"text": check(config), "code": exit_codes.OK}
    except GigqdError as error:
        found = {"text": str(error), "code": error.exit_code}
    except OSError as error:
        found = {"text": str(error), "code": exit_codes.for_database(error)}
    finally:
        os.write(writer, json.dumps(found).encode())
        os._exit(exit_codes.OK)


def _raise(found: dict[str, Any]) -> None:
    if found["code"]:
        raise GigqdError(found["text"], exit_code=found["code"])


def _try_place(config: Config, given: list[Path]) -> str:
    """Try the directories and files of the daemon; root makes those in `given` usable."""
    runtime_files = RuntimeFiles(config)
    if config.daemon.user or config.daemon.group:
        folders = (runtime_files.directory, config.place.parent)
        check_access(config, [folder for folder in folders if folder not in given])
    if runtime_files.directory not in given:
        _try_directory(runtime_files)
    if runtime_files.log_path not in given and runtime_files.log_path.parent.is_dir():
        _try_log(runtime_files)
    return f"{runtime_files.directory} can be used"


def _try_directory(runtime_files: RuntimeFiles) -> None:
    """Make the runtime directory; remove it again when it is new."""
    made = [
        path
        for path in (runtime_files.directory, *runtime_files.directory.parents)
        if not path.exists()
    ]
    try:
        runtime_files.prepare_directory()
    finally:
        for path in made:
            with suppress(OSError):
                path.rmdir()


def _try_log(runtime_files: RuntimeFiles) -> None:
    """Open the log; remove it again when it is new."""
    had_log = os.path.lexists(runtime_files.log_path)
    runtime_files.open_log().close()
    if not had_log:
        runtime_files.log_path.unlink()


def _paths_to_be_given(config: Config) -> list[Path]:
    """Return the paths that a start by root would make, or give to the daemon's account."""
    database, place = config.place.parent, config.daemon.runtime_dir
    try:
        if os.geteuid() != 0 or not find_account(config.daemon.user, config.daemon.group):
            return []
        given = [(database, is_to_be_given(database)), (place, is_place_to_be_given(place))]
    except (GigqdError, OSError):
        return []  # the check in the child process reports the same error
    log = [config.log.file] if config.log.file else []
    return [*log, *(folder for folder, is_given in given if is_given)]
