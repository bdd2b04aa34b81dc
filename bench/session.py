"""A queue, its server and its board, from the measuring side."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from bench import board, servers, venvs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.protocol import Peer

START_SECONDS = 30.0


class Failed(Exception):  # noqa: N818 - it reads as what it says
    """A queue did not do what was asked; the text says what it said."""


@dataclass(slots=True)
class Session:
    """One queue with an empty store."""

    peer: Peer
    folder: Path
    board: board.Board
    agent: subprocess.Popen[str]
    address: str
    server_pids: list[int]
    roots: list[int] = field(default_factory=list)

    def ask(self, do: str, limit: float = START_SECONDS, **given: Any) -> Any:
        """Have the queue's own side do something.

        Args:
            do: the name of a command of `bench.agent`.
            limit: seconds to wait at most.
            given: its arguments.

        Raises:
            Failed: it raised an error, died or did not answer in time.
        """
        assert self.agent.stdin is not None
        assert self.agent.stdout is not None
        self.agent.stdin.write(json.dumps({"do": do, **given}) + "\n")
        self.agent.stdin.flush()
        if not select.select([self.agent.stdout], [], [], limit)[0]:
            raise Failed(f"{do}: no answer after {limit:g} s")
        line = self.agent.stdout.readline()
        if not line:
            raise Failed(f"{do}: the process ended: {self.log()[-300:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(f"{do}: {answer['error'].strip().splitlines()[-1]}")
        return answer["value"]

    def start(self, workers: int) -> None:
        """Start workers and wait until the first has run a job, if there is one."""
        self.roots = self.ask("start", workers=workers)

    def stop(self) -> None:
        """End the workers."""
        self.ask("stop", limit=START_SECONDS)
        self.roots = []

    def wait_for(self, jobs: int, seconds: float) -> bool:
        """Wait until so many jobs have run; False when the time is up before."""
        end = time.monotonic() + seconds
        while self.board.jobs() < jobs:
            if time.monotonic() > end:
                return False
            time.sleep(0.001)
        return True

    def processes(self) -> list[psutil.Process]:
        """The whole pool and its server."""
        found = {}
        for pid in (*self.roots, *self.server_pids):
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                found[process.pid] = process
        return list(found.values())

    def log(self) -> str:
        """What the queue's side and its workers wrote."""
        files = (self.folder / "agent.log", self.folder / "store" / "log")
        return "".join(file.read_text(errors="replace") for file in files if file.exists())


@contextmanager
def session(peer: Peer, where: Path | None = None) -> Iterator[Session]:
    """A queue with an empty store in a folder that is removed in the end."""
    python = venvs.python_of(peer)
    with tempfile.TemporaryDirectory(dir=where, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "store").mkdir()
        seen = board.Board(folder / "board")
        with servers.server(peer.server, folder / "server") as (address, pids):
            agent = _agent(python, peer, folder, address)
            current = Session(peer, folder, seen, agent, address, pids)
            try:
                current.ask("prepare")
                yield current
            finally:
                _end(agent)


def _with_compiled_modules() -> dict[str, str]:
    """This environment, but modules are compiled once and kept, as those of the others are."""
    return {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _agent(python: str, peer: Peer, folder: Path, address: str) -> subprocess.Popen[str]:
    surroundings = _with_compiled_modules() | {
        board.VARIABLE: str(folder / "board"),
        "PYTHONPATH": str(venvs.library()),
        "BENCH_ADDRESS": address,
        "BENCH_FOLDER": str(folder / "store"),
    }
    with (folder / "agent.log").open("wb") as log:
        return subprocess.Popen(
            [python, "-m", "bench.agent", peer.name, str(folder / "store"), address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=surroundings,
            cwd=folder,
        )


def _end(agent: subprocess.Popen[str]) -> None:
    assert agent.stdin is not None
    descendants = psutil.Process(agent.pid).children(recursive=True) if agent.poll() is None else []
    agent.stdin.close()
    try:
        agent.wait(START_SECONDS)
    except subprocess.TimeoutExpired:
        agent.kill()
        agent.wait()
    for process in descendants:
        if process.is_running():
            process.kill()
