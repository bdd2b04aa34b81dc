from __future__ import annotations

import os
import stat
from contextlib import nullcontext
from pathlib import Path

import pytest

from gigq import Job, JobQueue
from gigq.errors import StoreUnavailable, UnsupportedStore
from gigq.store.sqlite.file.filesystem import file_system_of, refuse_network, resolve

MOUNTS = r"""21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:20 / /proc rw - proc proc rw
30 21 0:44 / /mnt/share rw,relatime shared:9 master:3 - nfs4 host:/export rw
31 30 8:2 / /mnt/share/local rw - xfs /dev/sdb1 rw
32 21 0:50 / /mnt/with\040blank rw - cifs //host/share rw
33 21 0:51 / /home/me/remote rw - fuse.sshfs me@host: rw
34 21 0:52 / / rw - overlay overlay rw
35 21 0:53 / /var/pods rw - fuse.fuse-overlayfs fuse-overlayfs rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/queue.db", "overlay"),
        ("/mnt/share/queue.db", "nfs4"),
        ("/mnt/share/local/queue.db", "xfs"),
        ("/mnt/shared/queue.db", "overlay"),
        ("/mnt/with blank/queue.db", "cifs"),
        ("/home/me/remote/queue.db", "fuse.sshfs"),
    ],
)
def test_the_longest_and_last_mount_holds_the_file(path: str, kind: str) -> None:
    assert file_system_of(path, MOUNTS) == kind


@pytest.mark.fault("G13")
@pytest.mark.parametrize(
    "name",
    [
        "Fotos für später",
        "写真",
        "\u3000wide blank",
        "line\u2028end",
        "\x85",
        "not\udcff utf-8",
        "a\tb",
    ],
)
def test_a_mount_point_of_any_name_is_known(name: str) -> None:
    escaped = name.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")
    mounts = f"{MOUNTS}36 21 0:54 / /mnt/{escaped} rw - nfs4 host:/export rw\n"

    with pytest.raises(UnsupportedStore, match="network file system"):
        refuse_network(f"/mnt/{name}/q.db", mounts)


@pytest.mark.fault("G13")
@pytest.mark.parametrize(
    "kind",
    ["virtiofs", "9p", "fakeowner", "vboxsf", "prl_fs", "vmhgfs", "drvfs", "beegfs", "gpfs"],
)
def test_a_folder_of_a_host_or_a_cluster_is_refused(kind: str) -> None:
    mounts = f"{MOUNTS}36 21 0:54 / /mnt/it rw - {kind} it rw\n"

    with pytest.raises(UnsupportedStore, match=f"network file system .{kind}.*use a local disk"):
        refuse_network("/mnt/it/q.db", mounts)


@pytest.mark.fault("G13")
@pytest.mark.parametrize(
    "path", ["/mnt/share/q.db", "/mnt/with blank/q.db", "/home/me/remote/q.db"]
)
def test_a_network_file_system_is_refused_with_the_reason(path: str) -> None:
    with pytest.raises(UnsupportedStore, match=r"network file system .*use a local disk"):
        refuse_network(path, MOUNTS)


@pytest.mark.parametrize("path", ["/srv/q.db", "/mnt/share/local/q.db", "/var/pods/q.db"])
def test_a_local_file_system_is_accepted(path: str) -> None:
    refuse_network(path, MOUNTS)


def test_this_machine_can_be_asked(tmp_path: Path) -> None:
    refuse_network(str(tmp_path / "queue.db"))


@pytest.mark.parametrize(
    "path", ["", ":memory:", "file:x.db?mode=memory", "postgresql://u:secret@h/db"]
)
def test_what_is_not_a_path_is_refused(path: str) -> None:
    with pytest.raises(UnsupportedStore) as refused:
        resolve(path)

    assert "secret" not in str(refused.value)


def test_one_file_has_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    names = {resolve(n) for n in ("link/q.db", "real/q.db", "~/real/q.db", tmp_path / "link/q.db")}

    assert names == {str(tmp_path / "real" / "q.db")}


KINDS = {
    "is a folder": lambda path: path.mkdir(),
    "is a FIFO": os.mkfifo,
    "is a socket": lambda path: os.mknod(path, stat.S_IFSOCK | 0o600),
    "is a device": lambda path: path.symlink_to("/dev/null"),
}


@pytest.mark.parametrize("said", KINDS)
def test_what_is_no_ordinary_file_is_refused_by_name_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    KINDS[said](Path("q.db"))

    with pytest.raises(StoreUnavailable, match=said):
        JobQueue("q.db")
    assert [each.name for each in tmp_path.iterdir()] == ["q.db"]


@pytest.mark.fault("S2")
@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make links of two accounts")
@pytest.mark.parametrize("owner", [0, 4711])
def test_root_begins_a_file_where_its_own_link_points_and_not_where_anothers_does(
    tmp_path: Path, owner: int
) -> None:
    link, target = tmp_path / "q.db", tmp_path / "elsewhere.db"
    link.symlink_to(target)
    os.chown(link, owner, owner, follow_symlinks=False)

    with nullcontext() if owner == 0 else pytest.raises(StoreUnavailable, match="link of user id"):
        JobQueue(link).submit(Job("one", os.getpid))

    assert target.exists() is (owner == 0)
    assert owner == 0 or not (tmp_path / "elsewhere.db.gigq").exists()
