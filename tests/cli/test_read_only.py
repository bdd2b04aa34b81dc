"""Looking at a queue leaves no files and needs no right to write, for any account."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import fork_server
from support.earlier_schemas import make_file
from support.other_user import SEARCH_PATH, interpreter_for
from support.shell import Shell

from gigq.errors import StoreUnavailable
from gigq.store.read_only import ReadingDatabase, reading, reading_long
from gigq.store.sqlite import connections
from gigq.store.verbs import listing

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = "nobody"
LOOKS = (("status", "ID"), ("doctor",), ("backup", "BACKUP"))
# These read as the others do. A command as another account costs a fresh interpreter.
LOOKS_OF_THE_OWNER = (("stats",), ("list", "--json"))
HOLDER = """
import os, sys
from gigq import Job, JobQueue
queue = JobQueue(sys.argv[1])
queue.submit(Job("held", os.getpid))
print("open", flush=True)
sys.stdin.readline()
"""


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """The files beside the database: size, time and owner of each."""
    found = {each.name: each.stat() for each in folder.glob("jobs.db*") if each.is_file()}
    return {name: (s.st_size, s.st_mtime_ns, s.st_uid) for name, s in found.items()}


@contextmanager
def in_use(shell: Shell, *, killed: bool = False):
    """Another process has the queue open, or did until it was killed."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, "jobs.db"],
        cwd=shell.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout.readline() == b"open\n"
        if killed:
            os.kill(holder.pid, signal.SIGKILL)
            holder.wait()
        yield
        holder.communicate(b"\n" if not killed else None)


def looks(user: str | None, job_id: str, place: Path):
    for words in LOOKS if user else LOOKS + LOOKS_OF_THE_OWNER:
        yield [{"ID": job_id, "BACKUP": str(place / "copy.db")}.get(word, word) for word in words]


