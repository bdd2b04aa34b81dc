"""What went wrong with packages and installations of other tools, from public bug reports."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from typing import TYPE_CHECKING

import pytest
from support.files import open_up
from support.installations import Application, build, plain_environment, run
from support.made_once import made_once
from support.parsers import commands_of
from support.tree import ROOT

import gigq.cli.parser
import gigqd.cli.parser
from gigq import __version__

if TYPE_CHECKING:
    from pathlib import Path

MODULES_OF_PYTHON = ("json", "logging", "queue", "random", "signal", "traceback", "types")
PARSERS = {"gigq": gigq.cli.parser.build_parser(), "gigqd": gigqd.cli.parser.build_parser()}


def modules_as_commands(*options: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Both commands as modules of this interpreter with options; -P as for an installed command."""
    start = (sys.executable, "-P", *options, "-m")
    return (*start, "gigq"), (*start, "gigqd")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    (file,) = made_once(tmp_path_factory, "wheel", partial(build, "wheel")).iterdir()
    return file


@pytest.mark.fault("K1")
def test_the_wheel_installs_no_tests(wheel: Path) -> None:
    """rq/rq#1331: a folder of tests in the wheel became a package beside those of others."""
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}

    assert {top for top in tops if not top.startswith(f"gigqd-{__version__}.")} == {"gigq", "gigqd"}


