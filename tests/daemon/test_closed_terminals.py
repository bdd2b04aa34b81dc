"""A closed terminal ends the daemon that is attached to it in good order; any other HUP reloads."""

from __future__ import annotations

import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress

import pytest
from support import jobs
from support.waiting import wait_until

pytestmark = pytest.mark.daemon


def take_terminal(side, *, nohup=False):
    """Make a terminal this process's own, as a shell's is."""
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(side, termios.TIOCSCTTY, 0)
    if nohup:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


class Attached:
    """`gigqd run` on a terminal of its own, or in a shell's background there; its log in a file."""

    def __init__(self, daemon, *, shell=None, **terminal):
        self._log = daemon.home / "log"
        self._terminal, side = pty.openpty()
        command = [sys.executable, "-m", "gigqd", "--config", str(daemon.config_path), "run"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                shell or command,
                env=daemon.environment,
                stdin=side,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL if shell else log,
                preexec_fn=lambda: take_terminal(side, **terminal),  # noqa: PLW1509
            )
        os.close(side)
        if shell:
            line = f"{shlex.join(command)} 2> {shlex.quote(str(self._log))} &\n"
            os.write(self._terminal, line.encode())

    def close_terminal(self):
        os.close(self._terminal)
        self._terminal = None

    def logged(self, event):
        return f'"event": "{event}"'.encode() in self._log.read_bytes()

    def end(self):
        if self._terminal is not None:
            self.close_terminal()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(15)


@contextmanager
def attached(daemon, **options):
    run = Attached(daemon, **options)
    try:
        wait_until(lambda: run.logged("daemon_ready"))
        yield run
    finally:
        run.end()
        if daemon.runtime_files.running():  # what a shell has started
            daemon.command("stop", "--now")


@pytest.mark.fault("B16")
def test_a_closed_terminal_ends_its_daemon_in_good_order(daemons):
    daemon = daemons({"pools.default.size": 1}, start=False)
    path = daemon.home / "go"
    job_id = daemon.submit(jobs.wait_for_file, "long", {"path": str(path)})

    with attached(daemon) as run:
        daemon.wait_for_calls("long")
        run.close_terminal()
        wait_until(lambda: run.logged("drain_started"))
        path.touch()
        code = run.process.wait(15)

    assert code == 0
    assert run.logged("terminal_closed")
    assert not run.logged("reload_applied")
    job = daemon.job(job_id)
    assert (job["status"], job["attempts"]) == ("completed", 1)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash passes a hangup on to its jobs")
def test_a_shell_that_passes_the_hangup_on_ends_its_daemon_too(daemons):
    daemon = daemons({"pools.default.size": 1}, start=False)

    with attached(daemon, shell=["bash", "--norc", "-i"]) as run:
        running = daemon.runtime_files.running()
        run.close_terminal()
        wait_until(lambda: run.logged("daemon_stopped"))

    assert running.pid != run.process.pid
    assert run.logged("terminal_closed")


@pytest.mark.fault("B16")
def test_a_hangup_from_elsewhere_reloads_a_daemon_on_a_terminal(daemons):
    daemon = daemons({"pools.default.size": 1}, start=False)

    with attached(daemon) as run:
        run.process.send_signal(signal.SIGHUP)
        wait_until(lambda: run.logged("reload_applied"))
        alive = run.process.poll() is None
        run.process.send_signal(signal.SIGTERM)
        code = run.process.wait(15)

    assert alive
    assert code == 0
    assert not run.logged("terminal_closed")


def test_nohup_keeps_a_daemon_whose_terminal_is_closed(daemons):
    daemon = daemons({"pools.default.size": 1}, start=False)

    with attached(daemon, nohup=True) as run:
        run.close_terminal()
        with suppress(ProcessLookupError):
            run.process.send_signal(signal.SIGHUP)
        wait_until(lambda: run.logged("reload_applied"))
        alive = run.process.poll() is None
        run.process.send_signal(signal.SIGTERM)
        code = run.process.wait(15)

    assert alive
    assert code == 0
