"""Environment variables over the file, and the file of the workers' own variables."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.config_files import complete, problems, write

from gigqd.config import PoolConfig, load, warnings
from gigqd.config.environment import from_environment, variable_name
from gigqd.config.environment_file import parse_environment, read_environment_file
from gigqd.config.schema import DOTTED, TABLES
from gigqd.config.value_types import FLAG


def test_a_variable_wins_over_the_file(tmp_path):
    path = write(tmp_path, complete("log.level = 'error'\n[pools.mail-out]\nsize = 1"))
    environ = {
        "GIGQD_LOG__LEVEL": "debug",
        "GIGQD_POOLS__MAIL_OUT__SIZE": "7",
        "GIGQD_POOLS__MAIL_OUT__QUEUES": "a, b",
        "GIGQD_POOLS__MAIL_OUT__TIMEOUT_LIMIT": "1h",
        "GIGQD_QUEUE__MAX_RESULT_SIZE": "2MiB",
        "GIGQD_CODE__ENVIRONMENT__lower": "",
        "GIGQD_CODE__PYTHON_PATH": "lib,/opt/lib",
        "GIGQD_DAEMON__USER": "",
    }
    config = load(path, environ)
    (pool,) = config.pools

    assert (pool.name, pool.size, pool.queues) == ("mail-out", 7, ("a", "b"))
    assert pool.timeout_limit == 3600.0
    assert config.log.level == "debug"
    assert config.queue.max_result_size == 2 * 1024**2
    assert config.code.environment == {"lower": ""}
    assert [str(p) for p in config.code.python_path] == [str(tmp_path / "lib"), "/opt/lib"]


def test_a_good_variable_mends_a_bad_value_of_the_file(tmp_path):
    path = write(tmp_path, complete("log.level = 'loud'"))

    assert load(path, {"GIGQD_LOG__LEVEL": "info"}).log.level == "info"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("GIGQD_LOG__LEVEL", "x", '"x" is none of debug, info, warning, error, critical'),
        ("GIGQD_POOLS__MAIL__SIZE", "many", 'expected a whole number, not "many"'),
        ("GIGQD_QUEUE__POOLER", "yes", 'expected true or false, not "yes"'),
        ("GIGQD_POOLS__MAIL__SIZE", "", 'expected a whole number, not ""'),
        ("GIGQD_POOLS__MAIL__SIZE", "9" * 5000, "expected a whole number"),
        ("GIGQD_POOLS__MIAL__SIZE", "1", 'there is no such pool; did you mean "mail"?'),
        (
            "GIGQD_POOLS__MAIL__SIZ",
            "1",
            'unknown variable; did you mean "GIGQD_POOLS__MAIL__SIZE"?',
        ),
        (
            "GIGQD_QUEUE__DATABAS",
            "q",
            'unknown variable; did you mean "GIGQD_QUEUE__DATABASE"?',
        ),
        ("GIGQD_CODE__ENVIRONMENT", "A=b", "unknown variable"),
        ("GIGQD_CODE__ENVIRONMENT__GIGQD_RUN", "1", "names that start with GIGQD_ are set by"),
        ("GIGQD__", "", "unknown variable"),
        ("GIGQD_LOG__FILE", "\udcff\x1b[2J", "expected a path"),
    ],
)
def test_a_bad_variable_is_reported_under_its_own_name(tmp_path, name, value, message):
    path = write(tmp_path, complete("[pools.mail]"))
    if name == "GIGQD_LOG__FILE":
        value = "\0" + value
    (problem,) = problems(path, {name: value})

    assert problem.startswith(f"environment: {name}: {message}")
    assert problem.isprintable()


def test_names_that_are_no_settings_are_left_alone(tmp_path):
    path = write(tmp_path, complete(""))
    environ = {"GIGQD_CONFIG": "x", "GIGQD_RUN": "1", "GIGQD_WORKER_ID": "2", "GIGQ_DB": "y"}

    assert load(path, environ) == load(path, {})


def test_what_others_set_with_the_same_prefix_is_a_warning_and_no_error(tmp_path, monkeypatch):
    path = write(tmp_path, complete(""))
    others = {"GIGQD_PORT": "tcp://10.0.0.1:80", "GIGQD_SERVICE_HOST": "10.0.0.1"}
    typo = {"GIGQD_QUEUE_DATABASE": "/x"}
    for name, value in (others | typo).items():
        monkeypatch.setenv(name, value)

    config = load(path, os.environ)

    assert config == load(path, {})
    assert [text for text in warnings(config) if "GIGQD_" in text] == [
        "GIGQD_QUEUE_DATABASE is ignored; did you mean GIGQD_QUEUE__DATABASE?",
        "GIGQD_PORT, GIGQD_SERVICE_HOST: ignored, since names of settings have two underscores",
    ]


@pytest.mark.parametrize("dotted", [key for key in DOTTED if key != "code.environment"])
def test_every_key_has_its_variable(dotted):
    keys = tuple(dotted.split("."))
    table, key = keys
    value = "True" if TABLES[table].KEYS[key].type is FLAG else "1"
    settings, wrong = from_environment({variable_name(keys): value}, [])

    assert (list(settings), wrong) == ([keys], [])


@pytest.mark.parametrize("key", PoolConfig.KEYS)
def test_every_key_of_a_pool_has_its_variable(key):
    keys = ("pools", "default", key)
    settings, wrong = from_environment({variable_name(keys): "1"}, [])

    assert (list(settings), wrong) == ([keys], [])


@pytest.mark.parametrize(
    ("line", "variables"),
    [
        ("A=b", {"A": "b"}),
        ("  export A = b c  # why", {"A": "b c"}),
        ("A=b#c", {"A": "b#c"}),
        ("A=", {"A": ""}),
        ("A= # nothing", {"A": ""}),
        ("A=''", {"A": ""}),
        ("A='x # \\n y' # z", {"A": "x # \\n y"}),
        (r'A="a \"b\" \\ \n\t$c"', {"A": 'a "b" \\ \n\t$c'}),
        ("A=it's", {"A": "it's"}),
        ("A=x=y", {"A": "x=y"}),
        ("# A=1\n; B=2\n\n\tC=3\r\n", {"C": "3"}),
        ("A=1\nA=2", {"A": "2"}),
    ],
)
def test_a_line_of_an_environment_file_is_read(line, variables):
    assert parse_environment(line, "file") == (variables, [])


def test_every_bad_line_of_an_environment_file_is_reported_without_its_value():
    text = 'A=ok\nsecret1\nB=\'secret2\nC="secret3" x\n1D=secret4\nGIGQD_RUN=secret5\nE=secret6\0'
    variables, wrong = parse_environment(text, "file")

    assert variables == {"A": "ok"}
    assert [problem.line for problem in wrong] == [2, 3, 4, 5, 6, 7]
    assert "secret" not in "".join(map(str, wrong))


@given(st.dictionaries(st.from_regex(r"[A-FH-Z_][A-Z0-9_]*", fullmatch=True), st.text()))
def test_quoted_values_are_read_back(variables):
    kept = {k: v.replace("\0", "").replace("\udfff", "") for k, v in variables.items()}
    quoted = {
        k: v.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n").replace("\r", r"\r")
        for k, v in kept.items()
    }
    text = "\n".join(f'{name}="{value}"' for name, value in quoted.items())

    assert parse_environment(text, "file") == (kept, [])


@given(st.text())
def test_any_environment_file_is_read_or_refused_line_by_line(text):
    _, wrong = parse_environment(text, "file")

    assert all(1 <= (problem.line or 0) <= text.count("\n") + 1 for problem in wrong)


def test_the_table_wins_over_the_environment_file(tmp_path):
    (tmp_path / "env").write_text("A=file\nB=file\n")
    path = write(tmp_path, complete("code.environment_file = 'env'\ncode.environment.B = 'table'"))

    assert load(path, {}).code.environment == {"A": "file", "B": "table"}


def test_an_environment_file_that_cannot_be_read_is_a_problem(tmp_path):
    path = write(tmp_path, complete("code.environment_file = 'env'"))

    assert problems(path) == [f"2: code.environment_file: {tmp_path}/env: no such file"]

    (tmp_path / "env").write_bytes(b"A=1\nB=\xff\n")

    assert problems(path) == [f"2: code.environment_file: {tmp_path}/env:2: is not UTF-8"]

    (tmp_path / "env").write_text("A=1\n\nB")

    assert problems(path) == [f"2: code.environment_file: {tmp_path}/env:3: expected NAME=value"]
    assert read_environment_file(tmp_path)[1][0].message == "is a directory; a file is needed"
