"""`gigq submit`"""

from __future__ import annotations

import json

import pytest


def test_a_job_is_stored_and_its_id_is_printed(shell):
    printed = shell.out("submit", "shop.resize", "--name", "thumbnail", "-p", "file=cat.jpg")

    (stored,) = [shell.json("list")]
    assert printed == f"Job submitted: {stored['id']}\n"
    assert stored["name"] == "thumbnail"
    assert stored["params"] == {"file": "cat.jpg"}


@pytest.mark.each_database
def test_every_option_reaches_the_job(shell):
    parent = shell.submit()
    options = {
        "--priority": 5,
        "--max-attempts": 2,
        "--timeout": 2.5,
        "--description": "for the front page",
        "--retry-delay": 30,
        "--queue": "images",
        "--on-parent-failure": "run",
    }
    flags = [text for pair in options.items() for text in map(str, pair)]
    job = shell.json("status", shell.submit("shop.total", *flags, "--depends-on", parent))

    found = {flag: job[flag.removeprefix("--").replace("-", "_")] for flag in options}
    assert found == options
    assert job["dependencies"] == [parent]


def test_the_delay_of_a_retry_is_a_duration(shell):
    assert (
        shell.json("status", shell.submit("shop.resize", "--retry-delay", "10m"))["retry_delay"]
        == 600
    )


@pytest.mark.each_database
def test_a_job_may_depend_on_several(shell):
    parents = [shell.submit(), shell.submit()]
    flags = [text for parent in parents for text in ("--depends-on", parent)]
    job = shell.json("status", shell.submit("shop.total", *flags))

    assert job["dependencies"] == parents


@pytest.mark.each_database
def test_no_timeout_means_no_limit(shell):
    job = shell.json("status", shell.submit("shop.resize", "--no-timeout"))

    assert job["timeout"] is None


def test_what_is_not_given_is_as_the_task_says(shell):
    job_id = shell.json("submit", "shop.greet", "-p", "name=Ada", "--max-attempts", "2")["id"]
    job = shell.json("status", job_id)

    assert (job["timeout"], job["queue"], job["max_attempts"]) == (7, "mail", 2)
    assert job["name"] == "greet"


@pytest.mark.parametrize("place", ["shop:resize", "shop.py:resize", "shop:Depot.pack"])
def test_a_function_may_be_named_in_other_ways(shell, place):
    shell.submit(place, "-p", "file=cat.jpg") if "resize" in place else shell.submit(place)
    shell.out("worker", "--once")

    assert shell.json("list")["status"] == "completed"


def test_code_in_another_folder_is_found_with_app_dir(shell, tmp_path):
    elsewhere = tmp_path / "src"
    elsewhere.mkdir()
    (elsewhere / "warehouse.py").write_text("def count():\n    return 12\n")
    submit = ("submit", "warehouse.count", "--name", "stock")

    assert shell.run(*submit).returncode == 1
    assert shell.run(*submit, "--app-dir", "src").returncode == 0
    assert shell.run(*submit, GIGQ_APP_DIR="src").returncode == 0
    assert shell.out("worker", "--once", "--app-dir", "src") == "Processed one job.\n"


def test_a_timeout_and_none_exclude_each_other(shell):
    done = shell.run("submit", "shop.resize", "--name", "x", "--timeout", "3", "--no-timeout")

    assert done.returncode == 2


def test_a_name_is_required_as_in_gigq_0_5_1(shell):
    done = shell.run("submit", "shop.resize")

    assert done.returncode == 2
    assert "--name is required: shop.resize is not made with @task" in done.stderr


def test_a_module_that_changes_the_working_directory_does_not_change_the_database(shell):
    (shell.folder / "elsewhere").mkdir()
    (shell.folder / "wandering.py").write_text(
        "import os\nos.chdir('elsewhere')\ndef work(): pass\n"
    )
    shell.out("--db", "jobs.db", "submit", "wandering.work", "--name", "a")

    assert list((shell.folder / "elsewhere").iterdir()) == []
    assert shell.json("--db", "jobs.db", "stats")["pending"] == 1


@pytest.mark.each_database
def test_text_is_stored_as_it_was_typed(shell):
    job_id = shell.submit("shop.anything", "-t", "a=1.1", "--text", "b=null", "-p", "c=1.10")

    assert shell.json("status", job_id)["params"] == {"a": "1.1", "b": "null", "c": "1.10"}


@pytest.mark.parametrize("source", ["params.json", "-", "/dev/stdin"])
def test_parameters_are_read_from_a_file_or_standard_input(shell, source):
    given = {"file": "x" * 200_000, "width": 7}
    (shell.folder / "params.json").write_text(json.dumps(given))
    words = ("submit", "shop.resize", "--name", "x", "--params-file", source, "--json")
    with (shell.folder / "params.json").open() as content:
        done = shell.run(*words, stdin=content)

    assert shell.json("status", json.loads(done.stdout)["id"])["params"] == given


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[1]", "params.json: holds no JSON object"),
        (b"{", "params.json: is not JSON: "),
        (b'{"a": NaN}', "params.json: NaN is not JSON"),
        (b'{"a": 1e999}', "params.json: 1e999 is too large for a number"),
        (b'{"a": 1, "a": 2}', "params.json: the name 'a' appears twice in an object"),
        (b'{"a": "\xff"}', "params.json: is not UTF-8 (byte 7)"),
        (b"[" * 100_000, "params.json: is nested too deeply"),
        (b'{"file": 1}', "the parameter 'file' is given twice; give it once"),
        (None, "params.json: No such file or directory"),
    ],
)
def test_a_file_that_holds_no_parameters_is_a_usage_error_in_one_line(shell, content, said):
    if content is not None:
        (shell.folder / "params.json").write_bytes(content)
    done = shell.run(
        "submit", "shop.resize", "--name", "x", "-p", "file=a", "--params-file", "params.json"
    )

    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("again", ["-p", "-t"])
def test_a_parameter_that_is_given_twice_is_refused(shell, again):
    done = shell.run("submit", "shop.resize", "--name", "x", "-p", "file=a", again, "file=b")

    assert (done.returncode, done.stderr) == (
        2, "gigq: the parameter 'file' is given twice; give it once\n"
    )  # fmt: skip


def test_parameters_that_the_function_does_not_take_are_a_usage_error(shell):
    done = shell.run("submit", "shop.resize", "--name", "x", "-p", "fil=cat.jpg")

    assert done.returncode == 2
    assert "resize(file, width=100) has no parameter 'fil'" in done.stderr
    assert not (shell.folder / "gigq.db").exists() or shell.json("stats")["total"] == 0


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ("--delay=5", "; use --in"),
        ("--eta=5", "; use --at"),
        ("--max-retries=5", "; use --max-attempts, which counts the first start too"),
        ("--expires=5", "; use --expires-in, or --expires-at for a time"),
        ("--timout=5", "; did you mean --timeout?"),
        ("--zzzz", ""),
    ],
)
def test_an_option_that_does_not_exist_is_refused_with_the_one_that_was_meant(
    shell, option, remedy
):
    done = shell.run("submit", "shop.greet", option)

    assert done.returncode == 2
    assert done.stderr.endswith(f"unrecognized arguments: {option}{remedy}\n")


def test_a_parameter_without_its_option_is_refused_with_the_option(shell):
    done = shell.run("submit", "shop.resize", "--name", "x", "file=cat.jpg")

    assert done.returncode == 2
    assert done.stderr.endswith(
        "unrecognized arguments: file=cat.jpg; a parameter of a job is written -p KEY=VALUE\n"
    )
