"""gigqd as the first process of a container, and the commands of docs/howto/containers.md."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from support import jobs
from support.configs import clean_environment
from support.json_lines import read_whole
from support.pages import files_of
from support.tree import ROOT
from support.waiting import wait_until

from gigq import Job, JobQueue
from gigqd import exit_codes
from gigqd.cli.parser import build_parser
from gigqd.config import load
from gigqd.linux import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.daemon

PAGE = (ROOT / "docs/howto/containers.md").read_text(encoding="utf-8")
DOCKERFILE = re.search(r"^```dockerfile\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]
APART = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
CONFIG = """\
[daemon]
runtime_dir = "run"
stop_timeout = "{stop_timeout}"
[queue]
database = "jobs.db"
[log]
file = "gigqd.log"
format = "json"
[pools.default]
size = 1
"""

needs_namespaces = pytest.mark.skipif(
    subprocess.run([*APART, "true"], capture_output=True, check=False).returncode != 0,
    reason="this account may not make a process namespace",
)


def instruction(name: str) -> list[str]:
    """The words of an instruction of the Dockerfile that is written as a list."""
    line = next(line for line in DOCKERFILE.splitlines() if line.startswith(f"{name} "))
    return json.loads(line[line.index("[") :])


def lines(folder: Path) -> list[dict[str, Any]]:
    path = folder / "gigqd.log"
    return read_whole(path.read_text()) if path.exists() else []


@contextmanager
def container(folder: Path, stop_timeout: str) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon as process 1 of a namespace; the one that is given is its parent."""
    (folder / "gigq.toml").write_text(CONFIG.format(stop_timeout=stop_timeout))
    words = [sys.executable, "-m", *instruction("CMD")]
    words[words.index("/etc/gigq.toml")] = str(folder / "gigq.toml")
    outer = subprocess.Popen([*APART, *words], cwd=folder, env=clean_environment())
    try:
        wait_until(lambda: any(line["event"] == "daemon_ready" for line in lines(folder)), 30.0)
        yield outer
    finally:
        for pid in syscalls.children_of(outer.pid):
            os.kill(pid, signal.SIGKILL)
        outer.kill()
        outer.wait()


def warnings(folder: Path) -> list[str]:
    return [line["warning"] for line in lines(folder) if line["event"] == "config_warning"]


@needs_namespaces
def test_process_1_warns_of_a_stop_that_takes_longer_than_a_container_is_given(tmp_path):
    with container(tmp_path, "30s"):
        (warning,) = [text for text in warnings(tmp_path) if "container" in text]

    for word in ("daemon.stop_timeout is 30s", "10s", "docker stop -t", "stop_grace_period"):
        assert word in warning
    assert "terminationGracePeriodSeconds" in warning


@needs_namespaces
def test_process_1_with_a_short_stop_warns_of_nothing(tmp_path):
    with container(tmp_path, "10s"):
        found = [text for text in warnings(tmp_path) if "container" in text]

    assert found == []


def test_a_daemon_that_is_not_process_1_does_not_warn(daemons):
    daemon = daemons({"daemon.stop_timeout": 30})

    found = [line for line in daemon.events("config_warning") if "container" in line["warning"]]
    assert found == []


@needs_namespaces
def test_process_1_collects_orphans_and_stops_in_order_at_term(tmp_path):
    with container(tmp_path, "5s") as outer:
        queue = JobQueue(tmp_path / "jobs.db")
        for number in range(5):
            orphans = {"command": f"(echo x >> {tmp_path}/ran &) ; (echo x >> {tmp_path}/ran &)"}
            queue.submit(Job(f"j{number}", os.system, params=orphans))
        wait_until(lambda: queue.stats()["completed"] == 5, 60.0)
        (first,) = syscalls.children_of(outer.pid)
        wait_until(lambda: (tmp_path / "ran").read_text() == "x\n" * 10, 60.0)
        wait_until(
            lambda: len(syscalls.children_of(first)) == 2, why="recorder and worker are left"
        )
        os.kill(first, signal.SIGTERM)
        code = outer.wait(30)

    assert code == exit_codes.OK
    assert lines(tmp_path)[-1]["event"] == "daemon_stopped"


@needs_namespaces
def test_the_health_check_is_0_while_the_daemon_answers_and_not_0_without_it(tmp_path):
    check = [sys.executable, "-m", *instruction("HEALTHCHECK")]
    check[check.index("/etc/gigq.toml")] = str(tmp_path / "gigq.toml")
    with container(tmp_path, "5s") as outer:
        (first,) = syscalls.children_of(outer.pid)
        inside = ["nsenter", "--target", str(first), "--pid", "--mount", *check]
        healthy = subprocess.run(inside, env=clean_environment(), capture_output=True, check=False)
        os.kill(first, signal.SIGTERM)
        outer.wait(30)
        gone = subprocess.run(check, env=clean_environment(), capture_output=True, check=False)

    assert healthy.returncode == exit_codes.OK, healthy.stderr
    assert gone.returncode != exit_codes.OK


def test_the_commands_of_the_page_are_commands_of_gigqd():
    probe = re.search(r"^    command: (\[.*\])$", PAGE, re.MULTILINE)[1]
    for words in (instruction("CMD"), instruction("HEALTHCHECK"), json.loads(probe)):
        program, *arguments = words
        options = build_parser().parse_args(arguments)

        assert program == "gigqd"
        assert str(options.config) == "/etc/gigq.toml"
    assert json.loads(probe) == instruction("HEALTHCHECK")


def test_what_the_image_installs_is_where_its_configuration_looks(tmp_path):
    text = files_of("containers")["gigq.toml"]
    path = tmp_path / "gigq.toml"
    path.write_text(text.replace("/srv/app", str(tmp_path)))
    config = load(path, {})
    made = shlex.split(DOCKERFILE)

    assert config.queue.database == "/var/lib/gigq/gigq.db"
    assert "/var/lib/gigq" in made
    assert instruction("VOLUME") == ["/var/lib/gigq"]
    assert "/srv/app" in text
    assert "/srv/app/" in made
    assert config.log.file is None


@needs_namespaces
def test_a_daemon_of_another_container_starts_no_job_that_runs_while_the_locks_are_deleted(daemons):
    daemon = daemons({"pools.default.size": 1})
    write_queue = daemon.home / "go"
    job_id = daemon.submit(jobs.wait_for_file, "job", {"path": str(write_queue)}, max_attempts=2)
    daemon.wait_for_calls("job")
    shutil.rmtree(daemon.runtime_files.directory)
    shutil.rmtree(f"{daemon.database}.gigq")
    run = [sys.executable, "-m", "gigqd", "--config", str(daemon.config_path), "run"]
    with subprocess.Popen(
        [*APART, *run], env=daemon.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as second:
        wait_until(lambda: daemon.events("place_taken"), 30.0)
        write_queue.touch()
        code = daemon.wait_for_exit(30)
        job = daemon.wait_for_job(job_id)
        second.kill()

    assert code == exit_codes.ALREADY_RUNNING
    assert (job["status"], len(job["executions"])) == ("completed", 1)
    assert len(daemon.calls("job")) == 1