def look_as(user: str | None, shell: Shell, command: list[str]) -> subprocess.CompletedProcess[str]:
    words = ["--db", str(shell.folder / "jobs.db"), *command]
    if user is None:
        environment = {"PATH": os.environ["PATH"]}
        return fork_server.run("gigq", words, folder=shell.folder, environment=environment)
    become = ["setpriv", f"--reuid={user}", "--clear-groups"]
    return subprocess.run(
        [*become, interpreter_for(user), "-m", "gigq", *words],
        cwd=shell.folder,
        env={"PYTHONPATH": SEARCH_PATH, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )


@pytest.fixture(params=[None, USER], ids=["the owner", "another account"])
def user(request: pytest.FixtureRequest) -> str | None:
    if request.param and os.geteuid() != 0:
        pytest.skip("only root can run a command as another account")
    return request.param


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every account may enter; those of pytest are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="gigq-reading-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def shared(place: Path) -> Shell:
    """A queue in a folder in which every account may write and read: the worst case."""
    (place / "queue").mkdir()
    (place / "queue").chmod(0o777)
    shell = Shell(place / "queue")
    shell.out("--db", "jobs.db", "submit", "os:getpid", "--name", "a job")
    (shell.folder / "jobs.db").chmod(0o644)
    return shell


@pytest.mark.fault("G18")
@pytest.mark.parametrize("use", ["unused", "used", "killed"])
def test_a_look_leaves_every_file_as_it_was(shared, user, use, place):
    (job,) = [each["id"] for each in _json_lines(shared.out("--db", "jobs.db", "list", "--json"))]
    if use == "unused":
        _look_and_compare(shared, user, job, place)
    else:
        with in_use(shared, killed=use == "killed"):
            _look_and_compare(shared, user, job, place)

    assert shared.out("--db", "jobs.db", "submit", "os:getpid", "--name", "after")


def _json_lines(text: str):
    return [json.loads(line) for line in text.splitlines()]


def _look_and_compare(shell, user, job, place):
    before = state(shell.folder)
    for command in looks(user, job, place):
        done = look_as(user, shell, command)

        assert done.returncode == 0 or command == ["doctor"], done.stderr
        assert state(shell.folder) == before, command
    assert "a job" in look_as(user, shell, ["list"]).stdout


def test_a_look_at_a_log_without_its_index_leaves_none(shared, user):
    with in_use(shared, killed=True):
        (shared.folder / "jobs.db-shm").unlink()
        before = state(shared.folder)

        assert "held" in look_as(user, shared, ["list"]).stdout
        assert state(shared.folder) == before


def test_a_look_needs_no_right_to_write(shared, user):
    if user is None:
        pytest.skip("the owner may write")
    shared.folder.chmod(0o755)

    assert "a job" in look_as(user, shared, ["list"]).stdout
    with in_use(shared):
        assert "held" in look_as(user, shared, ["list"]).stdout


def test_a_look_goes_on_where_the_folder_beside_the_file_is_closed_to_the_account(shared, user):
    if user is None:
        pytest.skip("the owner may enter the folder")
    shared.out("--db", "jobs.db", "worker", "--once")
    shared.out("--db", "jobs.db", "submit", "os:getpid", "--name", "waits")
    (waits,) = [each["id"] for each in _waiting(shared)]

    assert "waits" in look_as(user, shared, ["status", waits]).stdout
    assert "the oldest due job" in look_as(user, shared, ["doctor"]).stdout


def _waiting(shell):
    return _json_lines(shell.out("--db", "jobs.db", "list", "--status", "pending", "--json"))


def test_a_look_at_a_file_of_an_older_schema_does_not_migrate_it(shell):
    path = shell.folder / "old.db"
    make_file(str(path), 4)
    before = path.read_bytes()

    assert "pending" in shell.out("--db", "old.db", "list")
    assert path.read_bytes() == before


def test_a_process_that_closes_waits_for_a_look_and_is_the_last(shared):
    with in_use(shared):
        for _ in range(3):
            shared.out("--db", "jobs.db", "stats")
    connections.close_connections()
    shutil.copy(shared.folder / "jobs.db", shared.folder / "copy.db")

    assert sorted(state(shared.folder)) == ["jobs.db"]


def test_a_long_reader_that_ends_last_leaves_one_complete_file(shared):
    path = shared.folder / "jobs.db"
    with in_use(shared):
        reader = reading_long(str(path))
        reader.__enter__()
    assert (shared.folder / "jobs.db-wal").exists()

    reader.__exit__(None, None, None)

    assert sorted(state(shared.folder)) == ["jobs.db"]


WRITER = """
import sys
from gigq.store.sqlite import checkpoint; from gigq.store.sqlite import connections as connect
connection = connect.open_connection(sys.argv[1])
connection.execute("UPDATE jobs SET name = 'written since'")
checkpoint.shorten(connection)
print("written", flush=True)
sys.stdin.readline()
"""


@contextmanager
def written_by_one_that_stays(path: Path) -> Iterator[None]:
    """A process that changes every job, writes its log into the file and keeps it open."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        yield
        writer.communicate(b"\n")


def test_what_a_writer_changes_while_an_unused_file_is_read_is_an_error(shared):
    path = shared.folder / "jobs.db"
    reader = reading(str(path))
    reader.__enter__()

    with (
        written_by_one_that_stays(path),
        pytest.raises(StoreUnavailable, match="changed while it was read"),
    ):
        reader.__exit__(None, None, None)


def test_a_look_at_a_file_of_an_older_schema_sees_what_was_changed_since(tmp_path):
    path = tmp_path / "old.db"
    make_file(str(path), 4)
    database = ReadingDatabase(str(path))

    def number() -> int:
        return len(listing.page(database))

    before = number()
    with closing(sqlite3.connect(path)) as other:
        other.execute("DELETE FROM jobs WHERE id = 'completed'")
        other.commit()
        in_log = number()

    assert (in_log, number()) == (before - 1, before - 1)


USED_ONCE = """
import os, sys
from gigq import Job, JobQueue
JobQueue(sys.argv[1]).submit(Job("written since", os.getpid))
"""


@contextmanager
def used_once(path: Path) -> Iterator[None]:
    """A process that submits a job, and leaves one complete file."""
    subprocess.run([sys.executable, "-c", USED_ONCE, str(path)], check=True)
    yield


@pytest.mark.parametrize("used", [used_once, written_by_one_that_stays])
def test_a_log_that_another_process_writes_back_while_it_is_copied_is_read_anew(
    shared, monkeypatch, used
):
    path = shared.folder / "jobs.db"
    with in_use(shared, killed=True), ExitStack() as stack:
        (shared.folder / "jobs.db-shm").unlink()
        copy = shutil.copyfile

        def copied(source: str, target: str) -> None:
            copy(source, target)
            monkeypatch.setattr(shutil, "copyfile", copy)
            stack.enter_context(used(path))

        monkeypatch.setattr(shutil, "copyfile", copied)
        names = [row["name"] for row in listing.page(ReadingDatabase(str(path)))]

    assert "written since" in names
