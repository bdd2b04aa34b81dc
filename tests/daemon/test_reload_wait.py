"""How long `gigqd reload` waits, for what, and what it says when it does not wait any longer."""

import json
import threading

import pytest
from support import jobs
from support.waiting import wait_until

from gigqd import exit_codes

pytestmark = pytest.mark.daemon


@pytest.fixture
def busy(daemons):
    """A daemon with one worker, which runs a job until the file `go` is there."""
    daemon = daemons({"pools.default.size": 2})
    daemon.submit(jobs.wait_for_file, "long", {"path": str(daemon.home / "go")})
    daemon.wait_for_calls("long")
    return daemon


@pytest.mark.fault("D13")
def test_a_reload_does_not_wait_for_running_jobs_unless_it_is_to(busy):
    (old,) = [slot["pid"] for slot in busy.slots("busy")]
    done = busy.command("reload")

    assert done.returncode == 0
    # The idle workers and the canary may still be leaving.
    assert old in [slot["pid"] for slot in busy.slots("draining")]
    (busy.home / "go").touch()


@pytest.mark.fault("D13")
def test_wait_returns_when_the_last_old_worker_is_gone(busy):
    (old,) = [slot["pid"] for slot in busy.slots("busy")]
    answers = []
    thread = threading.Thread(target=lambda: answers.append(busy.command("reload", "--wait")))
    thread.start()
    wait_until(lambda: busy.slots("draining"))
    early = list(answers)
    (busy.home / "go").touch()
    thread.join()

    (done,) = answers
    assert early == []
    assert done.returncode == 0, done
    assert old not in busy.worker_pids()
    assert {slot["configuration"] for slot in busy.slots()} == {2}


@pytest.mark.fault("D13")
def test_a_wait_that_is_over_names_who_still_runs_an_old_job(busy):
    (slot,) = [slot["slot"] for slot in busy.slots("busy")]

    done = busy.command("reload", "--wait", "--timeout", "1")
    again = busy.command("reload", "--wait", "--timeout", "1", "--json")
    (busy.home / "go").touch()

    assert done.returncode == again.returncode == exit_codes.FAILED
    assert "reloaded, but after 1 s these still have the old configuration: " in done.stderr
    assert f"{slot} (draining, long (attempt 1))" in done.stderr
    answer = json.loads(again.stdout)
    assert (answer["ok"], answer["code"], answer["generation"]) == (False, 1, 3)
    assert answer["old"] == [slot]


@pytest.mark.fault("D3")
def test_a_canary_that_takes_longer_than_the_command_waits_is_said_and_goes_on(daemons, tmp_path):
    go = tmp_path / "go"
    module = tmp_path / "slow_shop.py"
    module.write_text(
        "import pathlib, time\n"
        f"while not pathlib.Path({str(go)!r}).exists():\n    time.sleep(0.02)\n"
    )
    daemon = daemons({"pools.default.size": 1})
    daemon.configure({"code.imports": ["slow_shop"], "code.python_path": [str(tmp_path)]})

    done = daemon.command("reload", "--timeout", "1")
    before = daemon.status()["generation"]
    go.touch()
    daemon.wait_for_event("reload_applied")

    assert done.returncode == exit_codes.FAILED
    assert "a worker with the new configuration is not up after 1 s" in done.stderr
    assert "continues to try it" in done.stderr
    assert (before, daemon.status()["generation"]) == (1, 2)


def test_a_stop_does_not_wait_for_a_canary_whose_application_hangs(daemons, tmp_path):
    (tmp_path / "stuck_shop.py").write_text("import time\ntime.sleep(3600)\n")
    daemon = daemons({"pools.default.size": 1, "daemon.stop_timeout": "30m"})
    daemon.configure(
        {
            "daemon.stop_timeout": "30m",
            "pools.default.boot_timeout": "30m",
            "code.imports": ["stuck_shop"],
            "code.python_path": [str(tmp_path)],
        }
    )
    reload = threading.Thread(target=daemon.command, args=("reload",))
    reload.start()
    wait_until(lambda: daemon.slots("booting"))

    done = daemon.command("stop")
    reload.join()

    assert done.returncode == 0, done
    assert not daemon.alive
