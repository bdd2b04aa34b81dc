"""What went wrong with places and the starting program elsewhere, from public bug reports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from support import jobs
from support import jobs_of_field_reports as reports
from support.configs import clean_environment, to_toml
from support.daemon import TESTS
from support.user_without_entry import NAMELESS, place_of
from support.waiting import wait_until

from gigq import Job, JobQueue
from gigqd import exit_codes

pytestmark = pytest.mark.daemon

ONE = {"pools.default.size": 1}
MANY = 400
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount and change accounts")


def run(daemon, function):
    """What became of one job."""
    return daemon.wait_for_job(daemon.queue.submit(Job(function.__name__, function)))


# --- the program that starts it ---------------------------------------------------------------


@pytest.fixture
def started_by(tmp_path):
    """A function that makes an interpreter which another program, of some lines, has started."""

    def make(lines):
        path = tmp_path / "interpreter"
        path.write_text(
            f"#!{sys.executable}\nimport os, signal, sys\n{lines}\n"
            "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
        )
        path.chmod(0o755)
        return str(path)

    return make


BLOCKS = "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())"
IGNORES = "signal.signal(signal.SIGCHLD, signal.SIG_IGN)"


def test_a_daemon_whose_starter_has_blocked_all_signals_is_stopped_by_term(daemons, started_by):
    """ralphlange/procServ#48: what it started had TERM blocked, and could only be killed."""
    daemon = daemons(ONE, start=False)
    daemon.interpreter = started_by(BLOCKS)

    daemon.start()
    assert run(daemon, reports.require_a_command)["status"] == "failed"
    daemon.signal(signal.SIGTERM)

    assert daemon.wait_for_exit() == exit_codes.OK


def test_a_start_by_a_program_that_ignores_its_children_is_a_start(launched, started_by):
    """util-linux/util-linux#4014: with SIGCHLD ignored, waitpid(2) failed for a live child."""
    daemon = launched(ONE)
    command = [started_by(IGNORES), "-m", "gigqd", "--config", str(daemon.config_path), "start"]

    done = subprocess.run(command, env=daemon.environment, capture_output=True, timeout=60)

    assert (done.returncode, done.stderr) == (exit_codes.OK, b"")
    assert run(daemon, reports.require_a_command)["status"] == "failed"


