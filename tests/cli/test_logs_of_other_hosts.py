"""`gigq logs` on another host than the one that runs the job, which shares only the database."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support import jobs_that_talk
from support.raw_sql import Program
from support.shell import clean_environment
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.daemon import Daemon

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.parametrize("daemons", ["postgres"], indirect=True),
]

ONE = {"pools.default.size": 1}
# A process namespace is another host to gigq: it cannot see the daemon, nor the end of it.
ELSEWHERE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


class Reader:
    """A `gigq logs` on another host."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.number = len(list(folder.glob("out.*")))
        self._out, self._err = (folder / f"{name}.{self.number}" for name in ("out", "err"))
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*ELSEWHERE, sys.executable, "-m", "gigq", "logs", *arguments],
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def out(self) -> str:
        return self._out.read_text()

    def err(self) -> str:
        return self._err.read_text()

    def finish(self) -> int:
        return self.process.wait(60)


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Callable[..., Reader]]:
    if subprocess.run([*ELSEWHERE, "true"], capture_output=True).returncode:
        pytest.skip("this user may not make a pid namespace")
    begun: list[Reader] = []

    def start(daemon: Daemon, *arguments: str) -> Reader:
        begun.append(Reader(tmp_path, *arguments, "--db", daemon.address))
        return begun[-1]

    yield start
    for one in begun:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def cues(tmp_path: Path) -> Path:
    folder = tmp_path / "cues"
    folder.mkdir()
    return folder


def talk(daemon: Daemon, cues: Path, *lines: str, fails: int = 0, **options: Any) -> str:
    params = {"cues": str(cues), "lines": lines, "fails": fails}
    options = {"max_attempts": 2, **options}
    return daemon.submit(jobs_that_talk.say_on_cue, "talk", params, **options)


def give(cues: Path, *numbers: int) -> None:
    for number in numbers:
        (cues / str(number)).touch()


def rows(daemon: Daemon, sql: str) -> list[dict[str, Any]]:
    program = Program(daemon.address)
    try:
        return program.rows(sql)
    finally:
        program.close()


def test_following_shows_each_line_as_it_comes_and_once(daemons, cues, read):
    daemon = daemons(ONE)
    job_id = talk(daemon, cues, *["tick"] * 5)
    reader = read(daemon, "-f", job_id)
    for number in range(4):
        give(cues, number)
        wait_until(lambda n=number: reader.out() == "talk: tick\n" * (n + 1))
    give(cues, 4)

    assert reader.finish() == 0
    assert reader.out() == "talk: tick\n" * 5
    assert f"it runs on {os.uname().nodename}; the daemon there stores" in reader.err()
    assert f"job {job_id} is completed" in reader.err()
