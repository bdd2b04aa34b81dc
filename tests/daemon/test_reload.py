"""A reload takes all of a new configuration or nothing of it, and interrupts no job."""

from __future__ import annotations

import importlib
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from support import jobs
from support.daemon import TESTS
from support.waiting import wait_until

from gigq import Job

pytestmark = pytest.mark.daemon


@pytest.mark.fault("D1")
def test_a_broken_file_is_refused_with_file_and_line_and_changes_nothing(daemons):
    daemon = daemons()
    before = daemon.worker_pids()

    daemon.configure(text="[pools.mail]\nsize = 3\nqueus = ['mail']\n")
    answer = daemon.command("reload")

    line = daemon.config_path.read_text().splitlines().index("queus = ['mail']") + 1
    assert answer.returncode == 78
    assert f"gigq.toml:{line}: pools.mail.queus" in answer.stderr
    assert 'did you mean "queues"' in answer.stderr
    assert daemon.worker_pids() == before
    assert daemon.status()["generation"] == 1
    assert daemon.events("reload_refused")


def test_a_reload_warns_as_a_start_does(daemons):
    daemon = daemons()

    daemon.configure({"pools.spare.size": 0})
    daemon.command("reload")

    warnings = [line["warning"] for line in daemon.events("config_warning")]
    assert any('the pool "spare" has no workers' in warning for warning in warnings)


@pytest.mark.fault("D15")
def test_a_file_that_stays_the_beginning_of_the_one_in_force_is_taken_with_a_warning(daemons):
    daemon = daemons({"pools.spare.size": 1})
    in_force = daemon.config_path.read_text()

    daemon.config_path.write_text(in_force[: in_force.index("[pools.spare]")])
    answer = daemon.command("reload")

    assert answer.stdout == "gigqd reloaded\napplied at once: pools.spare\n"
    warnings = [line["warning"] for line in daemon.events("config_warning")]
    assert any("holds only the beginning of what it held before" in text for text in warnings)


@pytest.mark.fault("D1")
@pytest.mark.parametrize("way", ["missing", "a directory", "empty of sense"])
def test_a_file_that_cannot_be_read_is_refused(daemons, way):
    daemon = daemons()
    before = daemon.worker_pids()
    text = daemon.config_path.read_text()

    daemon.config_path.unlink()
    if way == "a directory":
        daemon.config_path.mkdir()
    elif way == "empty of sense":
        daemon.config_path.write_bytes(b"\xff\xfe\x00")
    daemon.signal(signal.SIGHUP)
    daemon.wait_for_event("reload_refused")
    if way == "a directory":
        daemon.config_path.rmdir()
    daemon.config_path.write_text(text)

    assert daemon.worker_pids() == before


@pytest.mark.fault("D2", "D3")
@pytest.mark.parametrize(
    ("body", "code"),
    [("raise RuntimeError('closed')", 76), ("import time; time.sleep(600)", 70)],
    ids=["fails", "hangs"],
)
def test_code_that_does_not_boot_is_refused_and_the_old_workers_go_on(
    daemons, tmp_path, body, code
):
    module = tmp_path / "shop.py"
    module.write_text("x = 1\n")
    daemon = daemons(
        {"code.python_path": [str(tmp_path), str(TESTS)], "pools.default.boot_timeout": 1}
    )
    before = daemon.worker_pids()

    module.write_text(body + "\n")
    daemon.configure({"code.imports": ["shop"]})
    answer = daemon.command("reload")

    assert answer.returncode == code
    assert "cannot boot" in answer.stderr
    wait_until(lambda: daemon.worker_pids() == before)
    assert daemon.status()["generation"] == 1
    assert daemon.status()["state"] == "running"
    daemon.wait_for_job(daemon.submit(jobs.ok, "after"), "completed")


@pytest.mark.fault("D2")
def test_refused_reloads_count_as_no_restarts_and_no_failures_of_the_pool(daemons, tmp_path):
    daemon = daemons({"code.python_path": [str(tmp_path), str(TESTS)]})
    (tmp_path / "shop.py").write_text("x = 1\nx.price\n")
    daemon.configure({"code.imports": ["shop"]})

    answers = [daemon.command("reload") for _ in range(3)]
    status = daemon.status()

    assert [answer.returncode for answer in answers] == [76] * 3
    assert f"(while importing shop, {tmp_path}/shop.py:2)" in answers[0].stderr
    assert (status["counters"]["boot"], status["counters"]["restarts"]) == (0, 0)
    assert (status["open_breakers"], status["recent_failures"]) == ([], [])
    assert not daemon.events("pool_breaker_open")


def test_a_reload_that_changes_no_key_says_that_it_took_the_code(daemons):
    answer = daemons().command("reload", "--wait")

    assert answer.stdout == "gigqd reloaded: code reloaded, no key changed\n"


@pytest.mark.fault("D7")
def test_reloads_at_the_same_time_are_all_answered(daemons):
    daemon = daemons()

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: daemon.command("reload"), range(4)))

    assert [answer.returncode for answer in answers] == [0] * 4
    wait_until(lambda: len(daemon.slots("idle")) == 2)


