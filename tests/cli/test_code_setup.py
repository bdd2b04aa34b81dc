"""`--import`, `--config` and `[code]`: applications that must be set up before their import."""

from __future__ import annotations

import pytest

REGISTRY = "ready = False\n"
SETUP = "import registry\nregistry.ready = True\n"
JOBS = """
import os
import registry

if not registry.ready:
    raise RuntimeError("Apps aren't loaded yet.")


def ship():
    return os.environ.get("SHOP_REGION")
"""
_ONE = ("submit", "os:getpid", "--name", "one")
SUBMIT = ("submit", "orders.ship", "--name", "ship")
ONCE = ("worker", "--once")


@pytest.fixture
def folder(shell):
    """The folder of an application whose module of jobs is imported only after its setup."""
    (shell.folder / "registry.py").write_text(REGISTRY)
    (shell.folder / "shop_setup.py").write_text(SETUP)
    (shell.folder / "orders.py").write_text(JOBS)
    return shell.folder


def configure(folder, text, name="gigq.toml"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def completed(shell, database="gigq.db"):
    return shell.json("stats", "--db", database)["completed"]


def test_modules_are_imported_before_the_function(shell, folder):
    refused = shell.run(*SUBMIT)

    shell.out(*SUBMIT, "--import", "shop_setup")
    shell.out(*ONCE, "--import", "shop_setup")

    assert refused.returncode == 1
    assert "Apps aren't loaded yet" in refused.stderr
    assert completed(shell) == 1


@pytest.mark.parametrize("command", [SUBMIT, ONCE])
@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (None, "importing mistaken failed: ModuleNotFoundError: No module named 'mistaken'"),
        ("1 / 0", "importing mistaken failed: ZeroDivisionError: division by zero"),
        ("raise SystemExit(0)", "importing mistaken failed: SystemExit: 0"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named(shell, folder, command, source, problem):
    if source:
        (folder / "mistaken.py").write_text(source)

    done = shell.run(*command, "--import", "mistaken")

    assert done.returncode == 1
    assert done.stderr.startswith(f"gigq: {problem}")
    assert "Traceback" not in done.stderr


def test_a_module_that_submits_at_its_top_does_not_submit_when_it_is_imported(shell, folder):
    (folder / "eager.py").write_text(
        "from gigq import Job, JobQueue\nimport shop\n"
        "JobQueue('gigq.db').submit(Job('again', shop.limits))\n"
    )

    done = shell.run(*ONCE, "--import", "eager")

    assert done.returncode == 1
    assert "eager submits or works off jobs when a worker loads it" in done.stderr
    assert shell.out(*ONCE).startswith("No jobs")


def test_the_code_table_of_a_named_configuration_is_used_with_its_database(shell, folder):
    path = configure(
        folder / "deep",
        '[queue]\ndatabase = "jobs.db"\n'
        '[code]\npython_path = [".."]\nimports = ["shop_setup"]\n'
        '[code.environment]\nSHOP_REGION = "north"\n',
    )
    elsewhere = ("--app-dir", str(folder / "deep"))

    job_id = shell.json(*SUBMIT, "--config", path, *elsewhere)["id"]
    shell.out(*ONCE, "--config", path, *elsewhere)

    found = shell.json("status", job_id, "--db", "deep/jobs.db")
    assert (found["status"], found["result"]) == ("completed", "north")


def test_every_command_finds_the_database_of_a_named_configuration(shell, folder):
    path = configure(folder / "deep", '[queue]\ndatabase = "jobs.db"\n')
    job_id = shell.json("submit", "os:getpid", "--name", "one", "--config", path)["id"]

    for command in (["list"], ["stats"], ["status", job_id], ["doctor"], ["backup", "copy.db"]):
        shell.out("--config", path, *command)
    assert shell.out("cancel", job_id, "--config", path, GIGQ_DB="x.db").endswith("cancelled.\n")
    refused = shell.run("list", "--config", "unknown.toml")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("gigq: the configuration unknown.toml: No such file")


def test_a_database_on_the_command_line_wins_over_the_named_configuration(shell, folder):
    path = configure(folder, '[queue]\ndatabase = "a.db"\n[code]\nimports = ["shop_setup"]\n')

    shell.out(*SUBMIT, "--config", path, "--db", "b.db")

    assert not (folder / "a.db").exists()
    assert shell.json("stats", "--db", "b.db")["pending"] == 1


def test_the_configuration_of_the_daemon_counts_when_its_database_is_the_commands(shell, folder):
    text = '[queue]\ndatabase = "jobs.db"\n[code]\nimports = ["shop_setup"]\n'
    path = configure(folder, text)

    for command in (SUBMIT, ONCE):
        shell.out(*command, "--db", "jobs.db", GIGQD_CONFIG=path)
    other = shell.run(*SUBMIT, "--db", "other.db", GIGQD_CONFIG=path)

    assert completed(shell, "jobs.db") == 1
    assert (other.returncode, "Apps aren't loaded yet" in other.stderr) == (1, True)


def test_hooks_of_the_configuration_are_imported_for_submit_and_called_by_the_worker(shell, folder):
    (folder / "shop_hooks.py").write_text(
        f"{SETUP}\n\ndef before_job(job):\n    print('before', job.name)\n"
    )
    path = configure(folder, '[queue]\ndatabase = "gigq.db"\n[code]\nhooks = "shop_hooks"\n')

    shell.out(*SUBMIT, "--config", path)

    assert shell.out(*ONCE, "--config", path) == "before ship\nProcessed one job.\n"


@pytest.mark.parametrize("command", [SUBMIT, ONCE])
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "No such file or directory"),
        ("[code\n", "not valid TOML"),
        ("\udcff", "not valid TOML"),
        ("code = 3\n", "code is not a table"),
        ('[code]\nimports = "shop"\n', "code.imports is not a list of texts"),
        ("[code]\npython_path = [1]\n", "code.python_path is not a list of texts"),
        ("[code]\nhooks = []\n", "code.hooks is not the name of a module"),
        ("[code.environment]\nA = 1\n", "code.environment is not a table of texts"),
        ("[code]\nimport = []\n", "code.import: unknown key; did you mean 'imports'?"),
        ("a = " + "[" * 9999 + "]" * 9999, "not valid TOML: nested too deeply"),
        ('[queue]\ndatabase = ""\n', "queue.database is not the path of a file"),
        ("[queue]\ndatabase = 3\n", "queue.database is not the path of a file"),
        (
            '[queue]\ndatabase = "postgresql:///jobs"\nschema = "Night Jobs"\n',
            "queue.schema: schema='Night Jobs' is no name for the schema of a queue",
        ),
    ],
)
def test_a_configuration_that_cannot_be_used_is_a_usage_error(
    shell, folder, command, text, problem
):
    path = folder / "gigq.toml"
    if text is not None:
        path.write_bytes(text.encode(errors="surrogateescape"))

    done = shell.run(*command, "--config", str(path))

    assert done.returncode == 2
    assert done.stderr.startswith(f"gigq: the configuration {path}: {problem}")


