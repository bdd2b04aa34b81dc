"""The output of a job that a daemon of this host runs, and which processes may read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.cli.errors import HiddenOutputError
from gigq.output_file import open_output
from gigq.store.sqlite.file import record_lock
from gigq.store.sqlite.processes.run_locks import companion_path, lock_descriptor, process_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from gigq.output_file import OutputFile
    from gigq.store.named_database import Place

_OFFSET_BITS = 62


def find(place: Place, execution: Mapping[str, Any]) -> OutputFile | None:
    """Return the output of an attempt that a daemon runs.

    Args:
        place: where the processes that run the jobs of the database are found.
        execution: a row with `run` and `worker_id`.

    Returns:
        None when there is no output file, for example because the worker is ending.

    Raises:
        HiddenOutputError: this process may not, or cannot, read the daemon's descriptors.
    """
    pid = _process(place, execution["run"])
    if pid is None:
        return None
    if pid <= 0:
        raise HiddenOutputError(
            f"the daemon that runs this job is {_elsewhere(place)}; "
            "run gigq logs there, or wait for the job's end"
        )
    try:
        return open_output(pid, execution["worker_id"])
    except PermissionError as error:
        raise HiddenOutputError(
            f"this user may not look into the daemon that runs this job (pid {pid}); "
            "run gigq logs as root or as the daemon's user, or wait for the job's end"
        ) from error


def _process(place: Place, run: str) -> int | None:
    """Return the process of a run; 0 for one that is not seen from here, None when it is dead."""
    if place.may_be_elsewhere(run):
        return 0
    # A daemon of a database on a server has its locks in its own runtime directory.
    return process_of(run) if place.is_shared else _holder(place.paths[0], run)


def _elsewhere(place: Place) -> str:
    namespace = "in another container (pid namespace)"
    return f"on another host, or {namespace}" if place.is_shared else namespace


def _holder(database: str, run: str) -> int | None:
    """Return the process that holds a run; 0 in another namespace, None when it is dead."""
    number = run.split(":")[1]
    if not number.isdecimal() or int(number) >> _OFFSET_BITS:
        return None  # foreign SQL wrote it
    try:
        (companion_path(database) / "locks").stat()  # a look makes no file
        lock = record_lock.conflict(lock_descriptor(database), int(number))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise HiddenOutputError(
            f"this user may not read {error.filename}, whose locks show where the job runs; "
            "run gigq logs as root or as the daemon's user, or wait for the job's end"
        ) from error
    return lock.pid if lock else None
