"""What public bug reports say of the sources, dependencies and platforms of other tools."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.installations import build, plain_environment, run
from support.tree import MADE_BY_TOOLS, ROOT

from gigq import __version__

DEPENDENCIES = {"psutil": "psutil", "python-daemon": "daemon", "structlog": "structlog"}
"""The distributions that an installation brings along, and the module of each."""

UNTRACKED = (".env", "venv/bin/python", "notes/plan.md", "jobs.db", "jobs.db.gigqd/gigqd.log")


@pytest.mark.fault("K11")
def test_untracked_files_of_the_folder_stay_out_of_the_source_distribution(tmp_path: Path) -> None:
    """pytest-dev/pytest-freezer#9, overhangio/tutor#1296: a virtual environment was in it."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*MADE_BY_TOOLS, ".*_cache"))
    for name in UNTRACKED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("private")
    source = build("sdist", tmp_path / "built", folder)
    names = subprocess.run(["tar", "tf", source], capture_output=True, text=True).stdout

    assert f"gigqd-{__version__}/gigq/queue.py" in names.splitlines()
    assert [name for name in UNTRACKED if f"/{name}\n" in names] == []


@pytest.mark.fault("K12")
@pytest.mark.parametrize("word", ["check", "start", "--version"])
@pytest.mark.parametrize("distribution", DEPENDENCIES)
def test_a_missing_dependency_is_named_with_the_remedy(
    tmp_path: Path, distribution: str, word: str
) -> None:
    """Supervisor/supervisor#1145, rq/rq#551: no command started, each with a traceback."""
    present = {"daemon", "lockfile", "psutil", "structlog"} - {DEPENDENCIES[distribution]}
    for name in present:
        spec = find_spec(name)
        assert spec
        assert spec.origin
        (tmp_path / name).symlink_to(Path(spec.origin).parent)
    for name in ("gigq", "gigqd"):
        (tmp_path / name).symlink_to(ROOT / name)
    command = [sys.executable, "-PS", "-m", "gigqd", word]
    environment = plain_environment(PYTHONPATH=tmp_path)
    printed = run(*command, folder=tmp_path, environment=environment, fails=True).stderr

    assert printed == (
        f"gigqd: packages that gigqd needs are missing: {distribution}; install them with\n"
        f"  {sys.executable} -m pip install {distribution}\n"
    )


def test_the_dependencies_of_these_tests_are_those_of_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert [re.split(r"[^\w-]", line)[0] for line in project["dependencies"]] == [*DEPENDENCIES]


@pytest.mark.fault("K13")
@pytest.mark.parametrize("system", ["win32", "darwin"])
@pytest.mark.parametrize("module", ["gigq", "gigq.cli", "gigqd.__main__"])
def test_another_system_is_named_as_the_reason(tmp_path: Path, module: str, system: str) -> None:
    """rq/rq#1830, Bogdanp/dramatiq#75: No module named 'resource', or 'fcntl', on Windows."""
    script = (
        "import sys\n"
        f"sys.platform = {system!r}\n"
        "class Absent:\n"
        "    def find_spec(name, *more):\n"
        "        if name in {'fcntl', 'grp', 'pwd', 'resource', 'termios'}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent)\n"
        f"import {module} as imported\n"
        "sys.exit(imported.main())\n"
    )
    command = [sys.executable, "-P", "-c", script]
    done = run(*command, folder=tmp_path, environment=plain_environment(), fails=True)

    assert f" runs on Linux only, and this is {system}" in done.stderr.splitlines()[-1]
