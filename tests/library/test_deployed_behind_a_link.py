"""Code behind a link, as `/srv/app/current`: what is stored, and what runs after it has moved."""

import os
import subprocess
import sys
import zipapp

import pytest
from support import fork_server

import gigq
from gigq.model import paths_with_links
from gigq.model.function_import import parse

SCRIPT = """
import sys
import release_of_the_test
import gigq

def which():
    return release_of_the_test.NUMBER

if __name__ == "__main__":
    print(gigq.JobQueue(sys.argv[1]).submit(gigq.Job("which", which, max_attempts=1)))
"""


@pytest.fixture
def current(tmp_path):
    """A link to the first of two releases."""
    for number in (1, 2):
        folder = tmp_path / "releases" / str(number)
        (folder / "bin").mkdir(parents=True)
        (folder / "app.py").write_text(SCRIPT)
        (folder / "release_of_the_test.py").write_text(f"NUMBER = {number}\n")
    link = tmp_path / "current"
    link.symlink_to(tmp_path / "releases" / "1")
    return link


def move(link, release):
    """Let a link lead to another release, at once, as deployments do."""
    new = link.with_name("new")
    new.symlink_to(link.parent / "releases" / str(release))
    new.rename(link)


def submitted(path, *command, cwd, shell_folder):
    done = subprocess.run(
        [sys.executable, *map(str, command), path],
        cwd=cwd,
        env={**os.environ, "PWD": str(shell_folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def work_off(path, *, archive=None):
    on_path = [archive] if archive else []
    setup = f"import sys, gigq; sys.path[:0] = {on_path!r}"
    program = f"{setup}; gigq.Worker({path!r}).work_off(lambda: True)"
    done = fork_server.run("-c", [program], folder="/", environment=os.environ)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("given", "inside"), [("app.py", "."), ("./app.py", "."), ("../app.py", "bin")]
)
def test_a_relative_script_is_stored_with_the_links_of_the_shells_folder(
    current, queue, path, given, inside
):
    folder = current / inside
    job_id = submitted(path, given, cwd=folder, shell_folder=folder)

    assert queue.get_status(job_id)["function_file"] == str(current / "app.py")


def test_an_absolute_script_is_stored_as_it_was_given(current, queue, path):
    link = submitted(path, current / "app.py", cwd="/", shell_folder="/")
    release = current.parent / "releases" / "1"
    straight = submitted(path, release / "app.py", cwd=current, shell_folder=current)

    assert queue.get_status(link)["function_file"] == str(current / "app.py")
    assert queue.get_status(straight)["function_file"] == str(release / "app.py")


def test_the_folder_of_the_shell_does_not_count_when_it_is_another_one(current, queue, path):
    job_id = submitted(path, "app.py", cwd=current, shell_folder=current.parent)
    other = submitted(path, "../app.py", cwd=current / "bin", shell_folder=current)

    release = current.parent / "releases" / "1"
    assert queue.get_status(job_id)["function_file"] == str(release / "app.py")
    assert queue.get_status(other)["function_file"] == str(release / "app.py")


def test_once_the_link_has_moved_a_new_worker_runs_the_new_release_with_its_own_modules(
    current, queue, path
):
    before = submitted(path, "app.py", cwd=current, shell_folder=current)
    work_off(path)
    waiting = submitted(path, "app.py", cwd=current, shell_folder=current)
    move(current, 2)
    work_off(path)

    assert (queue.get_result(before), queue.get_result(waiting)) == (1, 2)


def test_a_worker_goes_on_with_the_release_that_it_has_loaded(current, queue, path, worker):
    sys.modules.pop("release_of_the_test", None)
    first, second = (submitted(path, "app.py", cwd=current, shell_folder=current) for _ in range(2))
    worker.process_one()
    move(current, 2)
    worker.process_one()
    del sys.modules["release_of_the_test"]

    assert (queue.get_result(first), queue.get_result(second)) == (1, 1)


def test_the_command_keeps_the_links_of_the_shells_folder(current, monkeypatch):
    monkeypatch.chdir(current)
    monkeypatch.setenv("PWD", str(current))

    assert parse("app.py:which").file == str(current / "app.py")
    assert parse(f"{current}/bin/../app.py:which").file == str(current / "app.py")


def test_two_dots_behind_a_link_lead_to_the_file_that_the_kernel_finds(current):
    given = paths_with_links.absolute(f"{current}/../1/app.py")

    assert given == str(current.parent / "releases" / "1" / "app.py")


def test_a_linked_script_finds_the_modules_beside_the_file_that_it_links_to(
    current, queue, path, tmp_path
):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tool.py").symlink_to(current / "app.py")
    job_id = submitted(path, tmp_path / "bin" / "tool.py", cwd="/", shell_folder="/")
    work_off(path)

    assert queue.get_result(job_id) == 1


def test_a_function_of_an_archives_main_is_refused_with_the_reason(tmp_path, path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "__main__.py").write_text(SCRIPT.replace("import release_of_the_test\n", ""))
    zipapp.create_archive(source, tmp_path / "app.pyz")
    done = subprocess.run(
        [sys.executable, tmp_path / "app.pyz", path], capture_output=True, text=True, timeout=60
    )

    assert f"which is defined in the __main__ of the archive {tmp_path}/app.pyz" in done.stderr
    assert "move it to another module of the archive" in done.stderr
    assert gigq.JobQueue(path).stats()["total"] == 0


def test_a_function_of_another_module_of_an_archive_runs_where_the_archive_is_on_the_path(
    tmp_path, path
):
    source = tmp_path / "source"
    source.mkdir()
    (source / "inside_the_archive.py").write_text("def f(): return 'from the archive'\n")
    (source / "__main__.py").write_text(
        "import sys, gigq, inside_the_archive\n"
        "print(gigq.JobQueue(sys.argv[1]).submit(gigq.Job('f', inside_the_archive.f)))\n"
    )
    zipapp.create_archive(source, tmp_path / "app.pyz")
    job_id = submitted(path, tmp_path / "app.pyz", cwd="/", shell_folder="/")
    work_off(path, archive=str(tmp_path / "app.pyz"))

    assert gigq.JobQueue(path).get_result(job_id) == "from the archive"


def test_a_stale_folder_of_the_shell_with_a_script_of_the_same_name_does_not_count(
    current, queue, path, monkeypatch
):
    first, second = (current.parent / "releases" / str(number) for number in (1, 2))
    job_id = submitted(path, "app.py", cwd=first, shell_folder=second)
    monkeypatch.chdir(first)
    monkeypatch.setenv("PWD", str(second))

    assert queue.get_status(job_id)["function_file"] == str(first / "app.py")
    assert parse("app.py:which").file == str(first / "app.py")


@pytest.mark.parametrize(
    ("folder", "path", "meant"),
    [
        ("current", "jobs.db", "current/jobs.db"),
        ("current", "../../data/jobs.db", "data/jobs.db"),
        ("current/etc", "../jobs.db", "current/jobs.db"),
        ("current/etc", "../../jobs.db", "releases/jobs.db"),
        ("missing", "../jobs.db", "jobs.db"),
    ],
)
def test_a_relative_path_behind_a_link_is_the_files_of_the_kernel_with_its_links(
    tmp_path, folder, path, meant
):
    (tmp_path / "releases" / "1" / "etc").mkdir(parents=True)
    (tmp_path / "current").symlink_to("releases/1")
    (tmp_path / "var").mkdir()
    (tmp_path / "data").symlink_to("var")

    assert paths_with_links.below(str(tmp_path / folder), path) == str(tmp_path / meant)
    both = [f"{tmp_path}/{folder}/{path}", str(tmp_path / meant)]
    assert os.path.realpath(both[0]) == os.path.realpath(both[1])
