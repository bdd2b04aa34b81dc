"""Loading a configuration: what it comes to, and everything wrong with it at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.config_files import complete, problems, write

from gigq import configuration_file
from gigq.store.postgres.address import parse
from gigqd.config import PoolConfig, identify, load, warnings
from gigqd.errors import ConfigError


def test_a_database_is_all_that_is_needed(tmp_path):
    config = load(write(tmp_path, '[queue]\ndatabase = "q.db"\n'), {"XDG_RUNTIME_DIR": "/x"})

    assert config.source == tmp_path / "gigq.toml"
    assert config.queue.database == str(tmp_path / "q.db")
    assert config.daemon.working_directory == tmp_path
    assert config.code.python_path == (tmp_path,)
    assert config.pools == (PoolConfig("default", size=4, queues=("*",)),)


def test_a_relative_file_is_found_by_the_links_of_the_shells_folder(tmp_path, monkeypatch):
    (tmp_path / "release").mkdir()
    write(tmp_path / "release", '[queue]\ndatabase = "q.db"\n')
    (tmp_path / "current").symlink_to("release")
    monkeypatch.chdir(tmp_path / "current")
    monkeypatch.setenv("PWD", str(tmp_path / "current"))
    config = load(Path("gigq.toml"), {"XDG_RUNTIME_DIR": "/x"})

    assert config.source == tmp_path / "current" / "gigq.toml"
    assert config.code.python_path == (tmp_path / "current",)


@pytest.mark.parametrize("database", ["", ":memory:", "mysql://h/d", "file:q.db?mode=ro"])
def test_only_a_file_or_postgresql_can_be_the_database(tmp_path, database):
    path = write(tmp_path, f'[queue]\ndatabase = "{database}"\n')

    assert problems(path)[0].startswith("2: queue.database: expected the path of an SQLite file")


def test_with_postgresql_the_place_follows_from_the_configuration_file(tmp_path):
    address = "postgresql://jobs:secret@db.example/jobs"
    path = write(tmp_path, f'[queue]\ndatabase = "{address}"\n[daemon]\nname = "night"\n')
    config = load(path, {})

    assert (config.queue.database, config.database_file) == (address, None)
    assert config.daemon.runtime_dir == Path(f"{path}.gigqd-night")
    assert config.place.parent == config.daemon.runtime_dir


def test_the_keys_of_an_address_are_added_to_it(tmp_path):
    database = 'database = "postgresql://pool.example/jobs"'
    keys = 'schema = "night"\npooler = true\ndirect_address = "db.example:5433"'
    address = load(write(tmp_path, f"[queue]\n{database}\n{keys}\n"), {}).queue.database
    parsed = parse(address)

    assert (parsed.schema, parsed.is_pooled) == ("night", True)
    assert parsed.direct == "postgresql:///jobs?host=db.example&port=5433&schema=night"


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('database = "q.db"\npooler = true', "3: queue.pooler: is for a PostgreSQL database"),
        ('database = "q.db"\nschema = "a"', "3: queue.schema: is for a PostgreSQL database"),
        ('database = "postgresql:///j"\npooler = 1', "3: queue.pooler: expected true or false"),
        (
            'database = "postgresql:///j?schema=a"\nschema = "b"',
            "3: queue.schema: the address has the option schema=, too; remove one of the two",
        ),
        (
            'database = "postgresql:///j"\nschema = "Night Jobs"',
            "3: queue.schema: schema='Night Jobs' is no name for the schema of a queue",
        ),
        (
            'database = "postgresql:///j"\ndirect_address = "db:1"',
            "3: queue.direct_address: is for the address of a pooler; set pooler = true, too",
        ),
        (
            'database = "postgresql:///j"\npooler = true\ndirect_address = "db:x"',
            "4: queue.direct_address: the direct address is neither host:port nor",
        ),
        (
            'database = "postgresql:///j?schema=A"\npooler = true',
            "2: queue.database: schema='A' is no name for the schema of a queue",
        ),
    ],
)
def test_a_wrong_key_of_an_address_is_refused_in_its_place(tmp_path, lines, problem):
    assert problems(write(tmp_path, f"[queue]\n{lines}\n"))[0].startswith(problem)


@pytest.mark.parametrize("given", ["postgresql:/shop", "host=db user=me password=secret"])
def test_an_address_in_another_form_is_refused_without_its_password(tmp_path, given):
    (problem,) = problems(write(tmp_path, f'[queue]\ndatabase = "{given}"\n'))

    assert "2: queue.database: expected the path of an SQLite file" in problem
    assert "or postgresql://HOST/DATABASE" in problem
    assert "secret" not in problem


def test_a_wrong_variable_of_an_address_is_refused_by_its_name(tmp_path):
    path = write(tmp_path, '[queue]\ndatabase = "postgresql:///jobs"\n')

    with pytest.raises(
        ConfigError, match="environment: GIGQD_QUEUE__SCHEMA: schema='A' is no name"
    ):
        load(path, {"GIGQD_QUEUE__SCHEMA": "A"})


def test_with_postgresql_and_without_a_file_the_place_must_be_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environ = {"GIGQD_QUEUE__DATABASE": "postgresql://db.example/jobs"}

    with pytest.raises(ConfigError, match=r"daemon\.runtime_dir: missing; with PostgreSQL"):
        load(None, environ)
    given = load(None, environ | {"GIGQD_DAEMON__RUNTIME_DIR": str(tmp_path / "run")})
    assert given.place.parent == tmp_path / "run"


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path):
    path = write(tmp_path, '\ufeff[queue]\r\ndatabase = "q.db"\r\n[log]\r\nlevl = "x"\r\n')

    assert problems(path) == ['4: log.levl: unknown key; did you mean "level"?']


def test_what_cannot_be_read_is_said_before_anything_is_parsed(tmp_path):
    large = tmp_path / "large.toml"
    with large.open("wb") as file:
        file.truncate(50 * 1024**2)
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)

    assert problems(tmp_path / "missing.toml") == ["no such file"]
    assert problems(tmp_path) == ["is a directory; a file is needed"]
    assert problems(pipe) == ["is not a regular file; a file is needed"]
    assert problems(large) == ["is larger than 1 MiB"]
    assert problems(Path("a\0b"))[0].endswith(": is not a path")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file")
def test_a_file_without_permission_says_so(tmp_path):
    path = write(tmp_path, complete(""))
    path.chmod(0)

    assert "permission denied" in problems(path)[0]


def test_without_a_name_the_file_of_the_environment_is_read(tmp_path):
    path = write(tmp_path, complete("[pools.a]\nsize = 1"))

    assert load(None, {"GIGQD_CONFIG": str(path)}).pools[0].size == 1


def test_without_any_file_the_environment_is_enough(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(configuration_file, "FOR_THE_HOST", str(tmp_path / "none.toml"))
    config = load(None, {"GIGQD_QUEUE__DATABASE": "q.db", "GIGQD_POOLS__MAIL__SIZE": "2"})

    assert config.source is None
    assert config.queue.database == str(tmp_path / "q.db")
    assert [(pool.name, pool.size) for pool in config.pools] == [("mail", 2)]


def test_without_any_file_and_database_the_message_has_no_line(monkeypatch, tmp_path):
    monkeypatch.setattr(configuration_file, "FOR_THE_HOST", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match=r"^configuration: queue\.database: missing; set it"):
        load(None, {})


@pytest.mark.parametrize("as_root", [True, False])
@pytest.mark.parametrize(
    ("daemon", "expected"),
    [
        ("", "{home}/db/q.db.gigqd"),
        ("name = 'mail'", "{home}/db/q.db.gigqd-mail"),
        ("name = 'mail'\nruntime_dir = 'run'", "{home}/run"),
    ],
)
@pytest.mark.parametrize(
    "environ", [{}, {"RUNTIME_DIRECTORY": "/run/a"}, {"XDG_RUNTIME_DIR": "/run/user/1000"}]
)
def test_the_runtime_directory_depends_on_the_database_and_the_name_alone(
    tmp_path, monkeypatch, daemon, environ, as_root, expected
):
    monkeypatch.setattr(os, "geteuid", lambda: 0 if as_root else 1000)
    path = write(tmp_path, f'[queue]\ndatabase = "db/q.db"\n[daemon]\n{daemon}\n')

    assert str(load(path, environ).daemon.runtime_dir) == expected.format(home=tmp_path)


def test_two_paths_to_one_database_have_one_runtime_directory(tmp_path):
    (tmp_path / "q.db").touch()
    (tmp_path / "link.db").symlink_to("q.db")
    path = write(tmp_path, '[queue]\ndatabase = "link.db"\n')

    assert load(path, {}).daemon.runtime_dir == tmp_path / "q.db.gigqd"


def test_a_user_needs_root(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 4242)

    (problem,) = problems(write(tmp_path, complete("[daemon]\nuser = 'root'\n")))

    assert problem.startswith("3: daemon.user: only root can change to another user;")


def test_an_instance_is_found_although_other_keys_are_wrong(tmp_path):
    path = write(tmp_path, '[daemon]\nruntime_dir = "run"\nstop_timeout = "x"\n[pools]\nx = 1\n')

    assert identify(path, {}).daemon.runtime_dir == tmp_path / "run"


def test_an_instance_is_not_guessed_when_its_place_is_wrong(tmp_path):
    with pytest.raises(ConfigError, match="runtime_dir"):
        identify(write(tmp_path, complete("daemon.runtime_dir = 1")), {})
    with pytest.raises(ConfigError, match="RUNTIME_DIR"):
        identify(write(tmp_path, complete("")), {"GIGQD_DAEMON__RUNTIME_DIR": "\0"})
    with pytest.raises(ConfigError, match="not valid TOML"):
        identify(write(tmp_path, "["), {})


def test_what_is_probably_not_meant_is_a_warning(tmp_path):
    as_root = "jobs run as root; set daemon.user to an account made for them"
    path = write(
        tmp_path,
        complete(
            "daemon.stop_timeout = '1s'\n"
            "[pools.mail]\nqueues = ['mail']\n"
            "memory_limit = '300MiB'\nrecycle_above_memory = '1GiB'\n"
            "[pools.idle]\nqueues = ['slow']\nsize = 0\n"
        ),
    )

    assert warnings(load(path, {})) == (
        'no pool with a worker serves the queue "default"; its jobs will wait',
        'no pool with a worker serves the queue "slow"; its jobs will wait',
        'the pool "idle" has no workers (size 0)',
        "daemon.stop_timeout (1s) is shorter than pools.mail.timeout_grace (2s)",
        (
            "pools.mail.recycle_above_memory (1 GiB) is not below pools.mail.memory_limit "
            "(300 MiB); a job is killed before its worker is ever too large"
        ),
        *([as_root] if os.geteuid() == 0 else []),
    )


def test_jobs_that_run_as_root_are_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    path = write(tmp_path, complete(""))
    as_root = warnings(load(path, {}))
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    as_another = warnings(load(path, {}))

    assert as_root[-1] == "jobs run as root; set daemon.user to an account made for them"
    assert as_root[-1] not in as_another


def test_a_directory_of_modules_that_does_not_exist_is_a_warning(tmp_path):
    (tmp_path / "src").mkdir()
    path = write(tmp_path, complete("code.python_path = ['src', 'srcc']\n"))

    found = [text for text in warnings(load(path, {})) if "python_path" in text]

    assert found == [f"code.python_path: {tmp_path}/srcc does not exist"]


@pytest.mark.parametrize(
    ("first", "second", "unserved"),
    [
        ('["*", "!etl"]', '["etl"]', []),
        ('["*", "!etl"]', '["mail"]', ["etl"]),
        ('["*", "!etl", "!default"]', '["*", "!etl", "!mail"]', ["etl"]),
        ('["*", "!default"]', '["mail"]', ["default"]),
        ('["*"]', '["*", "!etl"]', []),
    ],
)
def test_a_queue_that_every_pool_leaves_out_is_a_warning(tmp_path, first, second, unserved):
    text = f"[pools.a]\nqueues = {first}\n[pools.b]\nqueues = {second}\n"
    found = warnings(load(write(tmp_path, complete(text)), {}))

    assert [w for w in found if "no pool" in w] == [
        f'no pool with a worker serves the queue "{name}"; its jobs will wait' for name in unserved
    ]


def test_messages_never_show_what_a_terminal_would_obey(tmp_path):
    path = write(tmp_path, 'log.level = "\\u001b[31m"\n"\\u001bkey" = 1\n')

    assert all(problem.isprintable() for problem in problems(path))


def test_the_environment_is_not_in_the_text_of_a_configuration(tmp_path):
    config = load(write(tmp_path, complete("code.environment.API = 'hunter2'")), {})

    assert config.code.environment == {"API": "hunter2"}
    assert "hunter2" not in repr(config)
