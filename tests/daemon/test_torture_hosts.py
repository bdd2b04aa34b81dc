"""A short torture run on three hosts; `make torture-hosts` makes longer ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from guards import read_guards
from support.faketime import needs_faketime
from support.tree import ROOT
from torture.hosts.namespaces import are_possible

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.root,
    needs_faketime,
    pytest.mark.skipif(
        not are_possible(), reason="this account may not make namespaces with a network here"
    ),
]

SEED = 1
CHECK = "running jobs are ended before the lease is over"


def tortured(tree, home, seconds):
    """Make a run of the code in a folder."""
    paths = os.pathsep.join([str(tree / "tests"), str(tree)])
    plan = ["--seed", str(SEED), "--duration", str(seconds), "--home", str(home)]
    return subprocess.run(
        [sys.executable, "-m", "torture.hosts", *plan],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.mark.long
@pytest.mark.parametrize("seconds", [12, pytest.param(60, marks=pytest.mark.soak)])
@pytest.mark.fault("J6")
def test_daemons_on_three_hosts_break_no_promise(tmp_path, seconds):
    done = tortured(ROOT, tmp_path / "run", seconds)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "OK: " in done.stdout


@pytest.mark.soak
def test_jobs_overlap_when_supervisors_do_not_look_at_the_lease(tmp_path):
    for name in ("gigq", "gigqd", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (guard,) = [one for one in read_guards() if one.name == CHECK]
    file = tmp_path / guard.file
    file.write_text(guard.taken_out(file.read_text()))

    done = tortured(tmp_path, tmp_path / "run", 100)

    assert done.returncode == 1, done.stdout + done.stderr
    assert "VIOLATION overlapping: " in done.stdout
