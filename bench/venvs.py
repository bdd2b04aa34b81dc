"""An environment for each queue, made once and kept, and where they are kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.protocol import Peer

HERE = Path(__file__).parent
INSTALL_SECONDS = 600.0
_NEWER = 4


class CannotBeMeasured(Exception):  # noqa: N818 - it reads as what it says
    """A queue or its server is not to be had here; the text is the reason for the table."""


def cache() -> Path:
    """Where environments and servers are kept: $GIGQ_BENCH_CACHE, else bench/.cache."""
    folder = Path(os.environ.get("GIGQ_BENCH_CACHE") or HERE / ".cache").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def python_of(peer: Peer) -> str:
    """The interpreter of the environment in which a queue is installed, making it when needed."""
    if not peer.requires:
        return sys.executable
    return _made(peer.name, peer.requires, _interpreter(peer.python))


def plotting() -> str:
    """The interpreter of the environment that draws."""
    return _made("plot", ("matplotlib==3.11.2",), sys.executable)


def _interpreter(oldest: tuple[int, int] | None) -> str:
    """This interpreter, or a newer one on the PATH for a queue that needs one."""
    if oldest is None or sys.version_info >= oldest:
        return sys.executable
    for minor in range(oldest[1], oldest[1] + _NEWER):
        found = shutil.which(f"python{oldest[0]}.{minor}")
        if found and _starts(found):
            return found
    raise CannotBeMeasured(f"needs Python {oldest[0]}.{oldest[1]} on the PATH")


def _starts(interpreter: str) -> bool:
    """Whether it does: a version manager may have a program for a version that is not active."""
    command = [interpreter, "-c", ""]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _made(name: str, requires: tuple[str, ...], interpreter: str) -> str:
    folder = cache() / "venvs" / name
    stamp, wanted = folder / "installed", "\n".join(requires)
    python = str(folder / "bin" / "python")
    if stamp.exists() and stamp.read_text() == wanted and Path(python).exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    _run([interpreter, "-m", "venv", str(folder)])
    _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requires])
    stamp.write_text(wanted)
    return python


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CannotBeMeasured(f"{command[-1]}: not installed after {error.timeout:g} s") from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        ended = f"{command[-1]}: not installed, exit code {done.returncode}"
        raise CannotBeMeasured(errors[-1] if errors else ended)


def library() -> Path:
    """A folder from which `bench` can be imported, and no other package of this project."""
    folder = cache() / "lib"
    folder.mkdir(exist_ok=True)
    link = folder / "bench"
    if not link.is_symlink() or link.resolve() != HERE:
        link.unlink(missing_ok=True)
        link.symlink_to(HERE)
    return folder
