"""`gigq prune` deletes finished jobs by age or number, or says what it would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import fork_server
from support.configs import clean_environment

from gigq import Job, JobQueue, Worker

if TYPE_CHECKING:
    import subprocess


def work() -> None:
    return None


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "jobs.db")
    JobQueue(path).submit_many([Job(f"job {n}", work) for n in range(5)])
    worker = Worker(path)
    while worker.process_one():
        pass
    return path


def prune(path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = ["--db", path, "prune", *arguments]
    folder = Path(path).parent
    return fork_server.run("gigq", words, folder=folder, environment=clean_environment())


def test_a_dry_run_says_what_the_real_one_then_does(path: str) -> None:
    would = prune(path, "--keep", "2", "--dry-run")
    assert JobQueue(path).stats()["completed"] == 5
    done = prune(path, "--keep", "2")

    assert would.stdout == "Would prune 3 completed, 0 failed, 0 timeout, 0 cancelled.\n"
    assert done.stdout == "Pruned 3 completed, 0 failed, 0 timeout, 0 cancelled.\n"
    assert JobQueue(path).stats()["completed"] == 2


def test_the_answer_may_be_json(path: str) -> None:
    answer = json.loads(prune(path, "--before", "0", "--status", "completed", "--json").stdout)

    assert answer == {"pruned": {"completed": 5}, "dry_run": False}


@pytest.mark.parametrize(
    "arguments",
    [(), ("--keep", "-1"), ("--before", "soon"), ("--keep", "1", "--status", "running")],
)
def test_what_makes_no_sense_is_a_usage_error(path: str, arguments: tuple[str, ...]) -> None:
    refused = prune(path, *arguments)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert JobQueue(path).stats()["completed"] == 5
