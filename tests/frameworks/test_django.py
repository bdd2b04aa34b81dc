"""A Django project as docs/howto/django.md has it, with real servers and commands."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from support.by_name import submit
from support.django_project import make_tables, manage, start_project
from support.made_once import made_once
from support.pages import files_of, write_files
from support.servers import serving
from support.waiting import wait_until

from gigq import JobQueue

pytestmark = pytest.mark.daemon

SETTINGS = """
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
LANGUAGE_CODE = "en"
DATABASES["default"]["CONN_MAX_AGE"] = None  # connections stay, as long as they work
DATABASES["default"]["OPTIONS"] = {"timeout": 20}
DATABASES["default"]["TEST"] = {"NAME": BASE_DIR / "test.sqlite3"}  # in memory none is ever closed
"""
URLS = """
from django.urls import path
from orders.views import buy, buy_and_fail

urlpatterns = [path("buy", buy), path("fail", buy_and_fail)]
"""
MODELS = """
from django.db import models


class Order(models.Model):
    state = models.CharField(max_length=20, default="new")
    made = models.DateTimeField(auto_now_add=True)
"""
FAILING_VIEW = """

@csrf_exempt
@transaction.atomic
def buy_and_fail(request):
    buy(request)
    raise RuntimeError("the card was refused")
"""
JOBS = """
import os
from datetime import datetime

from django.db import connection, transaction
from django.utils import timezone, translation
from orders.models import Order


def create(state):
    Order.objects.create(state=state)
    return os.getpid()


def count(state):
    return Order.objects.filter(state=state).count()


def leave_autocommit_off(state, commit):
    transaction.set_autocommit(False)
    Order.objects.create(state=state)
    if commit:
        transaction.commit()


def leave_a_block(state):
    transaction.atomic().__enter__()
    Order.objects.create(state=state)


def lose_the_connection():
    Order.objects.count()
    connection.connection.close()
    Order.objects.count()


def lose_the_connection_in_a_block():
    with transaction.atomic():
        Order.objects.create(state="lost")
        connection.connection.close()
        Order.objects.create(state="lost too")


def after_the_commit(state):
    seen = []
    with transaction.atomic():
        Order.objects.create(state=state)
        transaction.on_commit(lambda: seen.append("committed"))
        seen.append("inside")
    return seen


def go_to_paris():
    translation.activate("fr")
    timezone.activate("Europe/Paris")
    return here()


def here():
    return [translation.get_language(), str(timezone.get_current_timezone())]


def times():
    order = Order.objects.create(state="timed")
    order.refresh_from_db()
    midnight = timezone.make_aware(datetime(2026, 7, 1))
    return [order.made.tzname(), timezone.localtime(order.made).tzinfo.key, str(midnight)]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The files of the page in a project made by Django's own commands, with its tables."""
    made = made_once(tmp_path_factory, "project of the page", make_project)
    return shutil.copytree(made, tmp_path_factory.mktemp("project"), dirs_exist_ok=True)


def make_project(folder):
    start_project(folder)
    write_files("django", folder, append=("shop/settings.py",))
    for name, text in (("shop/settings.py", SETTINGS), ("orders/views.py", FAILING_VIEW)):
        with (folder / name).open("a") as file:
            file.write(text)
    (folder / "shop/urls.py").write_text(URLS)
    (folder / "orders/models.py").write_text(MODELS)
    (folder / "orders/more_jobs.py").write_text(JOBS)
    make_tables(folder)


@pytest.fixture
def daemon(daemons, project):
    """A daemon with one worker for the project's jobs, configured as on the page."""
    daemon = daemons({"pools.default.size": 1}, start=False)
    daemon.configure(
        {
            "code.hooks": "gigq.contrib.django",
            "code.python_path": [str(project)],
            "code.environment.DJANGO_SETTINGS_MODULE": "shop.settings",
        }
    )
    daemon.start()
    return daemon


def run(daemon, name, /, **params):
    job_id = submit(daemon.queue, f"orders.more_jobs.{name}", params, max_attempts=1)
    return daemon.wait_for_job(job_id, within=60)


def result(daemon, name, /, **params):
    job = run(daemon, name, **params)
    assert job["status"] == "completed", job["error"]
    return job["result"]


def test_a_request_stores_its_job_with_the_commit_and_the_daemon_runs_it(daemon, project):
    page = files_of("django")["gigq.toml"]
    assert "gigq.contrib.django" in page
    setting = f"\nGIGQ_DATABASE = {str(daemon.database)!r}\n"
    (project / "shop/served.py").write_text(f"from shop.settings import *\n{setting}")
    served = ("gunicorn", "--bind", "127.0.0.1:0", "--workers", "2", "shop.wsgi")

    with serving(project, *served, DJANGO_SETTINGS_MODULE="shop.served") as server:
        answers = [server.ask("POST", "/buy") for _ in range(4)]
        refused = server.ask("POST", "/fail")

    assert [status for status, _ in answers] == [201] * 4
    assert refused[0] == 500
    wait_until(lambda: daemon.queue.stats()["completed"] == 4, 60, why="four orders")
    assert daemon.queue.stats()["total"] == 4
    assert result(daemon, "count", state="packed") == 4
    assert result(daemon, "count", state="new") == 0


