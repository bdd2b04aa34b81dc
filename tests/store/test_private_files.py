"""What another account may have placed beside a database is refused, and never followed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from support.files import open_files
from support.forked import CLONE_NEWUSER, in_a_child, unshare

from gigq import Job, JobQueue
from gigq.store.sqlite.checkpoint import _elected
from gigq.store.sqlite.file import private_files
from gigq.store.sqlite.file.private_files import is_known
from gigq.store.sqlite.processes import run_locks
from gigq.store.sqlite.processes.run_locks import RunLock, companion

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
OTHER_UID, ANOTHER = 4711, 4712


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.db"
    JobQueue(path).submit(Job("one", os.getpid))
    return path


@pytest.fixture(autouse=True)
def locks_of_this_test_only() -> None:
    run_locks._own.forget()


@pytest.mark.fault("S2")
def test_a_link_in_the_place_of_the_folder_is_refused(database: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "jobs.db.gigq").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match=r"jobs\.db\.gigq is no folder"):
        RunLock(database, "worker")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.fault("S2")
def test_a_folder_that_every_account_may_write_is_refused(database: Path) -> None:
    companion(database).chmod(0o777)

    with pytest.raises(OSError, match="may be written by every account"):
        RunLock(database, "worker")


@pytest.mark.fault("S2")
@pytest.mark.parametrize("name", ["locks", "checkpointer", "write-queue"])
@pytest.mark.parametrize("kind", ["a link", "a dangling link", "a FIFO", "a folder"])
def test_no_link_and_no_fifo_is_opened_in_the_place_of_a_file(
    database: Path, tmp_path: Path, name: str, kind: str
) -> None:
    folder = companion(database)
    (folder / name).unlink(missing_ok=True)
    (tmp_path / "target").write_text("")
    match kind:
        case "a link":
            (folder / name).symlink_to(tmp_path / "target")
        case "a dangling link":
            (folder / name).symlink_to(tmp_path / "born")
        case "a FIFO":
            os.mkfifo(folder / name)
        case "a folder":
            (folder / name).mkdir()

    with pytest.raises(OSError, match=r"symbolic link|not the kind of file|Is a directory"):
        private_files.open_file(folder / name)
    if name == "locks":
        with pytest.raises(OSError, match="locks"):
            RunLock(database, "worker")
    if name == "checkpointer":
        with pytest.raises(OSError, match="checkpointer"), _elected(str(database)):
            pass
    JobQueue(database).submit(Job("another", os.getpid))  # without the write queue
    assert (tmp_path / "target").read_text() == ""
    assert not (tmp_path / "born").exists()


@pytest.mark.fault("S2")
@pytest.mark.root
@needs_root
def test_a_folder_of_another_account_than_the_databases_is_refused(database: Path) -> None:
    os.chown(companion(database), ANOTHER, ANOTHER)

    with pytest.raises(OSError, match=f"belongs to user id {ANOTHER}, neither to this account"):
        RunLock(database, "worker")


@pytest.mark.root
@needs_root
def test_the_folder_of_the_databases_owner_is_used_and_what_root_makes_in_it_is_theirs(
    database: Path,
) -> None:
    os.chown(database, OTHER_UID, OTHER_UID)

    RunLock(database, "worker").release()

    found = [companion(database), companion(database) / "locks"]
    assert {path.stat().st_uid for path in found} == {OTHER_UID}


@pytest.mark.fault("S2")
@pytest.mark.root
@needs_root
def test_root_opens_no_file_that_has_a_second_name_in_a_folder_of_others(
    database: Path, tmp_path: Path
) -> None:
    (tmp_path / "roots").write_text("")
    os.chown(database, OTHER_UID, OTHER_UID)
    os.link(tmp_path / "roots", companion(database) / "locks")

    with pytest.raises(OSError, match="has a second name"):
        RunLock(database, "worker")
    assert (tmp_path / "roots").read_text() == ""


@pytest.mark.root
@needs_root
def test_an_account_without_a_number_in_this_namespace_is_not_nobody() -> None:
    def in_a_namespace_with_root_only() -> object:
        unshare(CLONE_NEWUSER)
        private_files._user_ids.cache_clear()
        return is_known(65534), is_known(Path("/etc").stat().st_uid)

    assert is_known(65534)
    assert in_a_child(in_a_namespace_with_root_only) == "(False, False)"


def test_a_file_is_made_private(database: Path) -> None:
    RunLock(database, "worker").release()

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in companion(database).iterdir()}
    assert modes["locks"] == 0o600


@pytest.mark.fault("S2")
def test_a_link_in_the_place_of_the_folder_is_not_followed_when_a_connection_closes(
    database: Path, tmp_path: Path
) -> None:
    queue = JobQueue(database)
    queue.submit(Job("two", os.getpid))
    companion(database).rename(tmp_path / "moved")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "initialized").write_text("of another program")
    (tmp_path / "jobs.db.gigq").symlink_to(tmp_path / "elsewhere")

    queue.close()

    assert not (tmp_path / "jobs.db-wal").exists()
    assert (tmp_path / "elsewhere" / "initialized").read_text() == "of another program"


def test_a_folder_that_is_replaced_by_a_link_after_it_was_made_is_refused(
    database: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "jobs.db.gigq").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match=r"jobs\.db\.gigq is no folder"):
        private_files.open_file(run_locks.companion_path(str(database)) / "locks")


def test_what_is_refused_stays_not_open(database: Path) -> None:
    folder = companion(database)
    os.mkfifo(folder / "odd")
    before = open_files()
    for _ in range(5):
        with pytest.raises(OSError, match="not the kind of file"):
            private_files.open_file(folder / "odd")
    folder.chmod(0o777)
    for _ in range(5):
        with pytest.raises(OSError, match="may be written by every account"):
            private_files.open_file(folder / "locks")

    assert open_files() == before
