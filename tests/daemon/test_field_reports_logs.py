"""What went wrong with log files elsewhere, from public bug reports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from support.user_without_entry import place_of
from support.waiting import wait_until

from gigq import Job, JobQueue
from gigqd import exit_codes

pytestmark = pytest.mark.daemon

ONE = {"pools.default.size": 1}
MANY = 400
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change accounts")


def run(daemon, function):
    """What became of one job."""
    return daemon.wait_for_job(daemon.queue.submit(Job(function.__name__, function)))


def deleted_logs(daemon):
    """The deleted files named like the log that a process of the daemon still has open."""
    links = []
    for pid in [daemon.pid, *(slot["pid"] for slot in daemon.status()["slots"])]:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed since the folder was listed
                links.append(str(entry.readlink()))
    return [link for link in links if "/jobs.log" in link and link.endswith("(deleted)")]


def test_a_deleted_log_takes_no_room_when_its_processes_have_nothing_to_write(daemons):
    """EnterpriseDB/repmgr#465: the rotated log was deleted, and still open in the idle daemon."""
    daemon = daemons(start=False)
    file = daemon.home / "jobs.log"
    daemon.configure({**ONE, "log.file": str(file), "log.jobs_per_second": 1})
    daemon.start()
    run(daemon, os.getpid)

    file.rename(daemon.home / "jobs.log.1")
    (daemon.home / "jobs.log.1").unlink()
    run(daemon, os.getpid)

    wait_until(lambda: deleted_logs(daemon) == [], 40.0)
    assert file.exists()


def test_two_daemons_that_rotate_one_log_lose_no_line(daemons):
    """makeabilitylab/makeabilitylabwebsite#1439: workers of gunicorn raced to rotate one file."""
    both = [daemons(start=False) for _ in range(2)]
    log = both[0].home / "jobs.log"
    settings = {"log.file": str(log), "log.max_size": "64KiB", "log.keep": 200}
    ids = []
    for daemon in both:
        daemon.configure({**ONE, **settings, "log.jobs_per_second": 0, "log.format": "json"})
        daemon.start()
    for daemon in both:
        batch = [Job(f"j{number}", os.getpid) for number in range(MANY)]
        ids += daemon.queue.submit_many(batch)
    for daemon in both:
        wait_until(lambda daemon=daemon: daemon.queue.stats()["completed"] == MANY, 60.0)
        daemon.stop()

    files = sorted(log.parent.glob("jobs.log*"))
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    found = Counter(line["job_id"] for line in lines if line["event"] == "job.completed")
    assert found == Counter(ids)
    numbers = {file.name.removeprefix("jobs.log").lstrip(".") for file in files}
    assert numbers == {"", *map(str, range(1, len(files)))}


def test_a_log_that_is_copied_and_cut_off_goes_on_at_its_beginning(daemons):
    """logrotate/logrotate#363: after `copytruncate` the log began with as many zero bytes."""
    daemon = daemons(start=False)
    file = daemon.home / "jobs.log"
    daemon.configure({**ONE, "log.file": str(file), "log.jobs_per_second": 0})
    daemon.start()
    run(daemon, os.getpid)

    os.truncate(file, 0)
    last = run(daemon, os.getpid)
    wait_until(lambda: last["id"] in file.read_text())

    assert all(json.loads(line) for line in file.read_text().splitlines())


def test_a_daemon_whose_log_no_process_reads_works_answers_and_stops(daemons):
    """aptible/supercronic#36: it stood still once the pipe of the container's log was full."""
    daemon = daemons({**ONE, "log.jobs_per_second": 0}, start=False)
    command = [sys.executable, "-m", "gigqd", "--config", str(daemon.config_path), "run"]

    with subprocess.Popen(command, env=daemon.environment, stderr=subprocess.PIPE) as process:
        try:
            batch = [Job(f"j{number}", os.getpid) for number in range(MANY)]
            daemon.queue.submit_many(batch)
            wait_until(lambda: daemon.queue.stats()["completed"] == MANY, 60.0)
            status = daemon.command("status")
            process.terminate()
            code = process.wait(30)
        finally:
            process.kill()

    assert (status.returncode, code) == (exit_codes.OK, exit_codes.OK)


# --- files and folders of root ---------------------------------------------------------------


def lines_of(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


@only_root
def test_a_log_that_was_created_for_another_account_is_named_in_the_renamed_one(tmp_path):
    """benoitc/gunicorn#346: all went on into the renamed log, and no word said why."""
    with place_of(tmp_path) as gigqd:
        assert gigqd("start").returncode == exit_codes.OK
        file, renamed = tmp_path / "jobs.log", tmp_path / "jobs.log.1"
        file.rename(renamed)
        file.touch(mode=0o600)
        queue = JobQueue(tmp_path / "jobs.db")
        queue.submit(Job("pid", os.getpid))
        wait_until(lambda: "log_reopen_failed" in renamed.read_text(), 40.0)
        os.kill(int((tmp_path / "run" / "gigqd.pid").read_text()), signal.SIGUSR1)
        wait_until(lambda: renamed.read_text().count("log_reopen_failed") >= 2)
        gigqd("stop")

    events = [line["event"] for line in lines_of(renamed)]
    assert "log_reopened" not in events
    assert events[-1] == "daemon_stopped"
    assert file.read_text() == ""


@only_root
def test_a_log_in_a_folder_where_it_cannot_be_renamed_is_a_warning(tmp_path):
    """lbryio/hub#60: each line that should have rotated the log failed with a traceback."""
    folder = tmp_path / "log"
    folder.mkdir(mode=0o755)
    (folder / "jobs.log").touch()
    os.chown(folder / "jobs.log", 54321, 54321)
    settings = {"log.file": "log/jobs.log", "log.max_size": "64KiB"}

    with place_of(tmp_path, settings) as gigqd:
        checked, started = gigqd("check"), gigqd("start")
        gigqd("stop")

    assert (checked.returncode, started.returncode) == (exit_codes.OK, exit_codes.OK)
    assert f"files in {folder} cannot be renamed" in checked.stdout
    warnings = [line for line in lines_of(folder / "jobs.log") if line["event"] == "config_warning"]
    assert any("cannot be renamed" in line["warning"] for line in warnings)


@only_root
@pytest.mark.parametrize("there", [True, False], ids=["a file of root", "a folder of root"])
def test_a_log_that_cannot_be_opened_is_found_by_the_check_as_by_the_start(tmp_path, there):
    """Supervisor/supervisor#1648: the log was left to root, and the next start had a traceback."""
    folder = tmp_path / "log"
    folder.mkdir(mode=0o755)
    if there:
        (folder / "jobs.log").touch(mode=0o600)

    with place_of(tmp_path, {"log.file": "log/jobs.log"}) as gigqd:
        checked, started = gigqd("check", "--db"), gigqd("start")

    sentence = f"cannot create log {folder}/jobs.log: Permission denied"
    assert (checked.returncode, started.returncode) == (exit_codes.CANNOT_CREATE,) * 2
    assert sentence in checked.stderr
    assert sentence in started.stderr
