"""What the daemon makes has the modes that docs/architecture.md gives, under any umask."""

from __future__ import annotations

import re
import stat
import subprocess
import sys

import pytest
from support.tree import ROOT

pytestmark = pytest.mark.daemon

ROW = re.compile(r"^\| `(<(?:database|runtime_dir)>[^`]*)`(.*?) \| .* \| .*?(0[0-7]{3})[^|]*\|$")
LIKE = {"jobs.db-wal": "jobs.db", "jobs.db-shm": "jobs.db", "orderly": "run-1"}


def documented():
    """The patterns of the files and their modes."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    modes = {}
    for name, _, mode in (
        match.groups() for line in text.splitlines() if (match := ROW.match(line))
    ):
        plain = name.replace("<database>", "jobs.db").replace("<runtime_dir>", "run")
        pattern = re.escape(re.sub(r"<\w+>|…", "*", plain)).replace(r"\*", "[^/]*")
        modes[pattern.replace(r"\.fifo", r"\.(fifo|json)")] = int(mode, 8)
    return modes


def mode_for(path, modes):
    name = LIKE.get(path.rpartition("/")[2])
    path = path if name is None else path[: path.rfind("/") + 1] + name
    return next((mode for pattern, mode in modes.items() if re.fullmatch(pattern, path)), None)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_every_file_has_the_mode_that_the_documentation_gives(launched, umask):
    daemon = launched()
    command = [sys.executable, "-m", "gigqd", "--config", str(daemon.config_path), "start"]
    subprocess.run(command, env=daemon.environment, check=True, timeout=60, umask=umask)

    wrong, seen = {}, set()
    modes = documented() | {"run": 0o750, r"jobs\.db\.gigq": 0o700}
    for found in daemon.home.rglob("*"):
        path = str(found.relative_to(daemon.home))
        if path == "gigq.toml":
            continue
        mode, wanted = stat.S_IMODE(found.lstat().st_mode), mode_for(path, modes)
        seen.add(path)
        if wanted is None or mode not in (wanted, wanted & ~umask):
            wrong[path] = (oct(mode), wanted and oct(wanted))

    assert wrong == {}
    assert {"jobs.db", "jobs.db.gigq/locks", "run", "run/gigqd.sock", "run/gigqd.pid"} <= seen


@pytest.mark.parametrize("program", ["gigqd", "gigq"])
def test_a_umask_that_takes_the_owners_rights_makes_nothing_unusable(launched, program):
    daemon = launched()
    words = {"gigqd": ["start"], "gigq": ["submit", "os.getcwd", "--name", "x"]}[program]
    command = [sys.executable, "-m", program, "--config", str(daemon.config_path), *words]

    subprocess.run(command, env=daemon.environment, check=True, timeout=60, umask=0o777)

    found = {path.name: path.lstat().st_mode for path in daemon.home.rglob("*")}
    unusable = [name for name, mode in found.items() if mode & 0o600 != 0o600]
    assert unusable == []
    assert "jobs.db" in found
