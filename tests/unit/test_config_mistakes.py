"""Every mistake in a configuration is named with its line and its remedy."""

from __future__ import annotations

import pytest
from support.config_files import complete, problems, write


def test_every_problem_is_reported_at_once_with_its_line_and_a_hint(tmp_path):
    path = write(
        tmp_path,
        "[queue]\n"
        "lock_timout = 3\n"
        "[pools.mail]\n"
        'size = "4"\n'
        "timeout_grace = -1\n"
        'queues = ["a", 5]\n'
        "[deamon]\n"
        "[log]\n"
        'level = "inof"\n'
        "file = 1979-05-27\n"
        "size = 3\n",
    )
    starts = [
        "1: queue.database: missing; set it to the queue's file",
        '2: queue.lock_timout: unknown key; did you mean "lock_timeout"?',
        "4: pools.mail.size: expected a whole number, not text",
        "5: pools.mail.timeout_grace: must be at least 0s, not -1s",
        "6: pools.mail.queues: item 2: expected the name of a queue",
        '7: deamon: unknown table; did you mean "daemon"?',
        '9: log.level: "inof" is none of debug, info, warning, error, critical; did',
        "10: log.file: expected a path, not a date or time",
        '11: log.size: unknown key; did you mean "max_size"?',
    ]

    assert [
        problem[: len(start)] for problem, start in zip(problems(path), starts, strict=True)
    ] == (starts)


@pytest.mark.parametrize(
    ("queues", "expected"),
    [
        ('["*", "etl"]', '"*" is every queue, so "etl" adds nothing'),
        ('["etl", "!mail"]', '"!mail" only leaves out; add "*"'),
        ('["!mail"]', '"!mail" only leaves out; add "*"'),
        ('["*", "!mail", "!mail"]', 'item 3: "!mail" is listed twice'),
        ('["*", "!"]', "item 2: expected the name of a queue"),
        ('["*", "!*"]', "item 2: expected the name of a queue"),
        ("[]", "an empty list serves no queue"),
    ],
)
def test_queues_that_contradict_each_other_are_a_problem(tmp_path, queues, expected):
    (problem,) = problems(write(tmp_path, complete(f"[pools.rest]\nqueues = {queues}")))

    assert problem.partition("pools.rest.queues: ")[2].startswith(expected)


def test_a_table_that_only_the_name_of_another_opens_is_found_on_that_line(tmp_path):
    path = write(tmp_path, complete("[log]\n[pols.mail]\nsize = 4"))

    assert problems(path) == ['3: pols: unknown table; did you mean "pools"?']


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stop_timeout = 5", 'stop_timeout: unknown key outside any table; did you mean "daemon.'),
        ("log = 5", "log: must be a table, not a whole number"),
        ('[pools."a b"]', "pools.a b: a pool's name is letters and digits joined by - or _"),
        ("[pools.a-b]\n[pools.A_B]", 'pools.A_B: is the same name as "a-b" in environment'),
    ],
)
def test_a_misplaced_name_is_named_with_its_remedy(tmp_path, text, expected):
    (problem,) = problems(write(tmp_path, complete(text)))

    assert problem.partition(": ")[2].startswith(expected)


def test_the_old_name_of_a_key_is_an_error_that_names_the_new_one(tmp_path):
    old = write(tmp_path, complete("[pools.a]\nallowed_residue = ['children']"))
    environ = {"GIGQD_POOLS__A__ALLOWED_RESIDUE": "children"}

    assert problems(old) == [
        "3: pools.a.allowed_residue: unknown key; it is called allowed_leaks now"
    ]
    (problem,) = problems(write(tmp_path, complete("[pools.a]")), environ)

    assert problem.endswith('unknown variable; did you mean "GIGQD_POOLS__A__ALLOWED_LEAKS"?')


