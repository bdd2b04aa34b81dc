"""What went wrong with renamed keys, options and new installations, from public bug reports."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest
from support import jobs
from support.daemon import TESTS, on_both_databases
from support.tree import PACKAGES, ROOT
from support.waiting import wait_until

from gigqd import exit_codes

pytestmark = pytest.mark.daemon

ONE = {"pools.default.size": 1}
REPLACED = "raise ImportError('a module of another version')\n"


@pytest.fixture
def site(tmp_path):
    """A folder with both packages, as an installer has put them there."""
    folder = tmp_path / "site"
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    return folder


def installed(daemon, site):
    """The daemon, with an interpreter that finds the packages in a folder."""
    path = daemon.home / "interpreter"
    path.write_text(f'#!/bin/sh\nPYTHONPATH={site} exec {sys.executable} -P "$@"\n')
    path.chmod(0o755)
    daemon.interpreter = str(path)
    return daemon


# --- a new version over a running one ---------------------------------------------------------


@pytest.mark.fault("A26")
@on_both_databases
def test_a_daemon_whose_files_were_replaced_goes_on_with_those_that_it_has_loaded(daemons, site):
    """getpaseo/paseo#3541: an update replaced the workers alone, which an old supervisor killed."""
    daemon = installed(daemons(ONE, start=False), site)
    daemon.start()
    daemon.wait_for_job(daemon.submit(jobs.ok, "before"))

    for module in site.rglob("*.py"):
        module.write_text(REPLACED)
    for cache in site.rglob("__pycache__"):
        shutil.rmtree(cache)
    os.kill(daemon.worker_pids()[0], signal.SIGKILL)
    assert daemon.wait_for_job(daemon.submit(jobs.ok, "after"))["status"] == "completed"
    late = daemon.submit(jobs.sleep_py, "late", timeout=1, max_attempts=1)
    assert daemon.wait_for_job(late)["status"] == "timeout"
    daemon.configure({"pools.default.size": 2}, text="[log]\nlevl = 1\n")
    assert daemon.client.ask("reload", within=20)["code"] == exit_codes.BAD_CONFIG
    daemon.configure()
    assert daemon.client.ask("reload", within=20)["ok"]
    wait_until(lambda: len(daemon.slots("idle")) == 2)
    assert daemon.wait_for_job(daemon.submit(jobs.ok, "reloaded"))["status"] == "completed"

    daemon.stop()
    assert "another version" not in daemon.log_text()


@pytest.mark.fault("A26")
def test_modules_of_another_version_that_were_left_behind_change_nothing(daemons, site):
    """certbot/certbot#482: a moved module's old file stayed, and was imported in its place."""
    for package in [path.parent for path in site.rglob("__init__.py")]:
        package.with_suffix(".py").write_text(REPLACED)
        (package / "left_behind.py").write_text(REPLACED)
    daemon = installed(daemons(ONE, start=False), site)

    daemon.start()

    assert daemon.wait_for_job(daemon.submit(jobs.ok, "a"))["status"] == "completed"


@pytest.mark.fault("A26")
def test_folders_that_hold_nothing_but_old_bytecode_change_nothing(daemons, site):
    """alliedmodders/ambuild#109: the caches of a package hid the module that had replaced it."""
    for module in [path for path in site.rglob("*.py") if path.name != "__init__.py"]:
        cache = module.with_suffix("") / "__pycache__"
        cache.mkdir(parents=True)
        (cache / f"__init__.{sys.implementation.cache_tag}.pyc").write_bytes(b"of another version")
    daemon = installed(daemons(ONE, start=False), site)

    daemon.start()

    assert daemon.wait_for_job(daemon.submit(jobs.ok, "a"))["status"] == "completed"


def test_requests_of_another_version_are_answered_and_end_nothing(daemons):
    """rails/spring#475: a server and a client of two versions could do nothing together."""
    daemon = daemons(ONE)

    assert daemon.client.ask("status", verbose=True, protocol=2)["ok"]
    unknown = daemon.client.ask("drain")

    assert (unknown["ok"], unknown["code"]) == (False, exit_codes.USAGE)
    assert "unknown command 'drain'" in unknown["error"]
    assert daemon.command("status").returncode == exit_codes.OK


# --- keys, variables, options and files under old names ---------------------------------------


def test_a_reload_with_a_key_under_its_old_name_changes_nothing_and_says_the_new_one(daemons):
    """AUTO-MAS-Project/AUTO-MAS#433: a setting under its old name silently had its default."""
    daemon = daemons({"pools.default.allowed_leaks": ["directory"]})

    daemon.configure(
        {"pools.default.allowed_leaks": None, "pools.default.allowed_residue": ["directory"]}
    )
    done = daemon.command("reload")

    assert done.returncode == exit_codes.BAD_CONFIG
    assert "allowed_residue: unknown key; it is called allowed_leaks now" in done.stderr
    assert daemon.status()["generation"] == 1


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        (
            "GIGQD_POOLS__DEFAULT__ALLOWED_RESIDUE",
            "children",
            "GIGQD_POOLS__DEFAULT__ALLOWED_LEAKS",
        ),
        ("GIGQD_Log__Level", "loud", "none of debug"),
    ],
)
def test_a_variable_under_an_old_name_or_in_another_case_is_never_passed_over(
    launched, variable, value, says
):
    """Bogdanp/dramatiq#436: a variable was renamed, in its case alone, and the old one broke."""
    daemon = launched(ONE)
    daemon.environment[variable] = value

    for command in ("check", "start"):
        done = daemon.command(command)
        assert done.returncode == exit_codes.BAD_CONFIG
        assert variable in done.stderr
        assert says in done.stderr


def test_a_unit_with_an_option_that_is_gone_does_not_start(launched):
    """benoitc/gunicorn#1486: a start script had an option that a new version no longer took."""
    done = launched(ONE).command("run", "--pid-file", "gigqd.pid")

    assert done.returncode == exit_codes.USAGE
    assert "unrecognized arguments: --pid-file" in done.stderr


def test_a_configuration_under_another_name_is_not_replaced_by_defaults(launched):
    """rails/solid_queue#340: the configuration got another name, and an old one was not read."""
    daemon = launched(ONE)
    daemon.config_path.rename(daemon.home / "gigqd.toml")

    done = subprocess.run(
        [sys.executable, "-m", "gigqd", "start"],
        cwd=daemon.home,
        env=daemon.environment | {"PYTHONPATH": f"{ROOT}:{TESTS}"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == exit_codes.BAD_CONFIG
    assert f"{daemon.home / 'gigq.toml'} is not there" in done.stderr
    assert not daemon.database.exists()
