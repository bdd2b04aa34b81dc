"""Where gigqd's configuration is looked for, and what root does not take."""

import os

import pytest

from gigq import configuration_file

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def host(tmp_path, monkeypatch):
    file = str(tmp_path / "etc" / "gigq.toml")
    monkeypatch.setattr(configuration_file, "FOR_THE_HOST", file)
    return file


@pytest.fixture
def here(tmp_path, monkeypatch, host):
    for name in ("etc", "project"):
        (tmp_path / name).mkdir()
    (tmp_path / "etc" / "gigq.toml").touch()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("PWD", str(tmp_path / "project"))
    return tmp_path / "project"


def test_the_variable_the_folder_and_the_host_are_searched_in_this_order(here, host):
    own = here / "gigq.toml"
    found = []
    for prepare in (own.touch, own.unlink, os.remove):
        prepare(*[host] if prepare is os.remove else [])
        found.append(configuration_file.search({}).file)

    assert found == [str(own), host, None]
    assert configuration_file.search({"GIGQD_CONFIG": "x.toml"}) == ("x.toml", (), "")
    assert configuration_file.search({}).passed_over == (
        "$GIGQD_CONFIG is not set",
        f"{own} is not there",
        f"{host} is not there",
    )


def test_the_folder_keeps_its_links(here, host, monkeypatch, tmp_path):
    (here / "gigq.toml").touch()
    (tmp_path / "current").symlink_to(here)
    monkeypatch.setenv("PWD", str(tmp_path / "current"))

    assert configuration_file.search({}).file == str(tmp_path / "current" / "gigq.toml")


@only_root
@pytest.mark.root
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda folder, _: os.chown(folder, 1, -1), "project belongs to user id 1"),
        (lambda _, file: os.chown(file, 1, -1), "gigq.toml belongs to user id 1"),
        (lambda folder, _: folder.chmod(0o777), "other accounts may write"),
        (lambda _, file: file.chmod(0o666), "other accounts may write"),
        (lambda _, file: (os.chown(file, 0, 1), file.chmod(0o664)), "other accounts may write"),
    ],
)
def test_root_takes_no_file_of_the_folder_that_another_account_may_change(here, host, change, why):
    file = here / "gigq.toml"
    file.touch()
    before = configuration_file.search({})

    change(here, file)
    after = configuration_file.search({})

    assert (before.file, after.file) == (str(file), host)
    assert f"{file} is not read: root takes it only from root" in after.passed_over[-1]
    assert why in after.passed_over[-1]
    assert before.refused == ""
    assert after.refused.startswith(after.passed_over[-1])
    assert f"{host} is used instead" in after.refused


def test_an_ordinary_account_takes_its_own_file(here, host, monkeypatch):
    (here / "gigq.toml").touch()
    here.chmod(0o777)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert configuration_file.search({}).file == str(here / "gigq.toml")
