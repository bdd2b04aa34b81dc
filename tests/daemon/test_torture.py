"""A short torture run on each kind of database; `make torture` makes longer ones."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support import postgres
from support.tree import ROOT

pytestmark = pytest.mark.daemon

SEED = 1


@pytest.fixture(params=["sqlite", "postgres"])
def database(request):
    """What the run has: a file, a server of its own, or a database of the server that is given.

    It looks at the sessions of its database, so no other test may have one there.
    """
    if request.param == "sqlite" or postgres.SERVER not in os.environ:
        yield request.param
        return
    with postgres.fresh_database() as address:
        yield address


@pytest.mark.long
@pytest.mark.parametrize("seconds", [6, pytest.param(60, marks=pytest.mark.soak)])
@pytest.mark.fault("J1")
def test_a_tortured_daemon_breaks_no_promise(tmp_path, database, seconds):
    paths = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
    plan = ["--seed", str(SEED), "--duration", str(seconds), "--home", str(tmp_path / "run")]

    done = subprocess.run(
        [sys.executable, "-m", "torture", "--database", database, *plan],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "OK: " in done.stdout
