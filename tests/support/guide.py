"""Runs a page of the documentation: writes the files that it shows and executes its commands.

A block in `console` holds commands after `$ ` and what they print. A block whose first line is a
comment with a path is a file; `# PATH, at the end` adds to it. Blocks in `sh`, `text` and `yaml`
are shown only, and `Page.shown_only` lists them.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from support.bash import Bash
from support.tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"# ([~\w./@-]*(?:\.\w+|Dockerfile))(, at the end)?\n")
SHOWN_ONLY = ("sh", "text", "yaml")
ASKING = ("gigq list", "gigq status", "gigq stats", "gigq logs", "gigqd status", "curl", "cat ")
PATIENCE = 30.0
HOST_PATH = re.compile(r"(?<![\w.~/-])/(etc|srv|opt|var/lib|var/backups)/")
HOME = "/home/you"
PORT = re.compile(r"(127\.0\.0\.1:|--port )8000\b")
JOB_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
VARYING = [
    (re.compile(r"^warning: jobs run as root;.*\n", re.MULTILINE), ""),
    (re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00|Z))?"), "TIME"),
    (re.compile(r"\bpid +\d+"), "pid N"),
    # Which of several idle workers takes a job differs; its name and its state are compared.
    (re.compile(r"^(recorder|[\w-]+/\d+) +\d+ +(\w+).*", re.MULTILINE), r"\1 \2"),
    (re.compile(r"\b(?:\d+(?:\.\d+)?(?:ms|us|[smhd]))+\b"), "DURATION"),
    (re.compile(r"\b\d+(?:\.\d+)? [KMG]i?B\b"), "SIZE"),
]
LOOSELY = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the project, by its path from the top."""

    path: str

    @property
    def blocks(self) -> list[tuple[str, str]]:
        """The language and the text of each block, in order."""
        return BLOCK.findall((ROOT / self.path).read_text(encoding="utf-8"))

    @property
    def commands(self) -> list[str]:
        """The commands of the page."""
        blocks = [text for language, text in self.blocks if language == "console"]
        return [command for text in blocks for command, _ in examples(text)]

    @property
    def shown_only(self) -> list[str]:
        """The first lines of the blocks that are neither run nor written."""
        return [text.split("\n", 1)[0] for language, text in self.blocks if language in SHOWN_ONLY]

    @property
    def nameless(self) -> list[str]:
        """The first lines of the blocks that should be a file and name none."""
        others = [
            text for language, text in self.blocks if language not in {*SHOWN_ONLY, "console"}
        ]
        return [text.split("\n", 1)[0] for text in others if not NAME.match(text)]


@dataclass(slots=True)
class Reader:
    """Does what a page says, in an empty folder of a home directory that has the clone in `gigq`.

    Args:
        home: the home directory; the paths of the host that a page names are below its `root`.
        port: the port of the web servers of this page.
        variables: further variables of the environment.
    """

    home: Path
    port: int
    variables: Mapping[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    bash: Bash = field(init=False)

    def __post_init__(self) -> None:
        """Make the folder and open a shell in it."""
        (self.home / "gigq").symlink_to(ROOT)
        folder = self.home / "shop"
        folder.mkdir()
        self.bash = Bash(folder, {**environment(self.home), **self.variables})

    def follow(self, page: Page) -> None:
        """Write each file and run each command of a page.

        Raises:
            AssertionError: a command failed, or printed something else.
        """
        for language, text in page.blocks:
            if language == "console":
                for command, expected in examples(text):
                    self.run(command, expected)
            elif name := NAME.match(text):
                self.write(name[1], text[name.end() :], append=bool(name[2]))

    def write(self, name: str, text: str, *, append: bool) -> None:
        """Write a file that a page shows, where its reader is."""
        folder = self.bash.run("pwd")[1].strip()
        path = Path(folder, self._real(name).replace("~", str(self.home)))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if append else "w", encoding="utf-8") as file:
            file.write(self._real(text))

    def run(self, command: str, expected: str) -> None:
        """Run a command; one that only asks is repeated until its answer is the expected one."""
        last = ""

        def answers() -> bool:
            nonlocal last
            code, printed = self.bash.run(self._real(command))
            last = f"$ {command}\n{printed}(exit code {code})\nexpected:\n{expected}"
            return code == 0 and self._equal(expected, printed)

        deadline = time.monotonic() + (PATIENCE if command.startswith(ASKING) else 0.0)
        while not answers():
            assert time.monotonic() < deadline, last
            time.sleep(0.1)

    def _equal(self, expected: str, printed: str) -> bool:
        found = JOB_ID.findall(printed)
        ids = dict(zip(JOB_ID.findall(expected), found, strict=False)) | self.ids
        want = usual(JOB_ID.sub(lambda match: ids.get(match[0], match[0]), expected))
        got = usual(printed.replace(f"{self.home}/root", "").replace(str(self.home), HOME))
        equal = doctest.OutputChecker().check_output(
            want, got.replace(f":{self.port}", ":8000"), LOOSELY
        )
        if equal:
            self.ids = ids
        return equal

    def _real(self, text: str) -> str:
        """Replace ids, their last parts, the port and paths of the host by those of this run."""
        for shown, real in self.ids.items():
            text = text.replace(shown, real)
            text = re.sub(rf"(?<![\w-]){shown[-8:]}\b", real[-8:], text)
        text = PORT.sub(rf"\g<1>{self.port}", text)
        return HOST_PATH.sub(rf"{self.home}/root/\1/", text)


def examples(block: str) -> Iterator[tuple[str, str]]:
    """Split a block into commands and what they print; a backslash continues a command."""
    for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = example.split("\n")
        end = next(number for number, line in enumerate(lines) if not line.endswith("\\"))
        yield "\n".join(lines[: end + 1]), "\n".join(lines[end + 1 :])


def usual(text: str) -> str:
    """Replace what differs from run to run."""
    for pattern, stand_in in VARYING:
        text = pattern.sub(stand_in, text)
    return text


def environment(home: Path) -> dict[str, str]:
    """The environment of a reader: the commands of this project, and nothing that changes them."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIGQ", "PYTHON", "VIRTUAL"))}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    quiet = {
        "PIP_QUIET": "2",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    return kept | quiet | {"HOME": str(home), "PATH": path, "TZ": "UTC", "LC_ALL": "C.UTF-8"}


def stop_daemons(home: Path) -> None:
    """Stop every daemon whose configuration is below a home directory."""
    for file in home.rglob("*.toml"):
        if "site-packages" not in file.parts and "[queue]" in file.read_text(encoding="utf-8"):
            command = [sys.executable, "-m", "gigqd", "--config", str(file), "stop", "--now"]
            subprocess.run(command, env=environment(home), capture_output=True, timeout=60)
