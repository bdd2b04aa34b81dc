"""What went wrong with Django and Flask in other queues, from public bug reports."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest
from support.by_name import submit
from support.django_project import make_tables, manage, start_project
from support.made_once import made_once
from support.pages import write_files
from support.shell import clean_environment
from support.waiting import wait_until

from gigq import JobQueue, close_connections

pytestmark = pytest.mark.daemon

SETTINGS = """
INSTALLED_APPS.append("orders")
DATABASES["archive"] = {**DATABASES["default"], "NAME": BASE_DIR / "archive.sqlite3"}
for database in DATABASES.values():
    database["CONN_MAX_AGE"] = None
CACHES = {"default": {"BACKEND": "orders.caches.NotingCache"}}
"""
CACHES = """
from django.core.cache.backends.locmem import LocMemCache


class NotingCache(LocMemCache):
    closed = 0

    def close(self, **kwargs):
        NotingCache.closed += 1
"""
MODELS = """
from django.db import models


class Order(models.Model):
    state = models.CharField(max_length=20, default="new")
"""
DJANGO_JOBS = """
import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.db import connection, transaction
from orders.caches import NotingCache
from orders.models import Order


def use_the_cache():
    cache.set("a", 1)
    return NotingCache.closed


def create(state):
    asyncio.run(Order.objects.acreate(state=state))


def create_and_leave_autocommit_off(state):
    def create():
        transaction.set_autocommit(False)
        Order.objects.create(state=state)

    asyncio.run(sync_to_async(create)())


def create_in_two_calls(state, folder):
    def begin():
        transaction.set_autocommit(False)
        Order.objects.create(state=state)

    def end():
        transaction.commit()
        transaction.set_autocommit(True)

    async def create():
        await sync_to_async(begin)()
        Path(folder, "begun").touch()
        while not Path(folder, "go").exists():
            await asyncio.sleep(0.01)
        await sync_to_async(end)()

    asyncio.run(create())
    return count(state)


def count_in_threads(state):
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(count, [state] * 8))
    return len(found)


def files_open():
    places = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    files = [os.readlink(place) for place in places if os.path.lexists(place)]
    return sum(file.endswith(".sqlite3") for file in files)


def create_in_a_thread_and_leave_autocommit_off(state):
    def create():
        transaction.set_autocommit(False)
        Order.objects.create(state=state)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(create).result()


def lose_the_connection():
    async def lose():
        await Order.objects.acount()
        await sync_to_async(lambda: connection.connection.close())()
        await Order.objects.acount()

    asyncio.run(lose())


def archive(state, leave_open):
    Order.objects.create(state=state)
    if leave_open:
        transaction.set_autocommit(False, using="archive")
    Order.objects.using("archive").create(state=state)


def count(state, using="default"):
    return Order.objects.using(using).filter(state=state).count()
"""
FLASK_JOBS = """
from app import app
from flask import g, has_request_context


def look_into_another_context():
    g.seen = "outer"
    with app.app_context():
        g.seen = "inner"
    return g.seen


def leave_a_context():
    app.test_request_context("/thumbnails").push()
    g.seen = "left"


def look():
    return [has_request_context(), g.get("seen")]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A Django project with two databases, whose connections stay."""
    made = made_once(tmp_path_factory, "project with two databases", make_project)
    return shutil.copytree(made, tmp_path_factory.mktemp("project"), dirs_exist_ok=True)


def make_project(folder):
    start_project(folder)
    with (folder / "shop/settings.py").open("a") as file:
        file.write(SETTINGS)
    (folder / "orders/models.py").write_text(MODELS)
    (folder / "orders/caches.py").write_text(CACHES)
    (folder / "orders/more_jobs.py").write_text(DJANGO_JOBS)
    make_tables(folder, "default", "archive")


@pytest.fixture
def django(daemons, project):
    """A daemon with one worker for the jobs of the Django project."""
    return daemons(
        {
            "pools.default.size": 1,
            "code.hooks": "gigq.contrib.django",
            "code.python_path": [str(project)],
            "code.environment.DJANGO_SETTINGS_MODULE": "shop.settings",
        }
    )


@pytest.fixture
def flask(daemons):
    """A daemon with one worker for jobs of the how-to page's Flask application."""
    daemon = daemons(start=False)
    write_files("flask", daemon.home)
    (daemon.home / "more_jobs.py").write_text(FLASK_JOBS)
    daemon.configure(
        {
            "pools.default.size": 1,
            "code.hooks": "job_context",
            "code.python_path": [str(daemon.home)],
        }
    )
    daemon.start()
    return daemon


def run(daemon, name, /, **params):
    return daemon.wait_for_job(submit(daemon.queue, name, params, max_attempts=1), within=60)


def test_a_transaction_that_an_asynchronous_call_leaves_open_swallows_no_later_writes(django):
    """procrastinate-org/procrastinate#1551: nothing closed the connections of such calls."""
    orders = "orders.more_jobs"
    before = run(django, f"{orders}.create", state="before")
    lost = run(django, f"{orders}.create_and_leave_autocommit_off", state="lost")
    after = run(django, f"{orders}.create", state="after")
    workers = django.worker_pids()
    django.stop()
    django.start()

    found = {
        state: run(django, f"{orders}.count", state=state)["result"]
        for state in ("before", "lost", "after")
    }

    assert [before["status"], after["status"]] == ["completed"] * 2
    assert lost["error_type"] == "gigq.contrib.django.OpenTransactionError"
    assert found == {"before": 1, "lost": 0, "after": 1}
    assert django.worker_pids() != workers
    assert django.events("job_left_residue") == []


