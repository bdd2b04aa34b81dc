"""The forked interpreters in which tests run commands."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from support import fork_server
from support.configs import clean_environment
from support.waiting import wait_until

from gigq import __version__

TESTS = Path(__file__).resolve().parents[1]
RUNS_GIGQD = """
import os
from support import fork_server
done = fork_server.run("gigqd", ["--version"], folder="/", environment=os.environ)
fork_server.close()
print(done.returncode, done.stdout + done.stderr)
"""


def test_most_commands_of_this_run_can_be_forked():
    assert fork_server.serves(clean_environment())


def test_gigqd_runs_below_tests_that_were_given_hardly_any_environment():
    done = subprocess.run(
        [sys.executable, "-c", RUNS_GIGQD],
        cwd=TESTS,
        env={"PATH": os.defpath},
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout.split() == ["0", "gigqd", __version__]


@pytest.mark.parametrize(
    ("text", "code", "printed"),
    [
        ("print('done')", 0, "done\n"),
        ("import sys; sys.exit()", 0, ""),
        ("import sys; sys.exit(259)", 3, ""),
        ("import sys; sys.exit('wrong')", 1, ""),
        ("1 / 0", 1, ""),
        ("import os; os.kill(os.getpid(), 9)", -9, ""),
        ("import atexit; atexit.register(print, 'last'); print('first')", 0, "first\nlast\n"),
        ("import threading as t; t.Timer(0.05, print, ['late']).start()", 0, "late\n"),
    ],
)
def test_a_copy_ends_as_python_does(text, code, printed):
    copy = fork_server.run("-c", [text], folder="/", environment=os.environ)
    fresh = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)

    assert (copy.returncode, copy.stdout) == (fresh.returncode, fresh.stdout) == (code, printed)
    assert copy.stderr.splitlines()[-1:] == fresh.stderr.splitlines()[-1:]


def test_a_command_that_goes_on_has_a_group_of_its_own_and_ends_by_a_signal(tmp_path):
    text = "import os, time; print(os.getpgid(0), flush=True); time.sleep(60)"
    log = tmp_path / "log"
    process = fork_server.start("-c", [text], folder=tmp_path, environment=os.environ, log=log)
    printed = wait_until(log.read_text)
    before = process.poll()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.send_signal(signal.SIGTERM)

    assert (before, process.wait(30), process.poll()) == (None, -15, -15)
    assert printed == f"{process.pid}\n"
    process.send_signal(signal.SIGTERM)


def test_the_exit_code_is_known_as_soon_as_the_process_has_ended(tmp_path):
    for number in range(20):
        log = tmp_path / f"log{number}"
        process = fork_server.start("-c", ["3"], folder=tmp_path, environment=os.environ, log=log)
        wait_until(lambda pid=process.pid: not psutil.pid_exists(pid))

        assert process.poll() == 0
