"""A short torture run on three hosts; `make torture-hosts` makes longer ones."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support.tree import ROOT
from torture.hosts.namespaces import are_possible

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.root,
    pytest.mark.skipif(
        not are_possible(), reason="this account may not make namespaces with a network here"
    ),
]

SEED = 1
SECONDS = 20


@pytest.mark.fault("J6")
def test_daemons_on_three_hosts_break_no_promise(tmp_path):
    paths = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
    plan = ["--seed", str(SEED), "--duration", str(SECONDS), "--home", str(tmp_path / "run")]

    done = subprocess.run(
        [sys.executable, "-m", "torture.hosts", *plan],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=280,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "OK: " in done.stdout