@pytest.mark.parametrize("inherited", [BLOCKS, IGNORES], ids=["blocked", "ignored"])
def test_a_plain_worker_sees_that_a_command_of_its_job_has_failed(tmp_path, started_by, inherited):
    """baskerville/bspwm#1534: its programs ignored SIGCHLD, and no exit code reached them."""
    queue = JobQueue(tmp_path / "jobs.db")
    job_id = queue.submit(Job("backup", reports.require_a_command, max_attempts=1))
    command = [started_by(inherited), "-m", "gigq", "--db", str(queue.db_path), "worker"]
    environment = clean_environment() | {"PYTHONPATH": str(TESTS)}

    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as worker:
        try:
            wait_until(lambda: queue.get_status(job_id)["completed_at"])
            worker.terminate()
            code = worker.wait(30)
        finally:
            worker.kill()

    assert queue.get_status(job_id)["status"] == "failed"
    assert code == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_as_soon_as_the_pid_is_known_does_not_end_the_start(daemons, number):
    """hashicorp/vault#27100: a reload right after the start killed it."""
    daemon = daemons(ONE, start=False)
    command = [sys.executable, "-m", "gigqd", "--config", str(daemon.config_path), "run"]

    with subprocess.Popen(command, env=daemon.environment, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(daemon.runtime_files.pid_path.exists)
            process.send_signal(number)
            wait_until(lambda: daemon.command("status").returncode == exit_codes.OK, 30.0)
            assert run(daemon, os.getpid)["result"] != process.pid
            process.terminate()
            code = process.wait(30)
        finally:
            process.kill()

    assert code == exit_codes.OK


@pytest.fixture
def stopping(launched):
    """A daemon that stops as soon as the file `go` in its home lets a job end."""
    daemon = launched({**ONE, "daemon.stop_timeout": 30})
    assert daemon.command("start").returncode == exit_codes.OK
    daemon.submit(jobs.wait_for_file, "a", {"path": str(daemon.home / "go")})
    daemon.wait_for_calls("a")
    os.kill(daemon.status()["pid"], signal.SIGTERM)
    wait_until(lambda: daemon.status()["state"] == "stopping")
    yield daemon
    (daemon.home / "go").touch()


def test_a_start_waits_for_the_daemon_that_is_stopping(stopping):
    """gitlabhq/gitlab-recipes#77: started before the stop was over, and then nothing ran."""
    first = stopping.status()["pid"]
    command = [sys.executable, "-m", "gigqd", "--config", str(stopping.config_path), "start"]

    with subprocess.Popen(command, env=stopping.environment, stderr=subprocess.PIPE) as start:
        with pytest.raises(subprocess.TimeoutExpired):
            start.wait(3)
        (stopping.home / "go").touch()
        said = start.communicate(timeout=60)[1]

    assert (start.returncode, said) == (exit_codes.OK, b"")
    assert stopping.status()["pid"] != first


def test_a_start_does_not_wait_for_it_longer_than_it_may(stopping):
    """gitlabhq/gitlab-recipes#77: and a stop may take its time."""
    done = stopping.command("start", "--wait", "0.1")

    assert done.returncode == exit_codes.FAILED
    assert "still stopping after 0.1 s; none was started" in done.stderr


# --- variables ---------------------------------------------------------------------------------


def test_a_time_zone_of_the_configuration_holds_in_the_workers(daemons):
    """meeb/tubesync#462: TZ was set, and the times of tasks were UTC all the same."""
    daemon = daemons({**ONE, "code.environment.TZ": "FLD-5"}, start=False)
    daemon.start(TZ="UTC")

    assert run(daemon, reports.zone)["result"] == ["FLD", "FLD"]


def test_a_variable_that_comes_too_late_for_the_workers_is_a_warning(daemons):
    """airflow-helm/charts#106: PYTHONPATH of the settings did not arrive, other variables did."""
    daemon = daemons(start=False)
    (daemon.home / "env").write_text("LD_LIBRARY_PATH=/opt/lib\nPYTHONUNBUFFERED=1\n")
    daemon.configure({"code.environment_file": "env", "code.environment.PYTHONPATH": "/opt/app"})

    checked = daemon.command("check").stdout.splitlines()
    late = [line for line in checked if "has no effect in the workers" in line]

    assert [line.split()[1] for line in late] == ["LD_LIBRARY_PATH", "PYTHONPATH"]
    assert late[1].endswith("set code.python_path")


# --- accounts and file systems -------------------------------------------------------------------


@only_root
def test_an_account_without_a_name_runs_a_daemon(tmp_path):
    """goauthentik/authentik#4098: gunicorn did not start under a user id without an entry."""
    with place_of(tmp_path) as gigqd:
        commands = "check --db --import", "start", "status", "reload --wait"
        done = [gigqd(*words.split()) for words in commands]
        queue = JobQueue(tmp_path / "jobs.db")
        job_id = queue.submit(Job("pid", os.getuid))
        wait_until(lambda: queue.get_status(job_id)["completed_at"])
        done.append(gigqd("stop"))

    assert [each.returncode for each in done] == [0] * 5, done
    assert queue.get_status(job_id)["result"] == int(NAMELESS)


@only_root
def test_an_account_without_a_name_is_named_by_its_number_in_the_refusal(tmp_path):
    """fedora-infra/koschei#282: an error of OpenShift's user ids hid all others."""
    (tmp_path / "closed").mkdir(mode=0o755)
    settings = {"queue.database": "closed/jobs.db"}
    with place_of(tmp_path, settings) as gigqd:
        checked, started = gigqd("check", "--db"), gigqd("start")

    assert (checked.returncode, started.returncode) == (exit_codes.NOT_PERMITTED,) * 2
    assert f"user id {NAMELESS} cannot write in {tmp_path}/closed" in checked.stderr
    assert f"{tmp_path}/closed" in started.stderr


@only_root
def test_a_group_may_be_set_for_an_account_without_a_name(tmp_path):
    """sclorg/s2i-python-container#247: the name of the user was asked for and never needed."""
    with place_of(tmp_path, {"daemon.group": "root"}, group="0") as gigqd:
        started = gigqd("start")

    assert started.returncode == exit_codes.OK, started.stderr


READ_ONLY = """
mount --make-rprivate / && mount --bind "$1" "$1" && mount -t tmpfs -o ro none /dev/shm || exit 1
for place in $(awk '{print $5}' /proc/self/mountinfo | grep -vE "^(/proc|/sys|/dev|$1)"); do
    mount -o remount,ro,bind "$place" 2>/dev/null
done
cd "$1" && shift && exec "$@"
"""
COMMANDS = """
import subprocess, sys
from support import jobs_of_field_reports as reports
from support.waiting import wait_until
from gigq import Job, JobQueue

def gigqd(*words):
    subprocess.run([sys.executable, "-m", "gigqd", "--config", "gigq.toml", *words], check=True)

gigqd("check", "--db", "--import")
gigqd("start")
queue = JobQueue("jobs.db")
job_id = queue.submit(Job("places", reports.writable_places))
wait_until(lambda: queue.get_status(job_id)["completed_at"])
gigqd("reload", "--wait")
gigqd("status")
gigqd("stop")
print(queue.get_status(job_id)["result"])
"""


@only_root
def test_it_runs_where_only_the_folder_of_the_queue_can_be_written(tmp_path):
    """benoitc/gunicorn#2859: it did not start without a folder for temporary files."""
    keys = {"daemon.runtime_dir": "run", "queue.database": "jobs.db", "log.file": "jobs.log"}
    text = to_toml({**keys, "code.python_path": [str(TESTS)], **ONE})
    (tmp_path / "gigq.toml").write_text(text)
    command = ["sh", "-c", READ_ONLY, "sh", str(tmp_path), sys.executable, "-c", COMMANDS]

    done = subprocess.run(
        ["unshare", "--mount", *command],
        env=clean_environment() | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=90,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