def test_asynchronous_calls_of_one_job_are_left_alone_when_another_one_ends(project, tmp_path):
    """celery/celery#149: with two jobs at once one closed the connection that the other used."""
    queue = JobQueue(tmp_path / "jobs.db")
    params = {"state": "in two calls", "folder": str(tmp_path)}
    held = submit(queue, "orders.more_jobs.create_in_two_calls", params, max_attempts=1)

    with working(project, tmp_path / "jobs.db"):
        wait_until((tmp_path / "begun").exists, 60)
        other = submit(queue, "os.getpid")
        wait_until(lambda: queue.get_status(other)["status"] == "completed", 60)
        (tmp_path / "go").touch()
        wait_until(lambda: queue.get_status(held)["status"] in ("completed", "failed"), 60)
    job = queue.get_status(held)
    close_connections()

    assert job["status"] == "completed", job["error"]
    assert job["result"] == 1


@contextmanager
def working(project, database):
    """Run a plain worker with two threads for the jobs of the Django project."""
    command = ["worker", "--concurrency", "2", "--hooks", "gigq.contrib.django"]
    place = ["--app-dir", str(project), "--db", str(database)]
    with subprocess.Popen(
        [sys.executable, "-m", "gigq", *command, *place],
        env=clean_environment(DJANGO_SETTINGS_MODULE="shop.settings"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as worker:
        try:
            yield
        finally:
            worker.kill()


def test_a_connection_of_asynchronous_calls_that_dies_fails_that_attempt_only(django):
    """procrastinate-org/procrastinate#1316: it stayed with the worker until that was restarted."""
    lost = run(django, "orders.more_jobs.lose_the_connection")
    after = [run(django, "orders.more_jobs.create", state="again")["status"] for _ in range(2)]

    assert lost["status"] == "failed"
    assert "closed database" in lost["error"]
    assert after == ["completed"] * 2


def test_the_connections_of_a_jobs_own_threads_are_closed_when_it_ends(django):
    """meeb/tubesync#1502: connections of ended threads used up the pool, and all jobs failed."""
    before = run(django, "orders.more_jobs.files_open")["result"]
    for _ in range(3):
        assert run(django, "orders.more_jobs.count_in_threads", state="none")["result"] == 8
    after = run(django, "orders.more_jobs.files_open")["result"]

    assert (before, after) == (0, 0)


def test_connections_are_only_kept_for_jobs_and_not_for_the_threads_of_an_application(project):
    """procrastinate-org/procrastinate#1316: memory of database connections was never freed."""
    script = "\n".join(
        [
            "import gc, threading, weakref",
            "import gigq.contrib.django",
            "from django.db import connections",
            "found = []",
            "def use():",
            "    connections['default'].ensure_connection()",
            "    found.append(weakref.ref(connections['default']))",
            "thread = threading.Thread(target=use)",
            "thread.start()",
            "thread.join()",
            "gc.collect()",
            "print(found[0]())",
        ]
    )

    done = manage(project, "shell", "-c", script)

    assert done.stdout.splitlines()[-1:] == ["None"], done.stderr


def test_a_transaction_that_a_thread_of_a_job_leaves_open_fails_the_attempt_and_locks_nothing(
    django,
):
    """openedx/xqueue#45: connections of threads stayed open after the threads had ended."""
    name = "orders.more_jobs.create_in_a_thread_and_leave_autocommit_off"
    lost = run(django, name, state="in a thread")
    after = run(django, "orders.more_jobs.create", state="after a thread")

    assert "an open transaction on default" in lost["error"]
    assert after["status"] == "completed", after["error"]


def test_an_open_transaction_on_a_second_database_is_found_and_the_first_one_keeps_its_writes(
    django,
):
    """django-q2/django-q2#293: what was done for one database broke the transaction of another."""
    orders = "orders.more_jobs"
    left = run(django, f"{orders}.archive", state="left", leave_open=True)
    kept = run(django, f"{orders}.archive", state="kept", leave_open=False)
    found = {
        (state, using): run(django, f"{orders}.count", state=state, using=using)["result"]
        for state in ("left", "kept")
        for using in ("default", "archive")
    }

    assert left["status"] == "failed"
    assert "an open transaction on archive" in left["error"]
    assert kept["status"] == "completed"
    assert found == {
        ("left", "default"): 1,
        ("left", "archive"): 0,
        ("kept", "default"): 1,
        ("kept", "archive"): 1,
    }


def test_caches_are_closed_after_each_job_that_used_them(django):
    """celery/celery#5: jobs went wrong until the worker closed its connections to the cache."""
    closed = [run(django, "orders.more_jobs.use_the_cache")["result"] for _ in range(3)]

    assert closed == [0, 1, 2]


def test_a_context_within_that_of_the_job_takes_nothing_from_it_and_ends_with_it(flask):
    """pallets-eco/flask-sqlalchemy#508: the end of an inner context took away the outer session."""
    nested = run(flask, "more_jobs.look_into_another_context")
    run(flask, "more_jobs.leave_a_context")
    after = [run(flask, "more_jobs.look")["result"] for _ in range(2)]

    assert nested["result"] == "outer"
    assert after == [[False, None]] * 2
