"""Console examples in a page, run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

JOB_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00")
SIZE = re.compile(r"\d+ KiB")
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples(page: str) -> Iterator[tuple[str, str]]:
    """The commands after `$ ` in the page's console blocks, and what each prints."""
    for block in BLOCK.findall(page):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            yield command, printed


def differences(page: str, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Run a page's examples one after the other, and give those that print something else.

    Job ids, times and the size of a file differ from run to run. An id that a page shows stands
    for the one that was printed in its place, in later commands too.

    Yields:
        The command, what the page says, and what was printed.
    """
    ids: dict[str, str] = {}
    exports: list[str] = []
    for documented, expected in examples(page):
        command = _with_real(ids, documented)
        if command.startswith("export "):
            exports.append(command)
            continue
        printed = _run("; ".join([*exports, command]), folder)
        ids |= dict(zip(JOB_ID.findall(expected), JOB_ID.findall(printed), strict=False))
        promised = _with_real(ids, expected)
        if _without_figures(printed) != _without_figures(promised):
            yield command, promised, printed


def _without_figures(text: str) -> str:
    return SIZE.sub("SIZE", TIME.sub("TIME", text))


def _with_real(ids: dict[str, str], text: str) -> str:
    return JOB_ID.sub(lambda match: ids.get(match[0], match[0]), text)


def _run(command: str, folder: Path) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIGQ")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=kept | {"TZ": "UTC", "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    ).stdout