@pytest.mark.fault("D5")
def test_the_pool_grows_and_shrinks_under_load_without_losing_or_repeating_a_job(daemons):
    daemon = daemons({"pools.default.size": 2})
    ids = {
        f"job-{n}": daemon.submit(jobs.sleep_py, f"job-{n}", {"seconds": 0.02}) for n in range(120)
    }

    for size, done in ((6, 20), (1, 50), (3, 80)):
        wait_until(lambda done=done: daemon.queue.stats()["completed"] >= done, 30)
        daemon.configure({"pools.default.size": size})
        assert daemon.command("reload").returncode == 0
        wait_until(lambda size=size: len(daemon.slots()) == size)
    wait_until(lambda: daemon.queue.stats()["completed"] == 120, 30)

    assert sorted(call.job for call in daemon.calls()) == sorted(ids)
    assert all(daemon.job(job_id)["attempts"] == 1 for job_id in ids.values())


@pytest.mark.fault("D13")
def test_a_running_job_is_finished_by_the_worker_that_began_it(daemons):
    daemon = daemons({"pools.default.size": 1})
    job_id = daemon.submit(jobs.wait_for_file, "long", {"path": str(daemon.home / "go")})
    (call,) = daemon.wait_for_calls("long")

    daemon.command("reload")
    assert daemon.job(job_id)["status"] == "running"
    (daemon.home / "go").touch()
    job = daemon.wait_for_job(job_id)

    assert job["status"] == "completed"
    assert len(daemon.calls("long")) == 1
    wait_until(lambda: (pids := daemon.worker_pids()) and call.pid not in pids)


def test_workers_run_the_code_that_is_on_disk_after_a_reload(daemons, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "shop_with_prices.py"
    module.write_text("def price():\n    return 1\n")
    daemon = daemons({"code.python_path": [str(tmp_path)], "pools.default.size": 1})
    shop = importlib.import_module("shop_with_prices")

    def price() -> object:
        return daemon.wait_for_job(daemon.queue.submit(Job("price", shop.price)))["result"]

    before = price()
    module.write_text("def price():\n    return 2222\n")
    without = price()
    daemon.command("reload", "--wait")

    assert (before, without, price()) == (1, 1, 2222)


def test_a_change_of_the_environment_reaches_the_next_workers(daemons):
    daemon = daemons({"pools.default.size": 1})
    daemon.configure(text='[code.environment]\nSHOP = "open"\n')

    answer = daemon.command("reload", "--wait")
    job_id = daemon.submit(jobs.environment, "look", {"names": ["SHOP"]})

    assert "code.environment" in answer.stdout
    assert daemon.wait_for_job(job_id)["result"]["env"] == {"SHOP": "open"}


@pytest.mark.fault("D10")
def test_what_only_a_restart_can_change_is_named_and_left_as_it_was(daemons):
    daemon = daemons()
    daemon.configure({"queue.database": "other.db", "pools.default.size": 3})

    answer = daemon.command("reload")
    wait_until(lambda: len(daemon.slots()) == 3)

    assert answer.returncode == 0
    assert "queue.database" in answer.stdout
    assert daemon.status()["database"] == str(daemon.database)
    daemon.configure({"queue.database": "jobs.db"})


def test_a_pool_is_added_with_its_own_queue_and_taken_away_again(daemons):
    daemon = daemons({"pools.default.queues": ["default"]})
    waiting = daemon.submit(jobs.ok, "letter", queue="mail")
    daemon.wait_for_job(daemon.submit(jobs.ok, "other"))
    assert daemon.job(waiting)["status"] == "pending"

    daemon.configure({"pools.mail.size": 1, "pools.mail.queues": ["mail"]})
    daemon.command("reload")
    daemon.wait_for_job(waiting, "completed")
    daemon.configure({"pools.mail.size": None, "pools.mail.queues": None})
    daemon.command("reload")

    wait_until(lambda: {slot["pool"] for slot in daemon.slots()} == {"default"})


@pytest.mark.fault("D9")
def test_many_reloads_leave_no_descriptor_behind(daemons):
    daemon = daemons()

    for _ in range(8):
        daemon.signal(signal.SIGHUP)
        generation = daemon.status()["generation"]
        wait_until(lambda seen=generation: daemon.status()["generation"] >= seen)
    wait_until(lambda: len(daemon.slots("idle")) == 2)

    daemon.check_while_running()


def test_a_reload_during_the_start_waits_for_the_pools(daemons):
    daemon = daemons({"pools.default.size": 1}, start=False)

    with closing(sqlite3.connect(daemon.database, isolation_level=None)) as blocker:
        blocker.execute("PRAGMA journal_mode = WAL")
        blocker.execute("BEGIN EXCLUSIVE")
        start = ThreadPoolExecutor(1).submit(daemon.start)
        wait_until(daemon.runtime_files.socket_path.exists)
        daemon.signal(signal.SIGHUP)
        slots = [daemon.status()["slots"] for _ in range(3)][-1]
        blocker.execute("ROLLBACK")
    start.result()
    daemon.breaks("P3", "what is open at the start was counted during the reload")

    assert [slot["slot"] for slot in slots] == ["recorder"]
    assert daemon.wait_for_event("reload_applied")["generation"] == 2
    wait_until(lambda: [slot["slot"] for slot in daemon.slots("idle")] == ["default/0"])
