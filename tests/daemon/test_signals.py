"""Signals to the supervisor at any moment: each means what it should, and none is too many."""

from __future__ import annotations

import itertools
import os
import pty
import signal
import subprocess
import time

import pytest
from support import jobs
from support.waiting import wait_until

pytestmark = pytest.mark.daemon

NOISE = (signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)


def run(daemon, **options):
    """`gigqd run` beside the fixture's own runs, its log in a pipe."""
    return subprocess.Popen(
        [daemon.interpreter, "-m", "gigqd", "--config", str(daemon.config_path), "run"],
        env=daemon.environment,
        **options,
    )


@pytest.mark.fault("B1")
@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_a_storm_of_signals_loses_no_job(daemons, count):
    daemon = daemons()
    ids = [daemon.submit(jobs.sleep_py, f"job-{n}", {"seconds": 0.01}) for n in range(60)]

    for number in itertools.islice(itertools.cycle(NOISE), count):
        daemon.signal(number)
    for job_id in ids:
        daemon.wait_for_job(job_id, "completed", within=60)

    assert len(daemon.calls()) == len(ids)
    assert daemon.events("log_reopened")
    assert daemon.status()["state"] == "running"


@pytest.mark.fault("B2")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_an_idle_daemon_ends_at_once(daemons, number):
    daemon = daemons({"daemon.stop_timeout": 600})

    daemon.signal(number)

    assert daemon.wait_for_exit(10) == 0


@pytest.mark.long
@pytest.mark.fault("B3")
@pytest.mark.parametrize("starts", [16, pytest.param(200, marks=pytest.mark.soak)])
def test_a_term_at_any_moment_of_a_start_ends_it(daemons, starts):
    daemon = daemons({"daemon.stop_timeout": "2s"}, start=False)
    whole, code = time_of_a_whole_start(daemon)
    codes = [code]

    for number in range(starts):
        with run(daemon, stderr=subprocess.DEVNULL) as process:
            moment = time.monotonic() + whole * number / starts
            wait_until(lambda moment=moment: time.monotonic() >= moment)
            process.send_signal(signal.SIGTERM)
            codes.append(process.wait(15))
        wait_until(lambda: not daemon.tagged_pids(), 2.0, why=f"start {number}: nothing is left")

    assert set(codes) <= {0, -signal.SIGTERM}
    assert daemon.runtime_files.running() is None
    assert 0 in codes


def time_of_a_whole_start(daemon):
    """How long a start takes now, in seconds, and the code that it ends with on a TERM."""
    begun = time.monotonic()
    with run(daemon, stderr=subprocess.DEVNULL) as process:
        wait_until(daemon.runtime_files.socket_path.exists, 60)
        whole = time.monotonic() - begun
        process.send_signal(signal.SIGTERM)
        return whole, process.wait(60)


@pytest.mark.fault("B4")
def test_a_stop_while_workers_boot_starts_no_further_one(daemons, tmp_path):
    (tmp_path / "slow.py").write_text(
        "import os, pathlib, time\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "try:\n"
        "    (folder / 'first').mkdir()\n"
        "except FileExistsError:\n"
        "    (folder / f'slow-{os.getpid()}').touch()\n"
        "    time.sleep(600)\n"
    )
    daemon = daemons(
        {
            "code.python_path": [str(tmp_path)],
            "code.imports": ["slow"],
            "pools.default.size": 3,
            "daemon.stop_timeout": "1s",
        },
        start=False,
    )
    daemon.start(all_workers=False)
    wait_until(lambda: len(list(tmp_path.glob("slow-*"))) == 2)

    daemon.signal(signal.SIGTERM)

    assert daemon.wait_for_exit() == 0
    lines = [line["event"] for line in daemon.log()]
    assert "worker_spawned" not in lines[lines.index("drain_started") :]


