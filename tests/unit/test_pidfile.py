"""The pid file is a note: it is written whole and read with suspicion."""

import os

import pytest
from support.files import names_in

from gigqd.host import pidfile


def test_the_pid_file_holds_one_number(tmp_path):
    path = tmp_path / "gigqd.pid"

    pidfile.write(path)

    assert path.read_text() == f"{os.getpid()}\n"
    assert pidfile.read(path) == os.getpid()
    assert names_in(tmp_path) == ["gigqd.pid"]


@pytest.mark.parametrize(
    ("text", "pid"),
    [
        (b"17\n", 17),
        (b"17 ", 17),
        (b"17\nstart_ticks=99\n", 17),
        (b"", None),
        (b"\0\0\0\0", None),
        (b"-1\n", None),
        (b"0\n", None),
        (b"1e3\n", None),
        (b"\xb2\n", None),
        (b"9" * 60, None),
    ],
)
def test_what_is_not_a_process_id_is_not_believed(tmp_path, text, pid):
    path = tmp_path / "gigqd.pid"
    path.write_bytes(text)

    assert pidfile.read(path) == pid


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
