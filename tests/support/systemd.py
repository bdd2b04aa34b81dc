"""systemd's own judgement of a unit."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed"
)

_WITH_A_TMP = ["unshare", "-Urm", "sh", "-c", 'mount -t tmpfs none /tmp && exec "$@"', "sh"]


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze, which works in /tmp only.

    Where this account may not write there, it gets a /tmp in a mount namespace of its own.
    """
    command = ["systemd-analyze", *map(str, arguments)]
    if not os.access("/tmp", os.W_OK):
        if subprocess.run([*_WITH_A_TMP, "true"], capture_output=True, check=False).returncode:
            pytest.skip("this account may not write in /tmp and may not make a mount namespace")
        command = [*_WITH_A_TMP, *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
