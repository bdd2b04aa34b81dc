"""The forked interpreters in which tests run commands."""

import os
import subprocess
import sys
from pathlib import Path

from gigq import __version__

TESTS = Path(__file__).resolve().parents[1]
RUNS_GIGQD = """
import os
from support import fork_server
done = fork_server.run("gigqd", ["--version"], folder="/", environment=os.environ)
fork_server.close()
print(done.returncode, done.stdout + done.stderr)
"""


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
