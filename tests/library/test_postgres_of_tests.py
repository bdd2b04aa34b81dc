"""The PostgreSQL server of a run of the tests."""

import os
import subprocess
import sys
from pathlib import Path

from support import postgres

from gigq.model.ids import new_id

TESTS = Path(__file__).resolve().parents[1]
USES_THE_SERVER = """
import sys
from support import postgres
with postgres.fresh_schema(sys.argv[1]):
    pass
postgres.stop()
"""


def test_at_the_end_of_a_run_no_connection_is_open():
    name = f"test_{new_id().replace('-', '')}"
    done = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", "-c", USES_THE_SERVER, name],
        cwd=TESTS,
        env={**os.environ, postgres.SERVER: postgres.server()},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
