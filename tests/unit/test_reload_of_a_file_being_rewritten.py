"""`gigqd reload` reads a configuration again that is caught while it is rewritten."""

from __future__ import annotations

import os

import pytest
from support.configs import write_config

from gigqd.cli import reload
from gigqd.cli.find_daemon import runtime_files_of
from gigqd.cli.parser import build_parser
from gigqd.errors import ConfigError


@pytest.fixture
def file(tmp_path):
    return write_config(tmp_path)


def test_a_file_that_was_emptied_just_now_is_read_again(file, monkeypatch):
    text = file.read_text()
    file.write_text("")
    refusals = []

    def look(options):
        try:
            return runtime_files_of(options)
        except ConfigError as error:
            refusals.append(error)
            file.write_text(text)
            raise

    monkeypatch.setattr(reload, "runtime_files_of", look)
    runtime_files = reload._runtime_files(
        build_parser().parse_args(["--config", str(file), "reload"])
    )

    assert len(refusals) == 1
    assert runtime_files.directory == file.parent / "run"


def test_a_file_that_has_been_wrong_for_long_is_refused_at_once(file, monkeypatch):
    file.write_text("")
    os.utime(file, (1, 1))
    looks = []

    def look(options):
        looks.append(options)
        return runtime_files_of(options)

    monkeypatch.setattr(reload, "runtime_files_of", look)
    with pytest.raises(ConfigError):
        reload._runtime_files(build_parser().parse_args(["--config", str(file), "reload"]))

    assert len(looks) == 1
