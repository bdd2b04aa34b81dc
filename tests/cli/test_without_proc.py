"""Commands in a root without /proc, as in the chroot of an image that is being built."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.configs import clean_environment
from support.tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

APART = ("unshare", "-rm", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")


def gigqd(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    if subprocess.run([*APART, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this account may not make a mount namespace")
    # The dynamic linker reads $ORIGIN, where relocatable builds look for libpython, from /proc.
    if subprocess.run(
        [*APART, sys.executable, "-c", ""], capture_output=True, check=False
    ).returncode:
        pytest.skip("this interpreter itself does not start without /proc")
    (folder / "gigq.toml").write_text('[queue]\ndatabase = "jobs.db"\n')
    return subprocess.run(
        [*APART, sys.executable, "-m", "gigqd", *words],
        cwd=folder,
        env=clean_environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    "words", [["check"], ["systemd", "unit"], ["config", "example"], ["--version"]], ids=" ".join
)
def test_commands_that_start_nothing_work(tmp_path: Path, words: list[str]) -> None:
    done = gigqd(tmp_path, *words)

    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert done.stdout


@pytest.mark.parametrize("command", ["start", "run", "restart"])
def test_a_start_is_refused_with_the_reason(tmp_path: Path, command: str) -> None:
    done = gigqd(tmp_path, command)

    assert done.returncode == 70
    assert done.stderr.startswith("gigqd: /proc is not mounted here")
