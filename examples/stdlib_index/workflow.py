"""Which files there are, and which job waits for which."""

from __future__ import annotations

import sysconfig
from itertools import groupby
from pathlib import Path

from gigq import Job, Workflow
from stdlib_index import jobs

MOST_DEFINED = 5
_NO_PART_OF_IT = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}


def source_files() -> list[Path]:
    """The source files of the running Python's standard library, without its tests."""
    root = _root()
    found = sorted(root.rglob("*.py"))
    return [path for path in found if not _NO_PART_OF_IT & set(path.relative_to(root).parts)]


def package_of(path: Path) -> str:
    """The name of the package that a file belongs to; single modules are one package."""
    parts = path.relative_to(_root()).parts
    return parts[0] if len(parts) > 1 else "single modules"


def build(files: list[Path]) -> tuple[Workflow, Job]:
    """The whole index as jobs.

    Returns:
        The workflow, and its last job, whose result is the index.
    """
    workflow = Workflow("index of the standard library")
    merges = [
        _add_package(workflow, package, list(members))
        for package, members in groupby(sorted(files, key=package_of), key=package_of)
    ]
    params = {"most": MOST_DEFINED}
    last = Job(name="merge all", function=jobs.merge_all, params=params)
    return workflow, workflow.add_job(last, depends_on=merges)


def _add_package(workflow: Workflow, package: str, files: list[Path]) -> Job:
    parts = [workflow.add_job(_file_job(path)) for path in files]
    merge = Job(name=f"merge {package}", function=jobs.merge_package)
    return workflow.add_job(merge, depends_on=parts)


def _file_job(path: Path) -> Job:
    name = f"index {path.relative_to(_root())}"
    return Job(name=name, function=jobs.index_file, params={"path": str(path)}, timeout=30)


def _root() -> Path:
    return Path(sysconfig.get_path("stdlib"))