@pytest.mark.fault("A21")
@pytest.mark.parametrize(
    ("table", "line", "expected"),
    [
        ("pools", "size = 5", "must be a table, not a whole number; write it in [pools.default]"),
        ("code", "environment = 5", "must be a table, not a whole number"),
        ("code.environment", "A = 5", "expected text in quotes, not a whole number"),
        ("code.environment", "A-B = ''", "a variable's name is letters, digits and _"),
        ("code.environment", "GIGQD_X = ''", "names that start with GIGQD_ are set by gigqd"),
        ("code", "imports = ['a b']", 'item 1: expected a module name such as "myapp.jobs"'),
        ("pools.a", "size = 0", "no pool has a worker; give at least one a size of 1 or more"),
        ("pools.a", "size = true", "expected a whole number, not a boolean"),
        ("pools.a", "size = 99999999999999999999", "must be at most 1000, not a huge number"),
        ("pools.a", "queues = []", 'an empty list serves no queue; "*" is every queue'),
        ("pools.a", "queues = ['mail*']", "item 1: expected the name of a queue"),
        ("pools.a", "timeout_limit = 0", "must be at least 1ms, not 0s"),
        ("pools.a", "timeout_limit = inf", "must be a finite number, not inf"),
        ("pools.a", "timeout_limit = nan", "must be a finite number, not nan"),
        ("security", "allow = []", "an empty list would allow no job at all"),
        (
            "daemon",
            "working_directory = '/no/such/place'",
            "/no/such/place is not a directory; create it, or name another",
        ),
        ("log", "file = '/no/such/place/x.log'", "there is no directory /no/such/place"),
        ("log", "file = '/tmp'", "is a directory; a file is needed"),
        ("daemon", "user = 'no-such-user'", 'there is no user "no-such-user" on this host'),
        ("daemon", "group = 'no-such-group'", 'there is no group "no-such-group" on this host'),
        ("daemon", "umask = 0o22", "expected octal digits in quotes"),
        ("daemon", "umask = '0777'", '"0777" is not a mask between "000" and "077"'),
        ("pools.a", "record_timeout = '30s'", "30s is not longer than queue.lock_timeout"),
        ("daemon", "name = '../x'", "expected letters, digits, . _ -"),
    ],
)
def test_a_bad_value_is_named_with_its_remedy(tmp_path, table, line, expected):
    (problem,) = problems(write(tmp_path, complete(f"[{table}]\n{line}")))
    key = line.partition(" ")[0]

    assert problem.startswith(f"3: {table}.{key}: {expected}")


@pytest.mark.fault("A21")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[log]\nfile = 'a'\n\nfile = 'b'\n", "4: log.file: given twice; the first is on line 2"),
        ("[log]\n[daemon]\n[log]\n", "3: log: given twice; the first is on line 1"),
        ("[log]\nfile = 'a'\nfile.x = 1\n", "3: not valid TOML: Cannot overwrite a value"),
        ("[queue\n", "1: not valid TOML: Expected ']' at the end of a table declaration"),
        ("[daemon]\n\nname = \n", "3: not valid TOML: Invalid value"),
        ("[log]\nfile = '''\n\n", "2: not valid TOML: Expected \"'''\""),
        ("x = " + "9" * 5000, "not valid TOML: Exceeds the limit"),
        ("x = " + "[" * 5000, "not valid TOML: nested too deeply"),
        (b"[log]\nfile = '\xff'\n", "2: is not UTF-8; save it as UTF-8"),
        ("[log]\n".encode("utf-16"), "1: is UTF-16; save it as UTF-8"),
        (b"[log]\nfile = 'a\x00b'\n", "2: not valid TOML: "),
        ("[log] x\n", "1: not valid TOML: Expected newline or end of document after a statement"),
        ('[log]\nfile = "a\n', "2: not valid TOML: Illegal character '\\n'; a quote is not closed"),
    ],
)
def test_what_is_no_toml_is_reported_with_its_line(tmp_path, text, expected):
    (problem,) = problems(write(tmp_path, text))

    assert problem.startswith(expected)


@pytest.mark.fault("A21")
@pytest.mark.parametrize(
    ("line", "key", "word"),
    [
        ("queue.database = x.db", "queue.database", "x.db"),
        ("queue.database = /var/lib/x y.db # here", "queue.database", "/var/lib/x y.db"),
        ("queue.database = 2024.db", "queue.database", "2024.db"),
        ("daemon.stop_timeout = 30s", "daemon.stop_timeout", "30s"),
        ("log.level = debug", "log.level", "debug"),
        ("code.imports = ['a', shop.tasks]", "code.imports", "shop.tasks"),
        ("code.imports = [\n  'a',\n  shop,\n]", "code.imports", "shop"),
        ("log = {level = debug}", "log.level", "debug"),
    ],
)
def test_text_without_quotes_is_named_with_its_key_and_the_quotes(tmp_path, line, key, word):
    (problem,) = problems(write(tmp_path, f"# first\n{line}\n"))
    number = 2 + line.partition(word)[0].count("\n")

    assert problem.startswith(f"{number}: {key}: not valid TOML: ")
    assert problem.endswith(f'; text is written in quotes: "{word}"')


def test_a_variable_without_quotes_is_named_without_its_value(tmp_path):
    (problem,) = problems(write(tmp_path, "[code.environment]\nKEY = my-secret\n"))

    assert problem.startswith("2: code.environment.KEY: not valid TOML: ")
    assert problem.endswith("; text is written in quotes")


def test_the_name_of_a_table_is_not_taken_for_a_value_without_quotes(tmp_path):
    (problem,) = problems(write(tmp_path, "[log] x\n"))

    assert "quotes" not in problem
