"""The application whose jobs run in the container."""

import errno
import os
import subprocess
import time
from pathlib import Path

OTHERS = Path("/srv/app/of-another-account")


def whoami() -> dict[str, object]:
    """Print who runs this, where, and what of the service manager's variables it sees."""
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


CONFINED = {"chown": "EPERM", "owner of another account's file": 65534}


def reach() -> dict[str, object]:
    """Return what a job gets when it wants more than an ordinary one."""
    mine = Path("/var/lib/gigq/mine")
    mine.touch()
    try:
        os.chown(mine, os.getuid(), os.getgid())
        refused = None
    except OSError as error:
        refused = errno.errorcode[error.errno or 0]
    return {"chown": refused, "owner of another account's file": OTHERS.stat().st_uid}
