"""A configuration that another account can change: a warning, and for root an error."""

import codecs
import os
import subprocess
import sys

import pytest
from support.configs import clean_environment, write_config
from support.files import open_up
from support.forked import in_a_child

from gigqd import exit_codes
from gigqd.config import load, warnings, writable_by_others
from gigqd.errors import ConfigError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two accounts")
OTHER_UID = 4711


@pytest.fixture
def path(tmp_path):
    open_up(tmp_path)
    (tmp_path / "gigq.env").write_text("A=1\n")
    codecs.lookup("utf-8-sig")  # an ordinary account may not read the interpreter's own files
    return write_config(tmp_path, "[code]\nenvironment_file = 'gigq.env'")


def expose(path, how):
    match how:
        case "the configuration":
            path.chmod(0o666)
        case "the environment file":
            path.with_suffix(".env").chmod(0o602)
        case "its folder":
            path.parent.chmod(0o777)
    return {"the environment file": path.with_suffix(".env")}.get(how, path)


def as_an_ordinary_account(action):
    """What an action returns in a process that is not root."""
    if os.geteuid() != 0:
        return str(action())

    def lowered():
        os.setgroups([])
        os.setgid(OTHER_UID)
        os.setuid(OTHER_UID)
        return action()

    return in_a_child(lowered)


HOW = ["the configuration", "the environment file", "its folder"]


@pytest.mark.parametrize("how", HOW)
def test_what_every_account_can_change_is_a_warning(path, how):
    exposed = expose(path, how)
    path.with_suffix(".env").chmod(0o606 if how == "the environment file" else 0o644)

    text = as_an_ordinary_account(lambda: "|".join(warnings(load(path, {}))))

    assert f"{exposed}: every account may " in text


@pytest.mark.fault("S5")
@pytest.mark.root
@needs_root
@pytest.mark.parametrize("how", HOW)
def test_what_every_account_can_change_is_refused_by_root(path, how):
    exposed = expose(path, how)

    def gigqd(*words):
        command = [sys.executable, "-m", "gigqd", "--config", str(path), *words]
        return subprocess.run(command, env=clean_environment(), capture_output=True, text=True)

    done = [gigqd("check"), gigqd("start"), gigqd("run")]

    assert [each.returncode for each in done] == [exit_codes.BAD_CONFIG] * 3
    assert {each.stderr for each in done} == {done[0].stderr}
    assert f"{exposed}: every account may " in done[0].stderr


@pytest.mark.fault("S5")
@pytest.mark.root
@needs_root
def test_root_does_not_read_a_file_for_the_account_that_links_to_it(path, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("PASSWORD=hunter2\n")
    secret.chmod(0o600)
    link = path.with_suffix(".env")
    link.unlink()
    link.symlink_to(secret)
    os.chown(link, OTHER_UID, OTHER_UID, follow_symlinks=False)

    with pytest.raises(ConfigError, match=f"is a link of user id {OTHER_UID}") as caught:
        load(path, {})
    assert "hunter2" not in str(caught.value)


@pytest.mark.root
@needs_root
def test_a_file_of_another_account_is_a_warning(path):
    os.chown(path, OTHER_UID, OTHER_UID)

    assert f"{path} belongs to user id {OTHER_UID}, which" in warnings(load(path, {}))[0]


def test_a_private_configuration_is_none(path):
    assert not [text for text in warnings(load(path, {})) if str(path.parent) in text]


def test_a_folder_like_tmp_is_none(path):
    path.parent.chmod(0o1777)

    assert not [text for text in warnings(load(path, {})) if str(path.parent) in text]


@pytest.mark.fault("S5")
@pytest.mark.parametrize("through", ["a folder further up", "a link", "a link in a link"])
def test_a_folder_on_the_way_in_which_every_account_may_write_is_a_warning(tmp_path, through):
    open_up(tmp_path)
    codecs.lookup("utf-8-sig")
    folder = tmp_path / "open" / "etc"
    folder.mkdir(parents=True)
    path = write_config(folder, "")
    (tmp_path / "open").chmod(0o777)
    if through != "a folder further up":
        (tmp_path / "link").symlink_to("open/../open/etc")
        path = tmp_path / "link" / path.name
    if through == "a link in a link":
        (tmp_path / "outer").symlink_to(tmp_path / "link")
        path = tmp_path / "outer" / path.name

    text = as_an_ordinary_account(lambda: "|".join(warnings(load(path, {}))))

    assert f"every account may replace {tmp_path}/open/etc" in text


def test_a_link_to_itself_is_no_endless_loop(tmp_path):
    (tmp_path / "loop").symlink_to("loop")

    assert len([*writable_by_others._entries_on_the_way(tmp_path / "loop" / "gigq.toml")]) < 1000
