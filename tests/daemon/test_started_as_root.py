"""Started as root for another account: root touches nothing that this account could have placed."""

import os
from pathlib import Path

import pytest
from support.given_away import NOBODY_UID, USER, Host

from gigqd import exit_codes
from gigqd.host import ownership
from gigqd.host.privileges import find_account

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start it for another account"),
]


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


@pytest.mark.fault("S3")
@pytest.mark.parametrize("command", ["start", "run"])
@pytest.mark.parametrize("target", ["secret", "missing"])
@pytest.mark.parametrize("name", ["gigqd.log", "gigqd.lock"])
def test_a_link_in_the_runtime_directory_is_not_followed_by_root(host, command, target, name):
    if (name, command) == ("gigqd.log", "run"):
        host.configure(file=str(host.run / name))
    (host.run / name).symlink_to(host.roots / target)

    done = host.gigqd(command)

    assert done.returncode in (exit_codes.CANNOT_CREATE, exit_codes.BAD_CONFIG), done
    assert "symbolic link" in done.stderr
    host.roots_folder_is_as_it_was()


@pytest.mark.fault("S3")
def test_a_second_name_in_the_runtime_directory_is_not_given_away(host):
    os.link(host.secret, host.run / "gigqd.log")
    host.secret.chmod(0o600)

    done = host.gigqd("start")

    assert done.returncode == exit_codes.CANNOT_CREATE
    assert "Permission denied" in done.stderr
    host.roots_folder_is_as_it_was()


@pytest.mark.fault("S3")
def test_a_runtime_directory_that_is_a_link_of_the_accounts_is_not_given_away(host):
    host.run.rmdir()
    host.run.symlink_to(host.roots)

    done = host.gigqd("start")

    assert done.returncode == exit_codes.NOT_PERMITTED
    assert f"{USER} cannot write in {host.run}" in done.stderr
    host.roots_folder_is_as_it_was()


@pytest.mark.fault("S3")
def test_a_log_in_a_directory_of_the_account_is_opened_as_the_account(host):
    host.configure(file=str(host.home / "logs" / "jobs.log"))
    (host.home / "logs").symlink_to(host.roots)

    done = host.gigqd("start")

    assert done.returncode == exit_codes.CANNOT_CREATE
    assert "Permission denied" in done.stderr
    host.roots_folder_is_as_it_was()


def test_a_log_in_a_directory_of_roots_is_made_for_the_account(host):
    log = host.roots / "jobs.log"
    host.configure(file=str(log))

    started, stopped = host.gigqd("start"), host.gigqd("stop")

    assert (started.returncode, stopped.returncode) == (0, 0), started.stderr
    assert (log.stat().st_uid, host.roots.stat().st_uid) == (NOBODY_UID, 0)
    assert "daemon_stopped" in log.read_text()


@pytest.mark.parametrize("there", [True, False], ids=["the folder is there", "root makes it"])
def test_a_database_below_a_closed_directory_is_refused_in_the_same_words_by_check(host, there):
    closed = host.roots / "closed"
    closed.mkdir(mode=0o700)
    if there:
        (closed / "data").mkdir()
        (closed / "data" / "kept").touch()
    text = host.config.read_text()
    database = closed / "data" / "jobs.db"
    host.config.write_text(text.replace(str(host.home / "jobs.db"), str(database)))

    check, start = host.gigqd("check", "--db"), host.gigqd("start")

    sentence = f"{USER} cannot enter {closed}, and so not use {closed / 'data'}; let {USER} pass it"
    assert (check.returncode, start.returncode) == (exit_codes.NOT_PERMITTED,) * 2, start
    assert sentence in check.stderr
    assert sentence in start.stderr


def test_a_reload_refuses_a_configuration_that_a_start_by_root_refuses(host):
    started = host.gigqd("start")
    host.config.chmod(0o666)

    reloaded = host.gigqd("reload")
    host.config.chmod(0o644)
    stopped = host.gigqd("stop")

    assert (started.returncode, stopped.returncode) == (0, 0), started.stderr
    assert reloaded.returncode == exit_codes.BAD_CONFIG, reloaded
    assert f"{host.config}: every account may write it" in reloaded.stderr


# --- the rule --------------------------------------------------------------------------------


def give(path, make=0o750):
    ownership.give_directory(
        path, find_account("nobody", None), make=make, fits=lambda names: not names
    )


def owner(path):
    return path.lstat().st_uid


def test_a_directory_of_roots_is_made_and_given(tmp_path):
    give(tmp_path / "one" / "two")

    assert (owner(tmp_path / "one"), owner(tmp_path / "one" / "two")) == (0, NOBODY_UID)


def test_a_link_of_roots_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    give(tmp_path / "link")

    assert owner(tmp_path / "real") == NOBODY_UID


@pytest.mark.fault("S3")
@pytest.mark.parametrize("how", ["a link", "a directory", "nothing"])
@pytest.mark.parametrize("shared", ["its own", "of a group", "of every account", "sticky"])
def test_what_another_account_can_have_placed_is_left_alone(tmp_path, how, shared):
    parent, roots = tmp_path / "parent", tmp_path / "roots"
    parent.mkdir()
    roots.mkdir()
    match shared:
        case "its own":
            os.chown(parent, NOBODY_UID, NOBODY_UID)
        case "of a group":
            os.chown(parent, 0, NOBODY_UID)
            parent.chmod(0o775)
        case "of every account":
            parent.chmod(0o777)
        case "sticky":
            parent.chmod(0o1777)
    place = parent / "place"
    if how == "a link":
        place.symlink_to(roots)
    elif how == "a directory":
        place.mkdir()
    if how != "nothing":
        os.chown(place, 4711, 4711, follow_symlinks=False)

    give(place)

    assert owner(roots) == 0
    if how != "nothing":
        assert owner(place) == 4711
    elif shared != "sticky":
        assert not place.exists()


def test_a_loop_of_links_has_an_end(tmp_path):
    (tmp_path / "loop").symlink_to("loop")

    give(tmp_path / "loop" / "place")

    assert not Path(tmp_path / "loop").exists()
