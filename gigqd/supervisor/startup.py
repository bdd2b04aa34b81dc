"""Start of the daemon: what it needs before the first claim, and when a start has failed."""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING, Any

from gigq.errors import StoreUnavailable
from gigq.store.sqlite.processes import run_locks
from gigqd import exit_codes, logs
from gigqd.errors import GigqdError, files_remedy
from gigqd.host.shutdown_marker import ShutdownMarker
from gigqd.process.orphan_cleanup import kill_orphans
from gigqd.process.process_tag import home_of, home_with
from gigqd.supervisor.child_setup import missing_descriptors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gigqd.config import Config
    from gigqd.ipc.scoreboard import Scoreboard
    from gigqd.supervisor.children import Children
    from gigqd.supervisor.daemon_status import DaemonStatus
    from gigqd.supervisor.lease_watch import LeaseWatch
    from gigqd.supervisor.pools import Pools
    from gigqd.supervisor.recorder_link import RecorderLink
    from gigqd.supervisor.slots import Slot

log = logs.get_logger(__name__)

_FEWEST_CHILDREN = 2  # the recorder and a worker


class StartFailedError(GigqdError):
    """The daemon could not be brought up."""


class DaemonRun:
    """This daemon's run on a database: the lock that shows that it is alive, and its marker.

    Args:
        config: the configuration, with the database and the place of the daemon's locks.

    Attributes:
        run: the run.
        home: the id of the database in the tags of processes.

    Raises:
        OSError: nothing can be written beside the database.
        StoreUnavailable: it can be no database.
    """

    def __init__(self, config: Config) -> None:
        self._place = config.place
        self._marker = ShutdownMarker(str(config.place))
        self._lock = run_locks.RunLock(config.place, "gigqd")
        self.run = self._lock.run
        lock_file = run_locks.lock_file_of(self.run)
        self.home = home_of(config.database_file) if config.database_file else home_with(lock_file)

    def begin(self) -> None:
        """Kill the orphans of dead runs on this database, if there may be some, and begin the run.

        Raises:
            StartFailedError: an orphan survives SIGKILL, or nothing can be written there.
        """
        try:
            if self._marker.may_have_orphans():
                _kill_orphans_of(self._place, self.home)
            self._marker.begin(self.run)
        except OSError as error:
            raise _cannot_write(self._place, error) from error

    def end(self, *, orderly: bool) -> None:
        """Free the lock. After an orderly end the next start does not search for orphans."""
        if orderly:
            self._marker.end()
        self._lock.release()


def lease_watch(config: Config, board: Scoreboard, children: Children) -> LeaseWatch | None:
    """Return the watch over the daemon's lease; None with a file, which needs no lease."""
    if config.database_file:
        return None
    from gigq.store.postgres.address import parse
    from gigqd.supervisor.lease_watch import LeaseWatch

    return LeaseWatch(board, children, parse(config.queue.database).lease)


def lock_run(config: Config) -> DaemonRun:
    """Take the lock that shows other processes that this daemon's run is alive.

    Raises:
        StartFailedError: nothing can be written beside the database, or it can be none.
    """
    try:
        return DaemonRun(config)
    except OSError as error:
        raise _cannot_write(config.place, error) from error
    except StoreUnavailable as error:
        raise StartFailedError(str(error), exit_code=exit_codes.DATABASE_UNAVAILABLE) from error


def _cannot_write(place: Path, error: OSError) -> StartFailedError:
    which = f"{error.filename}: " if isinstance(error.filename, str) else ""
    text = f"{place.parent}: cannot write beside the database: {which}{error.strerror}"
    return StartFailedError(text, exit_code=exit_codes.for_database(error))


def require_files() -> None:
    """Refuse a start when the limit of open files is too low for the daemon and one worker.

    Raises:
        StartFailedError: the limit is too low.
    """
    if missing := missing_descriptors(_FEWEST_CHILDREN):
        _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        text = f"{limit + missing} open files are needed for one worker; {files_remedy()}"
        raise StartFailedError(text, exit_code=exit_codes.CANNOT_FORK)


def _kill_orphans_of(place: Path, home: str) -> None:
    try:
        killed = kill_orphans(place, home)
    except TimeoutError as error:
        raise StartFailedError(str(error)) from error
    if killed:
        log.warning("orphans_killed", killed=killed)


def note_boot_error(slot: Slot, message: Mapping[str, Any]) -> None:
    """Keep the error with which a child failed to boot, and the exit code that it stands for."""
    slot.boot_error = str(message["boot_error"])
    if message.get("application"):
        slot.boot_code = exit_codes.CANNOT_IMPORT


def start_failure(
    status: DaemonStatus, recorder_link: RecorderLink, pools: Pools
) -> GigqdError | None:
    """Return the error that ends the start; None while the start may succeed."""
    if recorder_link.failure is not None:
        return recorder_link.failure
    if (slot := pools.failing()) is not None:
        return StartFailedError(f"no worker could start: {slot.why_down}", exit_code=slot.boot_code)
    is_up = recorder_link.recovered and pools.any_up()
    if is_up or time.monotonic() < status.start_deadline:
        return None
    seconds = status.config.daemon.start_timeout
    if recorder_link.recovered:
        return StartFailedError(f"no worker was ready within {seconds:g} s")
    why = recorder_link.database_error or "the recorder did not come up"
    text = f"the database could not be used within {seconds:g} s: {why}"
    return StartFailedError(text, exit_code=exit_codes.DATABASE_UNAVAILABLE)
