"""Daemons whose configuration file is not the one that a command names, or cannot be read."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from support.project import Project
from support.waiting import wait_until

from gigqd import exit_codes

pytestmark = pytest.mark.daemon


@pytest.fixture
def shop(tmp_path):
    shop = Project(tmp_path / "shop")
    shop.configure({"queue.database": str(shop.database)})
    yield shop
    shop.configure({})
    shop.gigqd("stop", "--now")


def test_commands_of_a_copied_project_name_the_configuration_that_runs(shop, tmp_path):
    copy = Project(tmp_path / "copy", {"queue.database": str(shop.database)})
    pid = shop.start()

    started, reloaded, stopped = (copy.gigqd(word) for word in ("start", "reload", "stop"))

    assert [done.returncode for done in (started, reloaded, stopped)] == [0, 0, 0]
    assert started.stdout.startswith(f"gigqd is already running (pid {pid}")
    assert f"with the configuration {shop.file}" in started.stdout
    sentence = f"this daemon runs the configuration {shop.file}, with the same database and name"
    assert f"{sentence}; `gigqd restart` has it run this one" in reloaded.stdout
    assert stopped.stdout.endswith(f"{sentence}\n")


def test_a_daemon_of_this_file_comes_before_one_of_the_same_database(shop, tmp_path):
    other = Project(tmp_path / "other")
    pids = [shop.start(), other.start()]
    shop.configure({"queue.database": str(other.database)})

    reached = [shop.pid(), other.pid()]
    other.gigqd("stop", "--now")

    assert reached == pids


def test_a_refused_reload_after_a_rename_names_the_remedy(shop):
    shop.start()
    renamed = shop.file.rename(shop.home / "production.toml")

    refused = shop.gigqd("reload", file=renamed)

    assert refused.returncode == exit_codes.BAD_CONFIG
    assert f"{shop.file}: no such file" in refused.stderr
    assert "`gigqd restart` has it run this one" in refused.stderr


@pytest.mark.parametrize("text", ["[queue\n", '[queue]\ndatabse = "jobs.db"\n', None])
def test_a_daemon_whose_file_cannot_be_read_any_more_is_reached(shop, text):
    pid = shop.start()
    if text is None:
        shop.file.unlink()
    else:
        shop.file.write_text(text)

    reached, reload = shop.pid(), shop.gigqd("reload")
    restart, stop = shop.gigqd("restart"), shop.gigqd("stop")

    assert reached == pid
    assert [reload.returncode, restart.returncode] == [exit_codes.BAD_CONFIG] * 2
    assert (stop.returncode, stop.stdout[:13]) == (0, "gigqd stopped")


def test_a_file_that_cannot_be_read_and_runs_nowhere_names_the_option(shop):
    shop.file.write_text("[queue\n")

    status, stop = shop.gigqd("status"), shop.gigqd("stop")

    assert [status.returncode, stop.returncode] == [
        exit_codes.STATUS_UNKNOWN,
        exit_codes.BAD_CONFIG,
    ]
    for done in (status, stop):
        assert "a running daemon is reached with --runtime-dir" in done.stdout + done.stderr


def test_a_project_that_was_moved_names_how_its_daemon_is_stopped(tmp_path):
    old = Project(tmp_path / "old")
    pid = old.start()
    old.home.rename(tmp_path / "new")
    new = Project(tmp_path / "new")

    refused = [new.gigqd(word) for word in ("status", "start", "stop", "restart")]
    os.kill(pid, signal.SIGTERM)
    stopped = wait_until(lambda: not is_alive(pid))

    assert [done.returncode for done in refused] == [exit_codes.STATUS_UNKNOWN, 75, 75, 75]
    for done in refused:
        assert f"configuration {old.file}" in done.stdout + done.stderr
        assert f"`kill {pid}`" in done.stdout + done.stderr
    assert stopped


def is_alive(pid):
    with suppress(OSError):
        return b"gigqd" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
