"""The shipped unit, as systemd's own tools judge it."""

import re
import shutil
import subprocess
import sys

import pytest
from support.systemd import analyze, needs_systemd
from support.tree import ROOT

from gigqd import exit_codes
from gigqd.config import DaemonConfig

SYSTEMD = ROOT / "systemd"
UNIT = SYSTEMD / "gigqd.service"
MOST_EXPOSED = 13
"""Tenths of a point on the scale of `systemd-analyze security`, where 100 is the worst."""


@pytest.fixture
def unit(tmp_path):
    """The unit with a program that exists here in the place of the installed one."""
    program = tmp_path / "gigqd"
    program.write_text(f"#!{sys.executable}\n")
    program.chmod(0o755)
    copy = tmp_path / "gigqd.service"
    copy.write_text(UNIT.read_text().replace("/opt/gigqd/bin/gigqd", str(program)))
    return copy


def directives():
    lines = UNIT.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"^[A-Z]\w+=", line))


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_unit(unit):
    done = analyze("verify", "--man=no", unit)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
def test_the_unit_exposes_little(unit):
    done = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", unit)

    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_what_a_person_must_mend_is_not_restarted():
    prevented = directives()["RestartPreventExitStatus"].split()

    assert prevented == [
        str(code) for code in (exit_codes.USAGE, exit_codes.BAD_INSTALLATION, exit_codes.BAD_CONFIG)
    ]


def test_a_reload_is_one_that_can_fail_and_does_not_wait_for_jobs():
    assert "/gigqd reload --config " in directives()["ExecReload"]


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_unit_and_delegation(unit):
    drop_ins = unit.with_name("gigqd.service.d")
    drop_ins.mkdir()
    shutil.copy(SYSTEMD / "gigqd-delegate.conf", drop_ins)

    done = analyze("verify", "--man=no", unit)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_unit_and_more_rights(unit):
    drop_ins = unit.with_name("gigqd.service.d")
    drop_ins.mkdir()
    text = (SYSTEMD / "gigqd-more-rights.conf").read_text()
    (drop_ins / "gigqd-more-rights.conf").write_text(re.sub(r"(?m)^#(?=[A-Z]\w+=)", "", text))

    done = analyze("verify", "--man=no", unit)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_good_start_is_never_refused_for_bad_ones_before_it():
    assert directives()["StartLimitIntervalSec"] == "0"


def test_the_unit_names_its_documentation():
    pages = directives()["Documentation"].split()

    assert pages == ["man:gigqd(1)", "man:gigq(1)"]
    assert all((ROOT / "docs/man" / name).exists() for name in ("gigqd.1", "gigq.1"))


@needs_systemd
def test_a_mistake_in_a_drop_in_would_be_noticed(unit):
    drop_ins = unit.with_name("gigqd.service.d")
    drop_ins.mkdir()
    text = (SYSTEMD / "gigqd-delegate.conf").read_text()
    (drop_ins / "gigqd-delegate.conf").write_text(text.replace("Delegate=yes", "Delgate=yes"))

    done = analyze("verify", "--man=no", unit)

    assert "Delgate" in done.stdout + done.stderr


def test_what_delegation_needs_is_all_in_its_drop_in():
    lines = (SYSTEMD / "gigqd-delegate.conf").read_text().splitlines()
    changes = dict(line.split("=", 1) for line in lines if re.match(r"^[A-Z]\w+=", line))

    assert changes == {
        "Delegate": "yes", "ProtectControlGroups": "no", "OOMPolicy": directives()["OOMPolicy"],
    }  # fmt: skip


def test_the_watchdog_and_the_limits_are_what_the_daemon_counts_on():
    unit = directives()

    assert (unit["Type"], unit["NotifyAccess"], unit["KillMode"]) == ("notify", "main", "mixed")
    assert (unit["WatchdogSec"], unit["OOMPolicy"]) == ("60", "continue")
    assert int(unit["TimeoutStopSec"]) > DaemonConfig().stop_timeout
    assert int(unit["TimeoutStartSec"]) > DaemonConfig().start_timeout


def test_every_directive_of_the_service_has_its_reason_above():
    text = UNIT.read_text().partition("[Service]")[2].partition("[Install]")[0]
    blocks = [block for block in re.split(r"(?m)^(?=#)", text) if "=" in block]

    assert all(block.startswith("#") for block in blocks)
    assert not re.search(r"(?m)^[A-Z]\w+=.*\n\n+[A-Z]\w+=", text), "a directive without a comment"


def test_what_would_break_jobs_or_supervision_is_not_set():
    assert not {"ProcSubset", "MemoryDenyWriteExecute", "PrivateNetwork"} & set(directives())


@needs_systemd
@pytest.mark.skipif(not shutil.which("systemd-sysusers"), reason="no systemd-sysusers here")
def test_the_account_is_made(tmp_path):
    (tmp_path / "etc").mkdir()
    command = ["systemd-sysusers", f"--root={tmp_path}", str(SYSTEMD / "gigqd.sysusers")]
    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert "gigqd:" in (tmp_path / "etc/passwd").read_text()