def test_a_broken_configuration_that_was_only_found_is_a_warning(shell):
    (shell.folder / "broken.toml").write_text("[code")

    done = shell.run(*_ONE, "--db", "jobs.db", GIGQD_CONFIG="broken.toml")

    assert done.returncode == 0, done.stderr
    assert "gigq: warning: the configuration" in done.stderr
    assert "its [code] is not used" in done.stderr


def test_a_broken_configuration_whose_database_is_needed_is_an_error(shell):
    (shell.folder / "gigq.toml").write_text("[code")

    done = shell.run(*_ONE)

    assert done.returncode == 2
    assert f"gigq: the configuration {shell.folder / 'gigq.toml'}: not valid TOML" in done.stderr
    assert [path.name for path in shell.folder.glob("*.db")] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[queue]\ndatabse = "jobs.db"\n', "queue.databse: unknown key; did you mean 'database'?"),
        ('[qeue]\ndatabase = "jobs.db"\n', "qeue: unknown table; did you mean 'queue'?"),
        ('queue = "jobs.db"\n', "queue is not a table"),
    ],
)
@pytest.mark.parametrize("way", [(), ("--config", "gigq.toml")], ids=["found", "named"])
def test_a_misspelt_name_of_the_database_makes_no_other_one(shell, text, problem, way):
    (shell.folder / "gigq.toml").write_text(text)

    submitted, listed = shell.run(*_ONE, *way), shell.run("list", *way)

    assert [submitted.returncode, listed.returncode] == [2, 2]
    for done in (submitted, listed):
        assert f"gigq.toml: {problem}" in done.stderr
    assert [path.name for path in shell.folder.glob("*.db")] == []


