"""The log file is renamed when it is large enough, and no line is lost or torn by it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.config_files import problems, write

from gigqd import logs
from gigqd.config import LogConfig
from gigqd.logs.rotation import Rotation, rename

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL = 4096


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "jobs.log"
    logs.configure(LogConfig(file=path, format="json"))
    yield path
    logs.configure(LogConfig())


def fill(count: int) -> None:
    for number in range(count):
        logs.get_logger("test").info("line", number=number)


def all_lines(path: Path) -> list[dict]:
    texts = [each.read_text() for each in sorted(path.parent.glob("jobs.log*"))]
    assert all(text.endswith("\n") for text in texts if text)
    return [json.loads(line) for text in texts for line in text.splitlines()]


def numbers(path: Path) -> list[int]:
    return sorted(line["number"] for line in all_lines(path) if line["event"] == "line")


def test_a_log_below_the_size_and_one_without_a_size_keep_their_name(file: Path) -> None:
    fill(1)
    step = Rotation().step

    step(LogConfig(file=file, max_size=SMALL))
    fill(100)
    step(LogConfig(file=file))

    assert [each.name for each in file.parent.iterdir()] == ["jobs.log"]


def test_a_log_of_the_size_is_renamed_and_begun_anew(file: Path) -> None:
    fill(100)

    Rotation().step(LogConfig(file=file, max_size=SMALL))
    fill(1)

    assert len((file.parent / "jobs.log.1").read_text().splitlines()) == 100
    assert [json.loads(line)["event"] for line in file.read_text().splitlines()] == [
        "log_rotated",
        "line",
    ]


def test_so_many_are_kept_and_the_oldest_goes(tmp_path: Path) -> None:
    path = tmp_path / "jobs.log"
    for number in range(6):
        path.write_text(str(number))
        rename(path, keep=3)

    texts = {each.name: each.read_text() for each in tmp_path.iterdir()}

    assert texts == {"jobs.log.1": "5", "jobs.log.2": "4", "jobs.log.3": "3"}


def test_processes_that_write_while_it_is_renamed_lose_and_tear_no_line(file: Path) -> None:
    """A hundred renames beside two writers; the parent renames, as the supervisor does."""
    writers = []
    for first in (0, 100_000):
        pid = os.fork()
        if pid == 0:
            try:
                for number in range(first, first + 3000):
                    logs.get_logger("test").info("line", number=number)
            finally:
                os._exit(0)
        writers.append(pid)
    alive = set(writers)
    renamed = 0
    while alive:
        alive -= {pid for pid in alive if os.waitpid(pid, os.WNOHANG)[0]}
        if renamed < 100 and file.exists():
            rename(file, keep=100)
            renamed += 1

    assert renamed > 1
    assert numbers(file) == [*range(3000), *range(100_000, 103_000)]


def test_processes_that_rotate_the_same_file_lose_no_line_and_leave_no_gap(file: Path) -> None:
    """Daemons that share a log: each judges by itself that it is large enough."""
    config = LogConfig(file=file, max_size=SMALL, keep=1000)
    rotators = []
    for first in range(0, 6000, 2000):
        pid = os.fork()
        if pid == 0:
            try:
                step = Rotation().step
                for number in range(first, first + 2000):
                    logs.get_logger("test").info("line", number=number)
                    step(config)
            finally:
                os._exit(0)
        rotators.append(pid)
    for pid in rotators:
        os.waitpid(pid, 0)

    assert numbers(file) == [*range(6000)]
    renamed = sorted(int(each.suffix[1:]) for each in file.parent.glob("jobs.log.*"))
    assert renamed == [*range(1, len(renamed) + 1)]
    assert min(each.stat().st_size for each in file.parent.glob("jobs.log.*")) >= SMALL


def test_an_idle_process_closes_a_log_that_was_deleted(file: Path) -> None:
    fill(1)
    file.unlink()

    logs.follow()

    assert Path(f"/proc/self/fd/{logs.sink_fd()}").readlink() == file


def test_a_rename_that_is_refused_is_logged_once_and_the_log_goes_on(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file.parent / "jobs.log.1").mkdir()  # what cannot be replaced by a file
    fill(100)
    config = LogConfig(file=file, max_size=SMALL, keep=1)
    one = Rotation()

    one.step(config)
    one.step(config)
    fill(1)

    events = [json.loads(line)["event"] for line in file.read_text().splitlines()]
    assert events[100:] == ["log_rotation_failed", "line"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may rename everything")
def test_a_folder_that_may_not_be_written_leaves_the_log_going(file: Path) -> None:
    fill(100)
    file.parent.chmod(0o500)
    try:
        Rotation().step(LogConfig(file=file, max_size=SMALL))
    finally:
        file.parent.chmod(0o700)
    fill(1)

    assert numbers(file) == sorted([*range(100), 0])


def test_a_disk_without_room_for_a_new_file_leaves_the_log_in_the_renamed_one(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(100)
    file.parent.joinpath("x").touch()
    rename(file, keep=5)
    file.symlink_to(file.parent / "x")  # opening is refused as it is on a full disk

    fill(1)

    assert len((file.parent / "jobs.log.1").read_text().splitlines()) == 101


def test_streams_that_led_to_the_log_follow_it(file: Path) -> None:
    """A daemon's own standard error is its log: a traceback must not go to an old file."""
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(logs.sink_fd(), 2)
            rename(file, keep=5)
            logs.get_logger("test").info("line", number=1)
            os.write(2, b'{"event": "traceback"}\n')
        finally:
            os._exit(0)
    os.waitpid(pid, 0)

    assert [json.loads(line)["event"] for line in file.read_text().splitlines()] == [
        "line",
        "traceback",
    ]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('max_size = "1MiB"', "the log is standard error under gigqd run, as log.file is not set"),
        ('file = "/dev/stdout"\nmax_size = "1MiB"', "the log is /dev/stdout, which cannot be"),
        ('file = "jobs.log"\nmax_size = 10', "must be 0 or at least 64 KiB, not 10 B"),
        ('file = "jobs.db"\nmax_size = 0', "is the database"),
        ('file = "queue"\nmax_size = "1MiB"', "queue.2, to which the log would be renamed, is"),
        ("keep = 0", "must be at least 1"),
    ],
)
def test_a_log_that_cannot_be_rotated_is_refused(tmp_path: Path, table: str, said: str) -> None:
    database = "queue.2" if "queue" in table else "jobs.db"
    path = write(tmp_path, f'[queue]\ndatabase = "{database}"\n[log]\n{table}\n')

    (problem,) = problems(path)

    assert said in problem