def test_a_job_that_leaves_autocommit_off_harms_no_other(daemon):
    first = result(daemon, "create", state="before")
    lost = run(daemon, "leave_autocommit_off", state="lost", commit=False)
    kept = run(daemon, "leave_autocommit_off", state="kept", commit=True)

    second = result(daemon, "create", state="after")

    assert first == second
    assert lost["status"] == "failed"
    assert lost["error_type"] == "gigq.contrib.django.OpenTransactionError"
    assert "open transaction on default" in lost["error"]
    assert kept["status"] == "completed"
    daemon.stop()
    daemon.start()
    found = {state: result(daemon, "count", state=state) for state in ("lost", "kept", "after")}
    assert found == {"lost": 0, "kept": 1, "after": 1}


def test_a_block_that_is_not_left_fails_the_job_and_harms_no_other(daemon):
    job = run(daemon, "leave_a_block", state="in a block")

    assert job["error_type"] == "gigq.contrib.django.OpenTransactionError"
    assert result(daemon, "count", state="in a block") == 0
    assert result(daemon, "after_the_commit", state="next") == ["inside", "committed"]


@pytest.mark.parametrize("where", ["lose_the_connection", "lose_the_connection_in_a_block"])
def test_a_connection_that_dies_in_the_middle_of_a_job_fails_that_attempt_only(daemon, where):
    before = result(daemon, "create", state="alive")

    job = run(daemon, where)

    assert job["status"] == "failed"
    assert "closed database" in job["error"]
    assert result(daemon, "create", state="alive") == before
    assert result(daemon, "count", state="lost") == 0


def test_language_and_time_zone_are_as_at_the_start_for_each_job(daemon):
    start = result(daemon, "here")

    assert result(daemon, "go_to_paris") == ["fr", "Europe/Paris"]
    assert result(daemon, "here") == start == ["en", "Europe/Berlin"]


def test_times_are_aware_and_in_the_projects_zone(daemon):
    assert result(daemon, "times") == ["UTC", "Europe/Berlin", "2026-07-01 00:00:00+02:00"]


def test_django_leaves_nothing_for_the_leak_check_to_find(daemon):
    workers = daemon.worker_pids()
    for n in range(3):
        result(daemon, "create", state=f"quiet {n}")

    assert daemon.worker_pids() == workers
    assert daemon.events("job_left_residue") == []
    assert daemon.events("job_changes_undone") == []


# --- the commands, and the project's own tests ---------------------------------------------------


def gigq(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "gigq", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_commands_work_with_the_configuration_of_the_page(project):
    config = ("--config", "gigq.toml")
    place = ("orders.more_jobs.create", "--name", "create", "-p", "state=by command")

    submitted = gigq(project, "submit", *place, *config)
    worked = gigq(project, "worker", "--once", *config)

    assert (submitted.returncode, submitted.stderr) == (0, "")
    assert (worked.returncode, worked.stderr, worked.stdout[:9]) == (0, "", "Processed")
    assert JobQueue(project / "jobs.db").stats()["completed"] == 1


def test_without_the_settings_the_error_says_where_they_are_set(daemons, project):
    daemon = daemons({"code.hooks": "gigq.contrib.django"}, start=False)

    done = daemon.command("check", "--import")

    assert done.returncode == 76
    assert "DJANGO_SETTINGS_MODULE is not set; set it in [code.environment]" in done.stderr


def test_the_projects_own_tests_pass(project):
    done = manage(project, "test")

    assert done.returncode == 0, done.stderr
    assert "Ran 1 test" in done.stderr


HOOKS_ALONE = """
from django.conf import settings

settings.configure(
    DEBUG=True, USE_TZ=True, TIME_ZONE="Europe/Berlin", LANGUAGE_CODE="en",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
from gigq.contrib import django
from django.db import connection
from django.utils import timezone, translation

connection.cursor().execute("SELECT 1")
before = len(connection.queries)
django.before_job(None)
after = len(connection.queries)
translation.activate("de")
timezone.activate("Asia/Tokyo")
django.after_job(None, None)
print(before, after, translation.get_language(), timezone.get_current_timezone_name())
"""


def test_the_hooks_forget_queries_and_put_language_and_time_zone_back():
    done = subprocess.run(
        [sys.executable, "-c", HOOKS_ALONE], capture_output=True, text=True, timeout=60
    )

    assert (done.stdout, done.stderr) == ("1 0 en Europe/Berlin\n", "")
