"""Finding the control group that is the daemon's to divide."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from gigqd.process import cgroups
from gigqd.process.cgroups import ControlGroup, Delegation

if TYPE_CHECKING:
    from pathlib import Path

MOUNTS = """\
24 1 0:22 / /sys rw,relatime shared:7 - sysfs sysfs rw
30 24 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
31 24 0:27 {root} /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw
"""


@pytest.mark.parametrize("root", ["/", "/docker/0123"])
def test_the_place_of_version_2_is_read_from_the_mounts(root: str) -> None:
    assert cgroups._mount_point(MOUNTS.format(root=root)) == ("/sys/fs/cgroup/unified", root)
    assert cgroups._mount_point(MOUNTS.splitlines()[0]) is None


def test_the_own_group_of_version_2_is_the_one_with_number_zero() -> None:
    text = "12:memory:/a\n1:name=systemd:/b\n0::/system.slice/gigqd.service\n"

    assert cgroups._own_path(text) == "/system.slice/gigqd.service"
    assert cgroups._own_path("1:cpu:/\n") is None


def test_a_group_without_the_mark_is_not_the_daemons_to_divide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cgroup.procs").touch()
    (tmp_path / "cgroup.kill").touch()
    monkeypatch.setattr(cgroups, "own_folder", lambda: tmp_path)

    assert Delegation.find() is None
    assert cgroups.enter_delegated_group() is None
    monkeypatch.setattr(os, "getxattr", lambda _path, _name: b"1")
    assert Delegation.find() == Delegation(tmp_path)


def test_a_group_that_cannot_be_killed_as_a_whole_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cgroup.procs").touch()
    monkeypatch.setattr(cgroups, "own_folder", lambda: tmp_path)
    monkeypatch.setattr(os, "getxattr", lambda _path, _name: b"1")

    assert Delegation.find() is None


def test_a_group_that_cannot_be_made_or_joined_stops_no_worker(tmp_path: Path) -> None:
    gone = ControlGroup(tmp_path / "gone" / "group")

    assert Delegation(tmp_path / "gone").make_group("1") is None
    cgroups.join(gone)
    cgroups.join(None)
    assert not gone.kill()
    assert gone.is_empty
    assert gone.processes() == []
    gone.remove()


def test_a_start_removes_the_empty_groups_of_dead_daemons(tmp_path: Path) -> None:
    (tmp_path / "gigqd").mkdir()
    (tmp_path / "gigqd-worker-17.1").mkdir()
    busy = tmp_path / "gigqd-worker-18.1"
    (busy / "something").mkdir(parents=True)

    Delegation(tmp_path).enter()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["gigqd", busy.name]
