"""The application whose jobs run in the container."""

import os
import subprocess
import time
from pathlib import Path


def whoami() -> dict[str, object]:
    """Tell who runs this, where, and what of the service manager's variables it sees."""
    names = [name for name in os.environ if name.startswith(("NOTIFY", "WATCHDOG", "INVOCATION"))]
    return {"uid": os.getuid(), "gid": os.getgid(), "cwd": str(Path.cwd()), "leaked": names}


def sleep(seconds: float) -> str:
    """Sleep."""
    time.sleep(seconds)
    return "slept"


def family() -> None:
    """Sleep with a child in a session of its own."""
    subprocess.Popen(["sleep", "3600"], start_new_session=True)
    time.sleep(3600)
