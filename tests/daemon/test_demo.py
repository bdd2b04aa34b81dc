"""The demo itself, run as a person would run it, on fewer files."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest
from support.tree import ROOT
from support.waiting import wait_until

pytestmark = pytest.mark.daemon

DEMO = [sys.executable, str(ROOT / "examples/demo.py")]


@pytest.fixture
def folder(tmp_path):
    """Where the demo makes its temporary folder; nothing may live there afterwards."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    yield folder
    assert processes_below(folder) == []


def processes_below(folder):
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            place = f"{process.cwd()} {process.cmdline()}"
            found += [place] * (str(folder) in place)
    return found


def files_of_examples():
    """The files of the examples, without compiled ones: whichever test is first makes those."""
    found = set((ROOT / "examples").rglob("*"))
    return {path for path in found if "__pycache__" not in path.parts}


def environment(folder):
    return os.environ | {"TMPDIR": str(folder), "COLUMNS": "80"}


def perform(folder, *options):
    return subprocess.run(
        [*DEMO, "--small", *options],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_the_demo_succeeds_and_leaves_nothing_behind(folder):
    before = files_of_examples()
    done = perform(folder)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every check passed." in done.stdout
    assert "did not end and was killed" in done.stdout
    assert "\x1b" not in done.stdout
    times = [float(time) for time in re.findall(r"^ *(\d+\.\d) s  ", done.stdout, re.MULTILINE)]
    assert times == sorted(times)
    tables = [line for line in done.stdout.splitlines() if str(folder) not in line]
    assert max(map(len, tables)) <= 80
    assert list(folder.iterdir()) == []
    assert files_of_examples() == before


def test_the_demo_fails_says_what_is_wrong_and_keeps_the_log(folder):
    done = perform(folder, "--miscount", "1")
    (log,) = folder.iterdir()

    assert done.returncode == 1
    assert "FAILED: index: functions\n" in done.stdout
    assert f"The daemon's log is kept: {log}" in done.stderr
    assert '"event": "daemon_stopped"' in log.read_text()


def test_a_worker_that_is_being_replaced_counts(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    daemon = importlib.import_module("backstage.daemon")
    names = {"default/0": 11, "default/1": None, "default/canary": 12}
    slots = [{"role": "worker", "slot": name, "pid": pid} for name, pid in names.items()]
    recorder = {"role": "recorder", "slot": "recorder", "pid": 13}

    assert daemon.pool_size({"slots": [recorder, *slots]}) == 2


def test_ctrl_c_on_a_terminal_ends_the_demo_in_good_order(folder):
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    # A session without a terminal takes the first one that it opens.
    attach = 'exec "$0" "$@" <"$TERMINAL" >"$TERMINAL" 2>&1'
    demo = subprocess.Popen(
        ["sh", "-c", attach, *DEMO],
        env=environment(folder) | {"TERMINAL": os.ttyname(theirs), "TERM": "xterm"},
        start_new_session=True,
    )
    shown = bytearray()

    def shows(text):
        with suppress(BlockingIOError):
            shown.extend(os.read(ours, 65536))
        return text in shown

    try:
        wait_until(lambda: shows(b"running"), 60, why="the progress line")
        os.write(ours, b"\x03")
        wait_until(lambda: shows(b"left behind"), 60, why="the summary")
        demo.wait(60)
    finally:
        demo.kill()
        demo.wait()
        os.close(ours)
        os.close(theirs)

    assert demo.returncode == 128 + signal.SIGINT
    assert b"interrupted by SIGINT; nothing is left behind" in shown
    assert b"\r\x1b[K" in shown
    assert list(folder.iterdir()) == []
