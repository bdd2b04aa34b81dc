"""gigqd under a user id that has no entry in /etc/passwd, as in many containers."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager

from support.configs import to_toml
from support.daemon import TESTS
from support.files import open_up
from support.other_user import SEARCH_PATH, interpreter_for

NAMELESS = "54321"


@contextmanager
def place_of(path, settings=None, *, group=NAMELESS):
    """A folder of an account without a name, with a configuration; a function that runs gigqd."""
    open_up(path)
    path.chmod(0o755)
    os.chown(path, int(NAMELESS), int(NAMELESS))
    keys = {"daemon.runtime_dir": "run", "queue.database": "jobs.db", "log.file": "jobs.log"}
    text = to_toml(
        {**keys, "code.python_path": [str(TESTS)], "pools.default.size": 1, **(settings or {})}
    )
    (path / "gigq.toml").write_text(text)
    become = ["setpriv", f"--reuid={NAMELESS}", f"--regid={group}", "--clear-groups"]
    interpreter = interpreter_for(NAMELESS)

    def gigqd(*words):
        command = [*become, interpreter, "-m", "gigqd", "--config", str(path / "gigq.toml"), *words]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": SEARCH_PATH}
        return subprocess.run(
            command, cwd=path, env=environment, capture_output=True, text=True, timeout=60
        )

    try:
        yield gigqd
    finally:
        gigqd("stop", "--now")