def test_a_misspelt_variable_of_the_database_makes_no_other_one(shell):
    done = shell.run(*_ONE, GIGQD_QUEUE__DATABSE="jobs.db")

    assert done.returncode == 2
    assert "GIGQD_QUEUE__DATABSE: unknown variable; did you mean 'GIGQD_QUEUE__DATABASE'?" in (
        done.stderr
    )
    assert [path.name for path in shell.folder.glob("*.db")] == []


def test_the_database_is_that_of_the_option_the_variable_and_the_file_that_is_found(shell):
    configure(shell.folder, '[queue]\ndatabase = "file.db"\n', "gigq.toml")
    configure(shell.folder, '[queue]\ndatabase = "named.db"\n', "named.toml")
    ways = [
        ("option.db", ("--db", "option.db"), {"GIGQ_DB": "variable.db"}),
        ("variable.db", (), {"GIGQ_DB": "variable.db", "GIGQD_CONFIG": "named.toml"}),
        ("named.db", (), {"GIGQD_CONFIG": "named.toml"}),
        ("file.db", (), {}),
    ]

    for database, options, variables in ways:
        shell.out(*_ONE, *options, **variables)
        assert (shell.folder / database).exists()
        assert shell.out("stats", "--json", *options, **variables).startswith('{"pending": 1')


def test_variables_win_over_the_code_table_as_for_the_daemon(shell, folder):
    path = configure(
        folder / "deep",
        '[queue]\ndatabase = "jobs.db"\n[code]\npython_path = [".."]\nimports = ["unknown"]\n'
        '[code.environment]\nSHOP_REGION = "north"\n',
    )
    (folder / "shop_hooks.py").write_text("def before_job(job):\n    print('before', job.name)\n")
    command = ("--config", path, "--app-dir", "deep")
    variables = {
        "GIGQD_CODE__IMPORTS": "registry, shop_setup",
        "GIGQD_CODE__HOOKS": "shop_hooks",
        "GIGQD_CODE__ENVIRONMENT__SHOP_REGION": "south",
        "GIGQD_QUEUE__DATABASE": "other.db",
    }

    shell.out(*SUBMIT, *command, **variables)
    worked = shell.out(*ONCE, *command, **variables)

    assert worked == "before ship\nProcessed one job.\n"
    assert shell.json("list", "--db", "deep/other.db")["result"] == "south"


def test_without_a_file_variables_count_when_their_database_is_the_commands(shell, folder):
    variables = {"GIGQD_CODE__IMPORTS": "shop_setup", "GIGQD_QUEUE__DATABASE": "jobs.db"}
    named = {"GIGQD_CONFIG": configure(folder, "# all of it comes from variables\n")}

    shell.out(*SUBMIT, "--db", "jobs.db", **variables, **named)
    other = shell.run(*SUBMIT, "--db", "other.db", **variables, **named)

    assert (other.returncode, "Apps aren't loaded yet" in other.stderr) == (1, True)


def test_a_misspelt_variable_of_the_code_table_is_a_usage_error(shell, folder):
    done = shell.run(*SUBMIT, "--config", configure(folder, ""), GIGQD_CODE__IMPORT="shop_setup")

    assert done.returncode == 2
    assert "unknown variable; did you mean 'GIGQD_CODE__IMPORTS'?" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--params-file", "~account-of-no-user/params.json"),
        ("--app-dir", "~account-of-no-user"),
        ("--config", "home.toml"),
    ],
)
def test_the_home_folder_of_no_account_is_a_usage_error(shell, arguments):
    configure(shell.folder, '[queue]\ndatabase = "~account-of-no-user/jobs.db"\n', "home.toml")
    done = shell.run("submit", "os:getpid", "--name", "one", *arguments)

    assert done.returncode == 2
    assert "there is no such account, so it has no home folder" in done.stderr


def test_a_database_in_the_home_folder_of_no_account_is_not_there(shell):
    done = shell.run("list", "--db", "~account-of-no-user/jobs.db")

    assert (done.returncode, "there is no database" in done.stderr) == (69, True)
