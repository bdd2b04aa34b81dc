"""Lines for systemd's journal carry their priority, and no others do."""

import os

import pytest

from gigqd import logs
from gigqd.config import LogConfig
from gigqd.logs.journal import leads_to_journal, with_priority

log = logs.get_logger("test")


@pytest.fixture
def stream(tmp_path):
    descriptor = os.open(tmp_path / "stream", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    yield descriptor
    os.close(descriptor)
    logs.configure(LogConfig())


def name_of(descriptor):
    status = os.fstat(descriptor)
    return f"{status.st_dev}:{status.st_ino}"


@pytest.mark.parametrize("form", ["json", "console"])
def test_each_line_has_the_priority_of_its_level(stream, monkeypatch, form):
    monkeypatch.setenv("JOURNAL_STREAM", name_of(stream))
    logs.configure(LogConfig(format=form, level="debug"), fd=stream)
    for write in (log.debug, log.info, log.warning, log.error, log.critical):
        write("happened")

    lines = os.pread(stream, 10_000, 0).decode().splitlines()

    assert [line[:3] for line in lines] == ["<7>", "<6>", "<4>", "<3>", "<2>"]


def test_elsewhere_there_is_none(stream, monkeypatch):
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    logs.configure(LogConfig(format="json"), fd=stream)
    log.error("happened")

    assert os.pread(stream, 10_000, 0).startswith(b"{")
    assert not leads_to_journal(stream)
    assert not leads_to_journal(10_000)


def test_every_line_of_a_text_has_it():
    assert with_priority("one\ntwo", "error") == "<3>one\n<3>two"
