"""The wheel holds what an installation needs, and works from where it is unpacked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from functools import partial

import pytest
from support.installations import build
from support.made_once import made_once
from support.tree import ROOT, documents

import gigq

DATA = ".data"
SHARED = {
    "man/man1/gigq.1": "docs/man/gigq.1",
    "man/man1/gigqd.1": "docs/man/gigqd.1",
    "bash-completion/completions/gigq": "gigq/share/completions/gigq.bash",
    "bash-completion/completions/gigqd": "gigqd/share/completions/gigqd.bash",
    "fish/vendor_completions.d/gigq.fish": "gigq/share/completions/gigq.fish",
    "fish/vendor_completions.d/gigqd.fish": "gigqd/share/completions/gigqd.fish",
    "zsh/site-functions/_gigq": "gigq/share/completions/gigq.zsh",
    "zsh/site-functions/_gigqd": "gigqd/share/completions/gigqd.zsh",
    "doc/gigqd/gigq.toml": "etc/gigq.toml",
    "doc/gigqd/systemd/gigqd.service": "systemd/gigqd.service",
    "doc/gigqd/systemd/gigqd-user.service": "systemd/gigqd-user.service",
    "doc/gigqd/systemd/gigqd.sysusers": "systemd/gigqd.sysusers",
    "doc/gigqd/systemd/gigqd-delegate.conf": "systemd/gigqd-delegate.conf",
    "doc/gigqd/systemd/gigqd-more-rights.conf": "systemd/gigqd-more-rights.conf",
}
"""The files below share/ of an installation, and where they are in the repository."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    (file,) = made_once(tmp_path_factory, "wheel", partial(build, "wheel")).iterdir()
    return file


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("source")
    subprocess.run(["tar", "xf", build("sdist", folder / "built")], cwd=folder, check=True)
    (unpacked,) = folder.glob("gigqd-*")
    return unpacked


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


def test_the_wheel_has_nothing_but_the_two_packages_and_files_of_the_host(wheel):
    tops = {name.partition("/")[0] for name in names_in(wheel)}
    data = {name.split("/")[1:3] == ["data", "share"] for name in names_in(wheel) if DATA in name}

    assert {top for top in tops if not top.endswith((".dist-info", DATA))} == {"gigq", "gigqd"}
    assert data == {True}


@pytest.mark.parametrize(("place", "source"), SHARED.items())
def test_the_wheel_puts_man_pages_completions_and_examples_where_the_host_finds_them(
    wheel, place, source
):
    (name,) = [name for name in names_in(wheel) if name.endswith(f"{DATA}/data/share/{place}")]
    with zipfile.ZipFile(wheel) as archive:
        packed = archive.read(name)

    assert packed == (ROOT / source).read_bytes()


@pytest.mark.parametrize(
    ("folder", "packed"),
    [
        ("gigq/share", "gigq/share"),
        ("gigqd/share", "gigqd/share"),
        ("etc", "gigqd/share/etc"),
        ("systemd", "gigqd/share/systemd"),
    ],
)
def test_the_wheel_has_each_file_that_a_command_prints(wheel, folder, packed):
    files = [path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*.*")]

    assert files
    assert {f"{packed}/{path}" for path in files} <= names_in(wheel)


def test_the_wheel_has_the_licence_and_both_commands(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entry_points,) = [n for n in names if n.endswith("entry_points.txt")]
        commands = archive.read(entry_points).decode()

    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "gigq = gigq.cli:main" in commands
    assert "gigqd = gigqd.__main__:main" in commands


def test_the_version_of_the_wheel_is_that_of_the_package(wheel):
    assert wheel.name.startswith(f"gigqd-{gigq.__version__}-")


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


def test_the_source_distribution_has_what_tests_checks_and_documents_need(source):
    parts = {path.relative_to(ROOT).parts[0] for path in documents()}
    wanted = {"gigq", "gigqd", "tests", "tools", "bench", "examples", "etc", "systemd", "docs"}
    wanted |= {"Makefile", "pyproject.toml", "mkdocs.yml", "LICENSE", ".ci", ".editorconfig"}

    assert wanted | parts <= {path.name for path in source.iterdir()}
    assert not {".venv", ".git", "build", "dist"} & {path.name for path in source.iterdir()}


def test_the_wheel_of_the_source_distribution_is_the_wheel_of_the_repository(
    source, wheel, tmp_path
):
    again = build("wheel", tmp_path / "wheel", source)

    assert (again.name, names_in(again)) == (wheel.name, names_in(wheel))


def test_scripts_of_the_source_distribution_can_be_executed(source):
    for name in (".ci/run", "tests/systemd/boot", "tools/make-venv"):
        assert os.access(source / name, os.X_OK) == os.access(ROOT / name, os.X_OK), name


def test_nothing_names_an_address_of_the_project_that_does_not_exist(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        header = archive.read(name).decode().partition("\n\n")[0]

    assert not re.search(r"^(Home-page|Project-URL|Author-email|Maintainer)", header, re.MULTILINE)
