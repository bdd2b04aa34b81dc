"""`gigqd restart`: what a start would refuse leaves the running daemon alone."""

import json
import os
import shutil

import pytest
from support.files import open_up
from support.other_user import interpreter_for
from support.project import Project

from gigqd import exit_codes

pytestmark = pytest.mark.daemon

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "shop")
    yield project
    project.configure({"queue.database": "jobs.db"})
    project.gigqd("stop", "--now")


def _names(project):
    return sorted(path.name for path in project.home.iterdir())


MISTAKES = {
    "typo in the folder": ({"queue.database": "dta/jobs.db"}, 69, "its folder does not exist"),
    "folder as database": ({"queue.database": "folder"}, 69, "folder"),
    "text as database": ({"queue.database": "module.py"}, 69, "module.py"),
    "file as runtime_dir": ({"daemon.runtime_dir": "module.py"}, 73, "cannot create runtime"),
    "folder as log": ({"daemon.runtime_dir": "shadow"}, 73, "cannot create log"),
    "import": ({"code.imports": ["broken"]}, 76, "No module named 'nothing_here'"),
    "hooks": ({"code.hooks": "broken"}, 76, "No module named 'nothing_here'"),
}


@pytest.mark.parametrize(("change", "code", "words"), MISTAKES.values(), ids=MISTAKES)
def test_what_a_start_would_refuse_leaves_the_running_daemon_alone(project, change, code, words):
    (project.home / "folder").mkdir()
    (project.home / "module.py").write_text("text\n" * 2000)
    (project.home / "shadow" / "gigqd.log").mkdir(parents=True)
    (project.home / "broken.py").write_text("import nothing_here\n")
    pid = project.start()
    before = _names(project)
    project.configure(change)

    refused = project.gigqd("restart")

    assert refused.returncode == code, refused
    assert refused.stderr.startswith("gigqd: not restarted, the running daemon continues: ")
    assert words in refused.stderr
    assert project.pid() == pid
    assert [name for name in _names(project) if name != "__pycache__"] == before
    project.gigqd("stop")
    started = project.gigqd("start")
    sentence = refused.stderr.partition("continues: ")[2].strip()
    assert started.returncode == code
    assert sentence in started.stderr


def test_a_reload_warns_of_a_database_with_which_a_restart_would_be_refused(project):
    project.start()
    project.configure({"queue.database": "dta/jobs.db"})

    reloaded = project.gigqd("reload")

    assert reloaded.returncode == 0, reloaded
    assert "warning: a restart would be refused: " in reloaded.stdout
    assert "its folder does not exist" in reloaded.stdout


@pytest.mark.parametrize("what", ["place", "name"])
def test_a_restart_into_the_place_of_another_daemon_leaves_both_alone(project, tmp_path, what):
    other = Project(tmp_path / "blog")
    pids = [project.start(), other.start()]
    change = {"daemon.runtime_dir": f"{other.database}.gigqd"}
    if what == "name":
        change = {"queue.database": str(other.database), "daemon.runtime_dir": "own"}
    project.configure(change)

    refused = project.gigqd("restart", "--json")

    answer = json.loads(refused.stdout)
    assert (refused.returncode, answer["code"]) == (exit_codes.ALREADY_RUNNING,) * 2
    assert f"pid {other.pid()}" in answer["error"]
    assert [project.pid(), other.pid()] == pids
    other.gigqd("stop", "--now")


def test_an_import_that_hangs_is_given_up_and_the_daemon_goes_on(project):
    pid = project.start()
    (project.home / "stuck.py").write_text("import signal\nprint('loud')\nsignal.pause()\n")
    project.configure({"code.imports": ["stuck"]})

    refused = project.gigqd("restart", "--json", "--wait", "2")

    assert json.loads(refused.stdout)["code"] == refused.returncode == exit_codes.INTERNAL_ERROR
    assert "imports did not end within 2 s" in refused.stdout
    assert project.pid() == pid


@only_root
@pytest.mark.root
@pytest.mark.parametrize("folder", ["new", "old"])
def test_root_restarts_into_folders_that_it_gives_to_the_account(tmp_path, folder):
    open_up(tmp_path)
    project = Project(tmp_path / "shop", python=interpreter_for("nobody"))
    place = tmp_path / "state" / "deep"
    project.configure({"daemon.user": "nobody", "queue.database": str(place / "jobs.db")})
    project.start()
    if folder == "new":
        project.configure({"queue.database": str(tmp_path / "other" / "jobs.db")})

    done = project.gigqd("restart")
    stopped = project.gigqd("stop", "--now")
    shutil.rmtree(place)

    assert "gigqd started" in done.stdout, done
    assert "gigqd stopped" in stopped.stdout
