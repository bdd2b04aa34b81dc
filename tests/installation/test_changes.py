"""Upgrades, removals and other distributions in a real environment."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from support.installations import Application, Wheels, build_with_version
from support.waiting import wait_until

from gigq import __version__

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.soak, pytest.mark.daemon]

NEWER = "999.1"


@pytest.fixture
def scripts(wheels: Wheels, tmp_path: Path) -> Path:
    """The bin/ of an environment of this test."""
    return wheels.make_venv(tmp_path / "venv")


@pytest.fixture
def app(scripts: Path, tmp_path: Path) -> Application:
    """An application with the commands of the environment."""
    return Application(tmp_path / "app", (str(scripts / "gigq"),), (str(scripts / "gigqd"),))


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "__pycache__" not in path.parts}


def test_uninstalling_leaves_no_file(wheels: Wheels, app: Application, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    assert app.works()
    wheels.pip(venv / "bin", "uninstall", "--yes", "gigqd")

    assert [path for path in files_below(venv) if "gigq" in path.name] == []


def test_an_upgrade_under_a_running_daemon_takes_effect_with_a_restart(
    wheels: Wheels, scripts: Path, app: Application, tmp_path: Path
) -> None:
    newer = build_with_version(tmp_path / "newer", NEWER)
    app.ask("start")
    before = app.status()
    wheels.pip(scripts, "install", "--upgrade", newer)
    assert app.completes_a_job()
    app.ask("reload", "--wait")
    assert app.completes_a_job()
    during = app.status()
    app.ask("restart")
    after = app.status()
    assert app.completes_a_job()
    app.ask("stop")

    assert [seen["version"] for seen in (before, during, after)] == [
        __version__,
        __version__,
        NEWER,
    ]
    assert before["pid"] == during["pid"] != after["pid"]


def test_a_daemon_whose_files_are_removed_is_stopped_by_a_signal(
    wheels: Wheels, scripts: Path, app: Application
) -> None:
    app.ask("start")
    assert app.completes_a_job()
    wheels.pip(scripts, "uninstall", "--yes", "gigqd")
    lock = app.home / "jobs.db.gigqd/gigqd.pid"
    pid = int(lock.read_text())
    os.kill(pid, signal.SIGTERM)

    wait_until(lambda: not lock.exists())


@pytest.mark.parametrize("order", ["before", "after"])
def test_gigq_0_5_1_beside_it_is_named_and_the_remedy_works(
    wheels: Wheels, scripts: Path, app: Application, order: str
) -> None:
    if order == "before":
        wheels.pip(scripts, "uninstall", "--yes", "gigqd")
    wheels.pip(scripts, "install", "--no-deps", "gigq==0.5.1")
    if order == "before":
        wheels.pip(scripts, "install", "--no-deps", wheels.wheel)
    refused = app.ask("check", fails=True)
    remedy = [line.split(" -m pip ")[1] for line in refused.splitlines() if " -m pip " in line]
    for line in remedy:
        words = line.partition("  ")[0].replace("CLONE", str(wheels.wheel)).split()
        wheels.pip(scripts, *words)

    assert "gigq 0.5.1 is installed" in refused
    assert len(remedy) == 2
    assert app.works()


def test_removing_gigq_0_5_1_after_it_is_named_and_the_remedy_works(
    wheels: Wheels, scripts: Path, app: Application
) -> None:
    wheels.pip(scripts, "install", "--no-deps", "gigq==0.5.1")
    wheels.pip(scripts, "uninstall", "--yes", "gigq")
    refused = app.ask("check", fails=True)
    wheels.pip(scripts, "install", "--force-reinstall", "--no-deps", wheels.wheel)

    assert "files of gigqd are missing" in refused
    assert app.works()
