"""Reading what the log wrote, and putting the logging of this process back afterwards."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import textwrap
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

from gigqd.logs import pipeline, standard_library

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def logging_restored() -> Iterator[None]:
    """Restore the standard library's logging, structlog's settings and the daemon's log."""
    root = logging.getLogger()
    handlers, level, state = [*root.handlers], root.level, pipeline._state
    pipeline._state = pipeline._State(state.sink, state.render)
    showwarning = warnings.showwarning
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        standard_library.restore()
        warnings.showwarning = showwarning
        structlog.reset_defaults()
        root.handlers[:], pipeline._state = handlers, state
        root.setLevel(level)


def entries(path: Path) -> list[dict[str, Any]]:
    """Every line of a log file; each must be a JSON object."""
    return [json.loads(line) for line in path.read_bytes().decode("ascii").splitlines()]


def run_python(
    body: str, environ: dict[str, str] | None = None, stderr: int = subprocess.PIPE
) -> subprocess.CompletedProcess[bytes]:
    """Run a program that logs, in a process of its own.

    Args:
        body: what follows the imports of `logging`, `logs` and `LogConfig`.
        environ: what it has in its environment beside the path.
        stderr: where its standard error goes.
    """
    imports = "import logging\nfrom gigqd import logs\nfrom gigqd.config import LogConfig\n"
    return subprocess.run(
        [sys.executable, "-c", imports + textwrap.dedent(body)],
        env={"PATH": os.environ["PATH"], **(environ or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        timeout=60,
    )
