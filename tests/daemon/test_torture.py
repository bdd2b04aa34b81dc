"""A short torture run; `make torture` makes longer ones."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support.tree import ROOT

pytestmark = pytest.mark.daemon

SEED = 1
SECONDS = 10


@pytest.mark.fault("J1")
def test_a_tortured_daemon_breaks_no_promise(tmp_path):
    paths = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
    plan = ["--seed", str(SEED), "--duration", str(SECONDS), "--home", str(tmp_path / "run")]

    done = subprocess.run(
        [sys.executable, "-m", "torture", *plan],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "OK: " in done.stdout
