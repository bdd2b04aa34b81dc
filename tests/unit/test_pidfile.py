"""The pid file is a note: it is written whole and read with suspicion."""

import os

import pytest
from support.files import names_in

from gigqd import kernel, pidfile
from gigqd.pidfile import PidNote


def test_this_process_is_noted_with_its_start_time(tmp_path):
    path = tmp_path / "gigqd.pid"

    pidfile.write(path)

    assert path.read_text() == f"{os.getpid()}\nstart_ticks={kernel.start_ticks(os.getpid())}\n"
    assert pidfile.read(path).names_a_live_process()
    assert names_in(tmp_path) == ["gigqd.pid"]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (b"17\nstart_ticks=99\n", PidNote(17, 99)),
        (b"17\nstart_ticks=soon\n", None),
        (b"17\n", PidNote(17, None)),
        (b"17 ", PidNote(17, None)),
        (b"", None),
        (b"\0\0\0\0", None),
        (b"-1\n5\n", None),
        (b"0\n5\n", None),
        (b"1e3\n", None),
        (b"17\nsoon\n", None),
        (b"9" * 60, None),
    ],
)
def test_what_is_not_a_process_id_is_not_believed(tmp_path, text, note):
    path = tmp_path / "gigqd.pid"
    path.write_bytes(text)

    assert pidfile.read(path) == note


def test_a_process_with_another_start_time_is_not_the_noted_one():
    assert not PidNote(os.getpid(), 1).names_a_live_process()
    assert not PidNote(os.getpid(), None).names_a_live_process()


def test_a_link_a_folder_or_a_pipe_in_its_place_says_nothing(tmp_path):
    (tmp_path / "real").write_text("17\n")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")

    notes = [pidfile.read(tmp_path / name) for name in ("link", "folder", "pipe", "missing")]

    assert notes == [None] * 4


def test_only_the_own_pid_file_is_removed(tmp_path):
    own, other = tmp_path / "own", tmp_path / "other"
    pidfile.write(own)
    other.write_text("1\n1\n")

    pidfile.remove_own(own)
    pidfile.remove_own(other)

    assert names_in(tmp_path) == ["other"]


def test_a_pid_file_that_cannot_be_written_leaves_no_trace(tmp_path):
    (tmp_path / "gigqd.pid").mkdir()

    with pytest.raises(OSError, match="directory"):
        pidfile.write(tmp_path / "gigqd.pid")

    assert names_in(tmp_path) == ["gigqd.pid"]
