"""What public bug reports say of the sources, dependencies and platforms of other tools."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.installations import PYTHON, Application, build, plain_environment, run
from support.tree import MADE_BY_TOOLS, ROOT, modules, parsed

from gigq import __version__

DEPENDENCIES = {"psutil": "psutil", "python-daemon": "daemon", "structlog": "structlog"}
"""The distributions that an installation brings along, and the module of each."""

OPTIONAL = {
    "asgiref": {"gigq/contrib/django.py"},
    "django": {"gigq/contrib/django.py"},
    "psycopg": {
        f"gigq/store/postgres/{name}.py"
        for name in (
            *("bulk_insertion", "connections", "drivers", "notifications", "queue_connection"),
        )
    },
    "psycopg2": {"gigq/store/postgres/drivers.py"},
}
"""What modules of an extra import."""

TYPED = """
from __future__ import annotations

from typing import assert_type

from gigq import JobQueue, Workflow, task


@task
def thumbnail(file: str, width: int = 100) -> str:
    return f"{file} at {width}"


@task(queue="mail", timeout=5)
def mail(to: str) -> None:
    print(to)


def use(queue: JobQueue, flow: Workflow) -> None:
    assert_type(thumbnail("cat.jpg", width=300), str)
    assert_type(thumbnail.options(priority=5)("cat.jpg"), str)
    assert_type(thumbnail.submit(queue, file="cat.jpg"), str)
    mail("ann")
    flow.add_task(mail, params={"to": "ann"})
    thumbnail("cat.jpg", "wide")  # type: ignore[arg-type]
    thumbnail(name="cat.jpg")  # type: ignore[call-arg]
    mail(to=5)  # type: ignore[arg-type]
"""
"""An application; --strict reports an ignored error that is none."""

UNTRACKED = (".env", "venv/bin/python", "notes/plan.md", "jobs.db", "jobs.db.gigqd/gigqd.log")


@pytest.mark.fault("K11")
def test_untracked_files_of_the_folder_stay_out_of_the_source_distribution(tmp_path: Path) -> None:
    """pytest-dev/pytest-freezer#9, overhangio/tutor#1296: a virtual environment was in it."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*MADE_BY_TOOLS, ".*cache"))
    for name in UNTRACKED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("private")
    source = build("sdist", tmp_path / "built", folder)
    names = subprocess.run(["tar", "tf", source], capture_output=True, text=True).stdout

    assert f"gigqd-{__version__}/gigq/queue.py" in names.splitlines()
    assert [name for name in UNTRACKED if f"/{name}\n" in names] == []


@pytest.mark.fault("K11")
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no repository")
def test_every_tracked_file_is_in_the_source_distribution(tmp_path: Path) -> None:
    """pytest-dev/pytest-freezer#9, as above: a list of what belongs there may be too short."""
    source = build("sdist", tmp_path / "built")
    names = subprocess.run(["tar", "tf", source], capture_output=True, text=True).stdout
    tracked = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    present = {f"gigqd-{__version__}/{name}" for name in tracked if (ROOT / name).exists()}

    assert len(present) > 500
    assert sorted(present - set(names.splitlines())) == []


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


@pytest.mark.fault("K19")
def test_a_task_has_the_types_of_its_function(prefix: Path, tmp_path: Path) -> None:
    """rq/rq#2203, procrastinate-org/procrastinate#1056: the decorator made everything Any."""
    (tmp_path / "app.py").write_text(TYPED)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache"]
    command = [*mypy, "--python-executable", prefix / "bin/python", "app.py"]
    done = run(*command, folder=tmp_path, environment=plain_environment())

    assert done.stdout == "Success: no issues found in 1 source file\n"


@pytest.mark.daemon
@pytest.mark.fault("K20")
def test_no_command_daemon_or_job_causes_a_warning_of_python(tmp_path: Path) -> None:
    """Supervisor/supervisor#1683: each command wrote that pkg_resources is deprecated."""
    start = (sys.executable, "-P", "-W", "error", "-X", "dev", "-m")

    assert Application(tmp_path / "app", (*start, "gigq"), (*start, "gigqd")).works()


@pytest.mark.fault("K21")
def test_every_import_is_of_python_of_the_packages_or_of_a_declared_dependency() -> None:
    """procrastinate-org/procrastinate#644: typing_extensions was there by chance."""
    allowed = {"gigq", "gigqd", *DEPENDENCIES.values(), *sys.stdlib_module_names}
    imported: dict[str, set[str]] = {}
    for file in modules():
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            for name in names:
                top = name.partition(".")[0]
                imported.setdefault(top, set()).add(str(file.relative_to(ROOT)))
    foreign = {name: files for name, files in imported.items() if name not in allowed}

    assert set(DEPENDENCIES.values()) <= imported.keys()
    assert foreign == OPTIONAL


@pytest.mark.daemon
@pytest.mark.soak
@pytest.mark.fault("K22")
def test_the_oldest_versions_of_the_dependencies_work(tmp_path: Path) -> None:
    """rq/django-rq#14: the lower bound was a version without a class that was used."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = [line.replace(">=", "==") for line in project["dependencies"]]
    run(PYTHON, "-m", "venv", tmp_path / "venv", folder=tmp_path, environment=plain_environment())
    index = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    install = [tmp_path / "venv/bin/python", "-m", "pip", "install", ROOT, *oldest]
    run(*install, folder=tmp_path, environment=plain_environment(**index))
    commands = ((str(tmp_path / "venv/bin" / name),) for name in ("gigq", "gigqd"))

    assert Application(tmp_path / "app", *commands).works()


@pytest.mark.fault("K26")
def test_no_file_of_the_wheel_is_a_program_or_can_be_written_by_others(tmp_path: Path) -> None:
    """coreos/ignition-dracut#108, rancher/elemental-toolkit#855: units with these modes."""
    with zipfile.ZipFile(build("wheel", tmp_path)) as archive:
        modes = {file.filename: file.external_attr >> 16 & 0o777 for file in archive.infolist()}

    assert {name for name, mode in modes.items() if mode != 0o644} == set()
