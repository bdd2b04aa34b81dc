"""A real gigqd for a test, checked for remains afterwards.

    def test_something(daemons):
        daemon = daemons({"pools.default.size": 2})
        job_id = daemon.submit(jobs.ok, "a")
        daemon.wait_for_job(job_id)

The fixture `daemons` makes daemons, each with a directory, database and ledger of its own. When
the test is over each is stopped, and then nothing may be left of it: see `Daemon.check_remains`.

A daemon is forked from a process that has imported the modules which every start imports, since
those imports are three quarters of a start. With `daemons(..., fresh=True)` a new interpreter
starts it through pytest-xprocess: for tests of the start itself, of memory and of the command line.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import checks, fork_server, stores
from support import jobs as ledgers
from support.configs import clean_environment, to_toml
from support.json_lines import read_whole
from support.waiting import wait_until
from xprocess import ProcessStarter

from gigq import Job, JobQueue, JobStatus
from gigq.model.database_address import is_address
from gigq.store.postgres import connections as postgres_connections
from gigq.store.sqlite.connections import close_connection
from gigq.store.sqlite.processes import run_locks
from gigqd.cli.control_client import Client, NotAnswering, NotRunning
from gigqd.config import DaemonConfig
from gigqd.host.runtime_files import RuntimeFiles
from gigqd.linux import syscalls
from gigqd.process.process_tag import home_of, home_with, tag_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

TESTS = Path(__file__).resolve().parent.parent
STARTS = {"run", "start", "restart"}
_UP_WITHIN = 30.0
_BEFORE_READY = ("empty", "booting")
FINISHED = ("completed", "failed", "timeout", "cancelled")

_DEFAULTS: dict[str, Any] = {
    "daemon.runtime_dir": "run",
    "daemon.stop_timeout": "5s",
    "queue.database": "jobs.db",
    "code.python_path": [str(TESTS)],
    "pools.default.size": 2,
}


class Daemon:
    """One gigqd and everything that a test wants to know of it.

    Args:
        xprocess: the fixture of pytest-xprocess.
        home: an empty directory for the configuration, database, runtime files and ledger.
        settings: dotted keys of the configuration and their values; None removes a default.
        fresh: a new interpreter starts it, instead of a copy of one that has imported modules.
    """

    def __init__(
        self, xprocess: Any, home: Path, settings: Mapping[str, Any], *, fresh: bool = False
    ) -> None:
        self.home = home
        self.config_path = home / "gigq.toml"
        self.database = home / "jobs.db"
        self.ledger = home / "ledger"
        self.environment = clean_environment()
        self.interpreter = sys.executable
        self._settings = dict(_DEFAULTS)
        self._xprocess = xprocess
        self.fresh = fresh
        self._processes: list[Any] = []
        self._logs: list[Path] = []
        self.submitted: dict[str, str] = {}
        self.excused: dict[str, str] = {}
        self.baseline: tuple[int, int] | None = None
        self._left_nothing = False
        self._not_yet = _BEFORE_READY
        self._queues: dict[str, JobQueue] = {}
        self.configure(settings)

    @property
    def address(self) -> str:
        """Its database: the path of the file, or the address of the PostgreSQL schema."""
        given = self._settings["queue.database"]
        return given if is_address(given) else str(self.home / given)

    @property
    def place(self) -> str:
        """The path beside which it keeps its locks and pipes."""
        return str(self.home / "run" / "queue") if is_address(self.address) else self.address

    # --- its life ----------------------------------------------------------------------------

    def start(self, *, all_workers: bool = True, **environment: str) -> None:
        """Run `gigqd run` until it answers that it is running.

        Args:
            all_workers: also wait until none of its workers boots any more.
            environment: further variables for this run.
        """
        self._not_yet = _BEFORE_READY if all_workers else _BEFORE_READY[:1]
        variables = {**self.environment, **environment}
        forks = not self.fresh and self.interpreter == sys.executable
        if forks and fork_server.serves(variables):
            self._fork(variables)
        else:
            self._execute(variables)
        self.baseline = checks.resources(self)

    def _fork(self, variables: Mapping[str, str]) -> None:
        self._logs.append(self.home.with_name(f"{self.home.name}-run{len(self._logs)}.log"))
        process = fork_server.start(
            self._program,
            ["--config", str(self.config_path), "run"],
            folder=self.home,
            environment=variables,
            log=self._logs[-1],
        )
        self._processes.append(process)
        if not wait_until(self._is_up, _UP_WITHIN):
            raise RuntimeError(f"gigqd did not start:\n{self.log_text()}")

    @property
    def _program(self) -> str:
        return "daemon on postgres" if is_address(self.address) else "daemon"

    def _execute(self, variables: Mapping[str, str]) -> None:
        outer = self
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        name = f"gigqd-{worker}-{uuid.uuid4().hex}"
        self._logs.append(Path(str(self._xprocess.getinfo(name).logpath)))

        class Starter(ProcessStarter):
            args = (outer.interpreter, "-m", "gigqd", "--config", outer.config_path, "run")
            env = variables
            popen_kwargs = {"cwd": str(outer.home)}  # noqa: RUF012 - the library's interface
            timeout = _UP_WITHIN
            terminate_on_interrupt = True

            def wait(self, log_file: Any) -> bool:
                # Known before `ensure` returns: it is needed while the start is waited for.
                outer._processes.append(outer._xprocess.resources[-1].popen)
                return wait_until(outer._is_up, self.timeout)

        self._xprocess.ensure(name, Starter, persist_logs=False)

    def stop(self, *, now: bool = False, within: float = 20.0) -> dict[str, Any]:
        """Stop in good order; the daemon's answer."""
        answer = self.client.ask("stop", now=now, within=within)
        self.wait_for_exit(within)
        return answer

    def kill(self) -> None:
        """SIGKILL the supervisor alone, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self.wait_for_exit()

    def signal(self, number: int) -> None:
        """Signal the supervisor alone."""
        self._process.send_signal(number)

    def wait_for_exit(self, within: float = 30.0) -> int:
        """Wait until the supervisor has ended; its exit code, negative for a signal."""
        return int(self._process.wait(within))

    @property
    def alive(self) -> bool:
        """Whether the supervisor's process lives."""
        return bool(self._processes) and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return int(self._process.pid)

    # --- configuring and commanding ----------------------------------------------------------

    def configure(self, settings: Mapping[str, Any] | None = None, *, text: str = "") -> None:
        """Write the configuration file anew; a running daemon takes it with a reload.

        Args:
            settings: dotted keys to change; None as a value removes a key.
            text: what to write as it is, below the rest; may well be wrong.
        """
        self._settings.update(settings or {})
        self.config_path.write_text(to_toml(self._settings) + text)

    def command(self, *arguments: str, timeout: float = 40.0) -> subprocess.CompletedProcess[str]:
        """Run `gigqd` with this daemon's configuration, as a person would.

        Args:
            arguments: the command and its options.
            timeout: after so many seconds the command is killed.
        """
        words = ["--config", str(self.config_path), *arguments]
        if not self.fresh and fork_server.serves(self.environment):
            program = self._program if STARTS.intersection(arguments) else "gigqd"
            return fork_server.run(
                program, words, folder=Path.cwd(), environment=self.environment, timeout=timeout
            )
        return subprocess.run(
            [sys.executable, "-m", "gigqd", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def gigq(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `gigq` on its database, in a forked copy: tests wait by asking again and again."""
        words = ["--db", self.address, *arguments]
        return fork_server.run("gigq", words, folder=self.home, environment=self.environment)

    @property
    def runtime_files(self) -> RuntimeFiles:
        """Its runtime files, also after its configuration has changed."""
        return RuntimeFiles(
            DaemonConfig(
                name=self._settings.get("daemon.name") or DaemonConfig().name,
                runtime_dir=self.home / "run",
                working_directory=self.home,
            )
        )

    @property
    def client(self) -> Client:
        """Its control socket."""
        return Client(self.runtime_files)

    def status(self) -> dict[str, Any]:
        """Its answer to `status`."""
        return self.client.ask("status")

    def slots(self, state: str | None = None) -> list[dict[str, Any]]:
        """The workers' slots: all, or those in one state."""
        slots = [slot for slot in self.status()["slots"] if slot["role"] == "worker"]
        return [slot for slot in slots if state in (None, slot["state"])]

    def worker_pids(self) -> list[int]:
        """The process ids of its workers, in the order of their slots."""
        return [slot["pid"] for slot in self.slots() if slot["pid"]]

    # --- jobs --------------------------------------------------------------------------------

    @property
    def queue(self) -> JobQueue:
        """Its queue; one on a server is opened once, because each look at its tables takes long."""
        if not is_address(self.address):
            return JobQueue(self.address)
        if self.address not in self._queues:
            self._queues[self.address] = JobQueue(self.address)
        return self._queues[self.address]

    def submit(
        self,
        function: Callable[..., Any],
        key: str,
        params: Mapping[str, Any] | None = None,
        **job: Any,
    ) -> str:
        """Submit one of the functions of `support.jobs`.

        Args:
            function: the function.
            key: stands for the job in the ledger, and is its name in the queue.
            params: its parameters besides the ledger and the key.
            job: further arguments of `Job`.

        Returns:
            The job's id.
        """
        return self.submit_many(function, [key], params, **job)[0]

    def submit_many(
        self,
        function: Callable[..., Any],
        keys: Iterable[str],
        params: Mapping[str, Any] | None = None,
        **job: Any,
    ) -> list[str]:
        """Submit a job for each key, as `submit` does, in one transaction; their ids."""
        keys = list(keys)
        given = {"ledger": str(self.ledger), **(params or {})}
        made = [
            Job(name=key, function=function, params={"job": key, **given}, **job) for key in keys
        ]
        ids = self.queue.submit_many(made)
        self.submitted.update(zip(ids, keys, strict=True))
        return ids

    def job(self, job_id: str) -> dict[str, Any]:
        """What the queue says of a job, its executions included."""
        return self.queue.get_status(job_id)

    def wait_for_job(self, job_id: str, *states: str, within: float = 30.0) -> dict[str, Any]:
        """Wait until a job is in one of some states, finished ones when none are given."""
        wanted = states or FINISHED
        queue = self.queue

        def found() -> dict[str, Any] | None:
            job = queue.get_status(job_id)
            return job if _text(job["status"]) in wanted else None

        why = f"job {job_id} in {wanted}"
        return wait_until(found, within, why=lambda: f"{why}: {self.job(job_id)}")

    def wait_for_calls(self, key: str, count: int = 1, within: float = 30.0) -> list[ledgers.Call]:
        """Wait until a job's function has been called so many times; the calls."""
        wait_until(lambda: len(self.calls(key)) >= count, within, why=f"{count} calls of {key}")
        return self.calls(key)

    def calls(self, key: str | None = None) -> list[ledgers.Call]:
        """The calls that the ledger has: all, or those of one job."""
        return [call for call in ledgers.calls(self.ledger) if key in (None, call.job)]

    # --- the log -----------------------------------------------------------------------------

    def log_text(self) -> str:
        """All that its runs have written."""
        return "".join(map(_text_of, self._logs))

    def log(self) -> list[dict[str, Any]]:
        """Its log so far; fails on a line that is no JSON object."""
        return read_whole(self.log_text())

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines of its log about one event."""
        return [line for line in self.log() if line["event"] == name]

    def wait_for_event(self, name: str, within: float = 30.0) -> dict[str, Any]:
        """Wait for an event; the last of its lines."""

        def found() -> list[dict[str, Any]]:
            return self.events(name) if f'"{name}"' in self.log_text() else []

        return wait_until(found, within, why=f"event {name}")[-1]

    # --- afterwards --------------------------------------------------------------------------

    def tagged_pids(self) -> list[int]:
        """Every living process that carries the tag of one of its workers."""
        is_file = self.place == self.address
        if not is_file and not Path(f"{self.place}.gigq").exists():
            return []  # it was never started: the tag is the number of a lock file in this folder
        home = home_of(self.place) if is_file else home_with(run_locks.id_of_lock_file(self.place))
        tags = {pid: tag_of(pid) for pid in syscalls.all_pids()}
        return [pid for pid, tag in tags.items() if tag is not None and tag.home == home]

    def breaks(self, rule: str, why: str) -> None:
        """Excuse this daemon from a rule of `support.checks`, "P1" to "P9", for a reason."""
        self.excused[rule] = why

    def finish(self) -> None:
        """End the test's use of it: stop it if it runs, and hold it to the rules.

        Raises:
            AssertionError: one is broken.
        """
        if self.alive:
            self.check_while_running()
            self.stop(now=True)
        self.check_remains()
        self._left_nothing = "P1" not in self.excused

    def check_while_running(self) -> None:
        """No zombie, no thread, and no descriptor more than at the start."""
        checks.while_running(self)

    def check_remains(self) -> None:
        """Nothing is left of it, every job is accounted for, and its log is whole."""
        checks.afterwards(self)

    @property
    def stopped_in_order(self) -> bool:
        """Whether its last run has ended as a stop that was asked for ends."""
        return bool(self._processes) and self._process.poll() == 0

    def abandon(self) -> None:
        """Kill all that is left; for a test that has failed."""
        if self.alive:
            with suppress(OSError):
                self.signal(signal.SIGKILL)
            self.wait_for_exit()
        for pid in () if self._left_nothing else self.tagged_pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        close_connection(str(self.database))
        if is_address(self.address):
            postgres_connections.close_connection(self.address)

    # --- within ------------------------------------------------------------------------------

    def _is_up(self) -> bool:
        if not self.alive:
            raise RuntimeError(f"gigqd ended with {self._process.poll()}:\n{self.log_text()}")
        log = _text_of(self._logs[-1])
        if '"daemon_starting"' in log and '"daemon_ready"' not in log:
            return False  # without a request, which costs both sides more than a look at the log
        if not self.runtime_files.socket_path.exists():
            return False
        with suppress(NotRunning, NotAnswering):
            answer = self.client.ask("status", within=1.0)
            are_there = all(slot["state"] not in self._not_yet for slot in answer["slots"])
            return bool(answer["state"] == "running") and are_there
        return False

    @property
    def _process(self) -> Any:
        return self._processes[-1]


on_both_databases = pytest.mark.parametrize("daemons", stores.KINDS, indirect=True)
"""Run a test, or those of a module, with a daemon on a file and with one on PostgreSQL."""


@pytest.fixture
def daemons(
    xprocess: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Daemon]]:
    """A function that makes daemons, started unless `start=False`; all are checked at the end."""
    kind = getattr(request, "param", "sqlite")
    made: list[Daemon] = []
    schemas = ExitStack()
    bystander = checks.bystander()

    def make(
        settings: Mapping[str, Any] | None = None,
        *,
        start: bool = True,
        fresh: bool = False,
        lease: float = 30,
    ) -> Daemon:
        home = tmp_path / f"d{len(made)}"
        home.mkdir()
        address = schemas.enter_context(stores.address_of(kind, home))
        on_server = {"queue.database": address, "queue.lease": lease}
        database = {} if kind == "sqlite" else on_server
        made.append(Daemon(xprocess, home, {**database, **(settings or {})}, fresh=fresh))
        if start:
            made[-1].start()
        return made[-1]

    try:
        yield make
        for daemon in made:
            daemon.finish()
        bystander.check()
    finally:
        for daemon in made:
            daemon.abandon()
        schemas.close()


def _text(status: JobStatus | str) -> str:
    return status.value if isinstance(status, JobStatus) else status


def _text_of(log: Path) -> str:
    return log.read_text() if log.exists() else ""