@pytest.mark.fault("B5")
def test_a_worker_that_ignores_a_term_is_held_to_its_jobs_limit(daemons):
    daemon = daemons({"pools.default.size": 1, "pools.default.timeout_grace": 0})
    (idle,) = daemon.worker_pids()
    os.kill(idle, signal.SIGTERM)
    wait_until(lambda: (pids := daemon.worker_pids()) and idle not in pids)
    deaf = daemon.submit(jobs.ignore_signals, "deaf", timeout=1, max_attempts=1)
    (call,) = daemon.wait_for_calls("deaf")

    os.kill(call.pid, signal.SIGTERM)

    assert daemon.wait_for_job(deaf)["status"] == "timeout"
    assert daemon.wait_for_job(daemon.submit(jobs.ok, "after"))["status"] == "completed"


@pytest.mark.fault("B6")
def test_a_second_interrupt_a_while_later_cuts_the_jobs_short(daemons):
    daemon = daemons({"daemon.stop_timeout": 600})
    job_id = daemon.submit(jobs.sleep_c, "long", timeout=600)
    daemon.wait_for_calls("long")

    daemon.signal(signal.SIGINT)
    daemon.signal(signal.SIGINT)
    began = daemon.wait_for_event("drain_started")
    later = time.monotonic() + 1.1
    wait_until(lambda: time.monotonic() > later)
    alive = daemon.alive
    daemon.signal(signal.SIGINT)

    assert began["busy"] == 1
    assert alive
    assert daemon.wait_for_exit() == 0
    assert (daemon.job(job_id)["status"], daemon.job(job_id)["attempts"]) == ("pending", 0)


@pytest.mark.fault("B7")
def test_a_stop_while_a_reload_is_tried_wins(daemons, tmp_path):
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(600)\n")
    daemon = daemons({"daemon.stop_timeout": "1s"})
    daemon.configure({"code.python_path": [str(tmp_path)], "code.imports": ["slow"]})
    reload = subprocess.Popen(
        [daemon.interpreter, "-m", "gigqd", "--config", str(daemon.config_path), "reload"],
        env=daemon.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: any("canary" in slot["slot"] for slot in daemon.slots()))

    stop = daemon.command("stop")
    _, errors = reload.communicate(timeout=20)

    assert stop.returncode == 0
    assert daemon.wait_for_exit() == 0
    assert reload.returncode != 0
    assert "stopping" in errors
    assert not daemon.events("reload_applied")


@pytest.mark.fault("B10")
def test_a_stopped_worker_keeps_neither_its_limit_nor_a_stop_from_their_end(daemons):
    daemon = daemons({"daemon.stop_timeout": "1s"})
    overrun = daemon.submit(jobs.sleep_py, "overruns", timeout=1, max_attempts=1)
    (first,) = daemon.wait_for_calls("overruns")
    os.kill(first.pid, signal.SIGSTOP)

    limited = daemon.wait_for_job(overrun)
    stopped = daemon.submit(jobs.sleep_py, "stopped", timeout=600)
    (second,) = daemon.wait_for_calls("stopped")
    os.kill(second.pid, signal.SIGSTOP)
    daemon.signal(signal.SIGTERM)

    assert limited["status"] == "timeout"
    assert daemon.wait_for_exit() == 0
    assert daemon.job(stopped)["status"] == "pending"


@pytest.mark.fault("B12")
def test_ctrl_c_on_a_terminal_does_not_reach_the_jobs(daemons):
    daemon = daemons({"pools.default.size": 4}, start=False)
    path = daemon.home / "go"
    ids = [daemon.submit(jobs.wait_for_file, f"job-{n}", {"path": str(path)}) for n in range(4)]
    terminal, side = pty.openpty()
    with (daemon.home / "log").open("wb") as log:
        process = run(
            daemon, stdin=side, stdout=log, stderr=log, preexec_fn=lambda: take_terminal(side)
        )
    os.close(side)
    wait_until(lambda: len(daemon.calls()) == 4)

    os.write(terminal, b"\x03")
    wait_until(lambda: b"drain_started" in (daemon.home / "log").read_bytes())
    path.touch()
    code = process.wait(15)
    os.close(terminal)

    assert code == 0
    assert [daemon.job(job_id)["status"] for job_id in ids] == ["completed"] * 4
    assert [daemon.job(job_id)["attempts"] for job_id in ids] == [1] * 4


def take_terminal(side):
    """Make a terminal this process's own, as a shell's is."""
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(side, termios.TIOCSCTTY, 0)
