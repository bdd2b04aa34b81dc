"""The temporary folders of a run of pytest, which are removed at its end."""

from __future__ import annotations

import os
import shutil
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path

import pytest

PASSED = pytest.StashKey[bool]()

_ROOT = Path(__file__).parents[1]
_RUNTIME = "runtime-"


def prepare() -> None:
    """Keep the temporary folders of this copy of the project in one of their own.

    pytest closes the folder of all sessions to other accounts whenever one begins, and so would
    take the files from the tests of another session that work as two accounts. Plain workers on
    PostgreSQL keep their locks in the folder of this run.
    """
    folder = _folder()
    folder.mkdir(mode=0o755, exist_ok=True)
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))
    if _is_controller():
        runtime = folder / f"{_RUNTIME}{os.getpid()}"
        runtime.mkdir(mode=0o700)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)


def remove(config: pytest.Config) -> None:
    """Remove the folders of this run, unless a test has failed, and the locks of killed runs."""
    if not _is_controller():
        return
    folder = _folder()
    if config.stash.get(PASSED, False):
        shutil.rmtree(config._tmp_path_factory.getbasetemp(), ignore_errors=True)
    for runtime in folder.glob(f"{_RUNTIME}*"):
        pid = runtime.name.removeprefix(_RUNTIME)
        if pid == str(os.getpid()) or not Path(f"/proc/{pid}").exists():
            shutil.rmtree(runtime, ignore_errors=True)
    for last in folder.glob("pytest-of-*/pytest-current"):
        if not last.exists():
            last.unlink(missing_ok=True)
    for empty in (*folder.glob("pytest-of-*"), folder):
        with suppress(OSError):
            empty.rmdir()


def _folder() -> Path:
    name = f"gigq-{zlib.crc32(str(_ROOT).encode()):08x}-{os.geteuid()}"
    return Path(tempfile.gettempdir(), name)


def _is_controller() -> bool:
    return "PYTEST_XDIST_WORKER" not in os.environ
