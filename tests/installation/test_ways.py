"""The built wheel, installed in each usual way, starts a daemon that runs a job.

docs/howto/install.md lists these ways.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.files import open_up
from support.installations import PYTHON, Application, Wheels, plain_environment, run
from support.other_user import interpreter_for
from support.tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.soak, pytest.mark.daemon]

USER = "nobody"


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


def application(home: Path, scripts: Path, **environment: str | Path) -> Application:
    """An application whose commands are in a bin/, by their full path."""
    commands = ((str(scripts / name),) for name in ("gigq", "gigqd"))
    return Application(home, *commands, environment=plain_environment(**environment))


def test_a_virtual_environment(scripts: Path, tmp_path: Path) -> None:
    assert application(tmp_path / "app", scripts).works()


def test_an_activated_virtual_environment_has_the_manual_pages(
    scripts: Path, tmp_path: Path
) -> None:
    path = f"{scripts}:{os.environ['PATH']}"
    script = "man --where gigq gigqd; gigqd --version"
    printed = run(
        "bash", "-c", script, folder=tmp_path, environment=plain_environment(PATH=path, MANPATH="")
    ).stdout

    assert printed.splitlines()[-1].startswith("gigqd ")
    if shutil.which("man"):
        assert printed.splitlines()[:2] == [
            f"{scripts.parent}/share/man/man1/{name}.1" for name in ("gigq", "gigqd")
        ]


def test_pip_install_user(wheels: Wheels, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = wheels.pip_environment(HOME=home, PIP_BREAK_SYSTEM_PACKAGES="1")
    command = [PYTHON, "-m", "pip", "install", "--user", wheels.wheel]
    run(*command, folder=home, environment=environment)

    assert application(tmp_path / "app", home / ".local/bin", HOME=home).works()
    assert (home / ".local/share/bash-completion/completions/gigqd").is_file()


def test_pip_install_target(wheels: Wheels, tmp_path: Path) -> None:
    place = tmp_path / "packages"
    command = [PYTHON, "-m", "pip", "install", "--target", place, wheels.wheel]
    run(*command, folder=tmp_path, environment=wheels.pip_environment(HOME=tmp_path))

    assert application(tmp_path / "app", place / "bin", PYTHONPATH=place).works()


@needs("pipx")
def test_pipx(wheels: Wheels, tmp_path: Path) -> None:
    places = {"PIPX_HOME": tmp_path / "pipx", "PIPX_BIN_DIR": tmp_path / "bin"}
    environment = wheels.pip_environment(**places, PIPX_DEFAULT_PYTHON=PYTHON, HOME=tmp_path)
    options = f"--no-index --find-links={wheels.folder}"
    command = ["pipx", "install", f"--pip-args={options}", wheels.wheel]
    run(*command, folder=tmp_path, environment=environment)

    assert application(tmp_path / "app", tmp_path / "bin").works()


@needs("uv")
def test_uv_tool_install(wheels: Wheels, tmp_path: Path) -> None:
    places = {"UV_TOOL_DIR": tmp_path / "tools", "UV_TOOL_BIN_DIR": tmp_path / "bin"}
    environment = plain_environment(**places, UV_CACHE_DIR=tmp_path / "cache", HOME=tmp_path)
    links = ["--no-index", "--find-links", wheels.folder]
    command = ["uv", "tool", "install", "--python", PYTHON, *links, wheels.wheel]
    run(*command, folder=tmp_path, environment=environment)

    assert application(tmp_path / "app", tmp_path / "bin").works()


def test_editable(wheels: Wheels, tmp_path: Path) -> None:
    place = tmp_path / "venv"
    scripts = wheels.make_venv(place, "--editable", ROOT)

    assert application(tmp_path / "app", scripts).works()


def test_modules_instead_of_commands(scripts: Path, tmp_path: Path) -> None:
    python = str(scripts / "python")
    modules = ((python, "-m", name) for name in ("gigq", "gigqd"))

    assert Application(tmp_path / "app", *modules).works()


def test_a_path_with_spaces_and_letters_of_other_alphabets(wheels: Wheels, tmp_path: Path) -> None:
    folder = tmp_path / "Büro Straße 日本 'a'"
    folder.mkdir()
    scripts = wheels.make_venv(folder / "ein venv")

    assert application(folder / "die App", scripts).works()


def test_a_path_that_is_too_long_for_an_interpreter_line(wheels: Wheels, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    scripts = wheels.make_venv(folder / "venv")

    assert application(tmp_path / "app", scripts).works()


@pytest.mark.parametrize(
    "variables",
    [
        (),
        ("HOME=/nonexistent", "LOGNAME=account-of-no-user", "PATH=/usr/bin:/bin", "SHELL=/bin/sh"),
    ],
    ids=["empty", "of cron"],
)
def test_cron_and_an_empty_environment(
    scripts: Path, tmp_path: Path, variables: tuple[str, ...]
) -> None:
    start = ("env", "-i", *variables)
    commands = ((*start, str(scripts / name)) for name in ("gigq", "gigqd"))

    assert Application(tmp_path / "app", *commands).works()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@needs("sudo")
def test_sudo_to_another_account(wheels: Wheels, tmp_path: Path) -> None:
    open_up(tmp_path)
    scripts = wheels.make_venv(tmp_path / "venv", python=interpreter_for(USER))
    start = ("sudo", "-n", "-H", "-u", USER)
    commands = ((*start, str(scripts / name)) for name in ("gigq", "gigqd"))
    app = Application(tmp_path / "app", *commands)
    shutil.chown(app.home, USER)

    assert app.works()
    assert (app.home / "jobs.db").owner() == USER


def test_read_only_files(scripts: Path, tmp_path: Path) -> None:
    """A mount namespace in which the whole environment is read-only."""
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    start = ("unshare", "-Urm", "sh", "-c", script, str(scripts.parent))
    if subprocess.run([*start, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this account may not make a mount namespace")
    commands = ((*start, str(scripts / name)) for name in ("gigq", "gigqd"))

    assert Application(tmp_path / "app", *commands).works()
