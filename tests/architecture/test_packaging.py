"""The wheel holds what an installation needs, and works from where it is unpacked."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile

import pytest
from support.tree import ROOT

import gigq
import gigqd


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(
        [*command, "--directory", folder], cwd=ROOT, check=True, capture_output=True, text=True
    )
    (built,) = folder.glob("*.whl")
    return built


def names_in(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_has_every_module_statement_and_type_marker(wheel):
    wanted = {
        str(path.relative_to(ROOT))
        for package in ("gigq", "gigqd")
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".py", ".sql", ".typed", ".html", ".css", ".js"}
    }

    assert wanted <= names_in(wheel)
    assert {"gigq/py.typed", "gigqd/py.typed"} <= wanted
    assert any(name.endswith(".sql") for name in wanted)


def test_the_wheel_has_nothing_but_the_two_packages(wheel):
    tops = {name.partition("/")[0] for name in names_in(wheel)}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"gigq", "gigqd"}


def test_the_wheel_has_the_licence_and_both_commands(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entry_points,) = [n for n in names if n.endswith("entry_points.txt")]
        commands = archive.read(entry_points).decode()

    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "gigq = gigq.cli:main" in commands
    assert "gigqd = gigqd.__main__:main" in commands


def test_the_project_and_both_packages_have_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert gigq.__version__ == gigqd.__version__ == project["version"]


def test_an_unpacked_wheel_makes_a_queue(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    script = "import gigq; print(gigq.__file__); print(gigq.JobQueue('q.db').stats()['total'])"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.splitlines() == [str(tmp_path / "site/gigq/__init__.py"), "0"], done.stderr