@pytest.mark.fault("K2")
def test_an_unpacked_wheel_without_its_metadata_has_all_that_commands_read(
    wheel: Path, tmp_path: Path
) -> None:
    """husnainpk/SymDex#1, ChrisBuilds/terminaltexteffects#15: no schema; no version."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    for folder in (tmp_path / "site").glob("gigqd-*"):
        shutil.rmtree(folder)
    environment = plain_environment(PYTHONPATH=tmp_path / "site")

    def output(*words: str) -> str:
        command = [sys.executable, "-P", "-m", *words]
        return run(*command, folder=tmp_path, environment=environment).stdout

    assert output("gigqd", "--version") == f"gigqd {__version__}\n"
    assert output("gigqd", "config", "example") == (ROOT / "etc/gigq.toml").read_text()
    assert output("gigqd", "systemd", "sysusers")
    output("gigq", "submit", "os.getcwd", "--name", "a job", "--db", "new.db")
    assert "total     | 1" in output("gigq", "stats", "--db", "new.db")


@pytest.mark.fault("K3")
def test_the_source_distribution_has_each_file_of_the_tests(tmp_path: Path) -> None:
    """dask/dask#9114: the tests were there, and their conftest.py was not."""
    source = build("sdist", tmp_path / "built")
    names = subprocess.run(
        ["tar", "tf", source], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    wanted = {
        f"gigqd-{__version__}/{path.relative_to(ROOT)}"
        for path in (ROOT / "tests").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert len(wanted) > 200
    assert sorted(wanted - set(names)) == []


@pytest.mark.fault("K4")
def test_manual_pages_are_where_man_looks_for_them(wheel: Path) -> None:
    """tqdm/tqdm#465: a page in PREFIX/man; benoitc/http-parser#4: files in the root of PREFIX."""
    with zipfile.ZipFile(wheel) as archive:
        data = [name for name in archive.namelist() if ".data/" in name]
    pages = sorted(name.partition(".data/data/")[2] for name in data if name.endswith(".1"))

    assert pages == ["share/man/man1/gigq.1", "share/man/man1/gigqd.1"]
    assert all(".data/data/share/" in name for name in data)


@pytest.mark.daemon
@pytest.mark.fault("K5")
def test_everything_works_without_docstrings_and_assertions(tmp_path: Path) -> None:
    """docker/compose#8175: with PYTHONOPTIMIZE=2 no command started, for want of a docstring."""
    assert Application(tmp_path / "app", *modules_as_commands("-OO")).works()


@pytest.mark.fault("K5")
@pytest.mark.parametrize("program", PARSERS)
def test_every_help_text_is_there_without_docstrings(program: str, tmp_path: Path) -> None:
    """docker/compose#8175, as above."""
    script = (
        "import contextlib, sys; from importlib import import_module\n"
        "for word in sys.argv[2:]:\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        import_module(sys.argv[1]).build_parser().parse_args([word, '--help'])\n"
    )
    words = commands_of(PARSERS[program])
    command = [sys.executable, "-OO", "-c", script, f"{program}.cli.parser", *words]
    printed = run(*command, folder=tmp_path, environment=plain_environment(COLUMNS="80")).stdout

    assert printed.count(f"usage: {program}") == len(words)


@pytest.mark.fault("K6")
@pytest.mark.parametrize("closed", ["gigqd", "site/gigqd"])
def test_the_unit_of_an_installation_that_only_root_can_read_is_a_warning(
    tmp_path: Path, closed: str
) -> None:
    """pypa/pip#3421: installed with umask 077, a program could be read by root alone."""
    shutil.copytree(ROOT / "gigq", tmp_path / "site/gigq")
    shutil.copytree(ROOT / "gigqd", tmp_path / "site/gigqd")
    shutil.copytree(ROOT / "systemd", tmp_path / "site/systemd")
    program = tmp_path / "gigqd"
    program.write_text(
        f"#!{sys.executable} -P\nimport sys\nfrom gigqd.__main__ import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)
    open_up(tmp_path)
    (tmp_path / closed).chmod(0o700)
    done = run(
        *[program, "systemd", "unit"],
        folder=tmp_path,
        environment=plain_environment(PYTHONPATH=tmp_path / "site"),
    )

    assert f"ExecStart={program} run" in done.stdout
    assert "warning: the unit's account cannot use" in done.stderr
    assert f"{tmp_path / closed} is closed to other accounts" in done.stderr


@pytest.mark.fault("K7")
@pytest.mark.parametrize("program", ["gigq", "gigqd"])
def test_nothing_but_the_completion_is_printed_for_eval(program: str, tmp_path: Path) -> None:
    """kubernetes-sigs/kubebuilder#3473: a notice about the folder broke the completion."""
    file = tmp_path / "gigq.toml"
    file.write_text("no TOML")
    if os.geteuid() == 0:
        os.chown(file, 4711, 4711)  # root gets a notice that it does not read this file
    command = [sys.executable, "-P", "-m", program, "completion", "bash"]
    done = run(*command, folder=tmp_path, environment=plain_environment())

    assert done.stdout == (ROOT / program / f"share/completions/{program}.bash").read_text()


@pytest.mark.daemon
@pytest.mark.fault("K8")
def test_modules_of_the_application_may_be_named_as_those_of_python(tmp_path: Path) -> None:
    """vxgmichel/aioconsole#86: a queue.py of the user was imported instead of Python's own."""
    app = Application(tmp_path / "app", *modules_as_commands())
    for name in MODULES_OF_PYTHON:
        (app.home / f"{name}.py").write_text(f"raise ImportError({name!r})\n")

    assert app.works()


@pytest.mark.fault("K9")
@pytest.mark.parametrize("program", ["gigq", "gigqd"])
def test_a_home_directory_that_is_unknown_is_named_as_the_mistake(
    program: str, tmp_path: Path
) -> None:
    """actionless/pikaur#248: without HOME the program ended with a KeyError."""
    (tmp_path / "gigq.toml").write_text('[queue]\ndatabase = "~no-such-account/jobs.db"\n')
    command = ["env", "-i", sys.executable, "-P", "-m", program, "--config", "gigq.toml"]
    word = {"gigq": "list", "gigqd": "check"}[program]
    done = run(*command, word, folder=tmp_path, environment=plain_environment(), fails=True)

    assert "~no-such-account/jobs.db" in done.stderr
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr


@pytest.mark.daemon
@pytest.mark.fault("K9")
def test_everything_works_without_a_home_directory(tmp_path: Path) -> None:
    """actionless/pikaur#248, as above."""
    commands = (("env", "-u", "HOME", *words) for words in modules_as_commands())

    assert Application(tmp_path / "app", *commands).works()


@pytest.mark.fault("K10")
def test_both_distributions_are_built_in_a_locale_without_utf_8(
    wheel: Path, tmp_path: Path
) -> None:
    """docker/docker-py#1313: a README with a dash could not be read in the locale C."""
    locale = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    again = build("wheel", tmp_path / "wheel", **locale)
    build("sdist", tmp_path / "sdist", **locale)

    assert again.read_bytes() == wheel.read_bytes()
