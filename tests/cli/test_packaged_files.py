"""Commands that print files of the package: example configuration, units, completions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.files import open_up
from support.systemd import analyze, needs_systemd
from support.tree import ROOT

from gigqd.config import load

if TYPE_CHECKING:
    from pathlib import Path

    from support.shell import Shell

FOLDER_OF_SYSTEMD = ROOT / "systemd"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with spaces, letters of other alphabets and characters that systemd replaces."""
    made = tmp_path / "Büro %h $HOME 日本"
    made.mkdir()
    return made


def install_program(folder: Path) -> Path:
    """Write the command `gigqd` as an installer does, with this interpreter."""
    program = folder / "gigqd"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom gigqd.__main__ import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)
    return program


def printed(program: Path | str, *words: str, folder: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIGQ")}
    done = subprocess.run(
        [program, *words],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
        check=True,
    )
    return done.stdout.decode()


def commands_in(unit: str) -> list[str]:
    return re.findall(r"^Exec\w+=(.*)$", unit, re.MULTILINE)


def directives_in(unit: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z]\w+)=(.*)$", unit, re.MULTILINE))


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("program", ["gigq", "gigqd"])
def test_each_command_prints_its_completion(shell: Shell, program: str, shell_name: str) -> None:
    done = shell.program(program, "completion", shell_name)
    file = ROOT / program / "share/completions" / f"{program}.{shell_name}"

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == file.read_text(encoding="utf-8")


def test_the_completion_needs_no_database_and_no_valid_configuration(shell: Shell) -> None:
    (shell.folder / "gigq.toml").write_text("not TOML")

    assert "_shtab_gigq" in shell.out("completion", "bash")


def test_the_example_is_a_valid_configuration(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "printed.toml"
    file.write_text(shell.program("gigqd", "config", "example").stdout)

    assert str(load(file, {}).queue.database) == "/var/lib/gigq/gigq.db"


@pytest.mark.parametrize(
    ("word", "file"),
    [
        ("sysusers", "gigqd.sysusers"),
        ("delegate", "gigqd-delegate.conf"),
        ("more-rights", "gigqd-more-rights.conf"),
    ],
)
def test_the_files_beside_the_unit_are_printed_as_they_are(
    shell: Shell, word: str, file: str
) -> None:
    done = shell.program("gigqd", "systemd", word)

    assert done.stdout == (FOLDER_OF_SYSTEMD / file).read_text()


def test_the_unit_has_the_paths_of_command_and_pages_and_is_otherwise_the_shipped_one(
    tmp_path: Path,
) -> None:
    program = install_program(tmp_path)
    unit = printed(program, "systemd", "unit", folder=tmp_path)
    shipped = (FOLDER_OF_SYSTEMD / "gigqd.service").read_text()

    pages = re.compile("^Documentation=.*$", re.MULTILINE)  # test_field_reports_units.py has them
    assert pages.sub("", unit) == pages.sub("", shipped).replace(
        "/opt/gigqd/bin/gigqd", str(program)
    )


def test_the_unit_has_the_path_of_an_archive_that_runs_the_command(tmp_path: Path) -> None:
    program = install_program(tmp_path).rename(tmp_path / "gigqd.pyz")
    unit = printed(program, "systemd", "unit", folder=tmp_path)

    assert commands_in(unit)[0] == f"{program} run --config /etc/gigq.toml"


def test_the_unit_has_the_interpreter_where_the_module_was_run(tmp_path: Path) -> None:
    unit = printed(sys.executable, "-m", "gigqd", "systemd", "unit", folder=tmp_path)

    assert commands_in(unit) == [
        f"{sys.executable} -m gigqd {word} --config /etc/gigq.toml" for word in ("run", "reload")
    ]


@pytest.mark.parametrize("options", [[], ["--user"]])
def test_the_unit_names_the_configuration_and_the_name_that_were_given(
    tmp_path: Path, options: list[str]
) -> None:
    program = install_program(tmp_path)
    given = ["--config", "shop.toml", "--name", "night", "systemd", "unit", *options]
    unit = printed(program, *given, folder=tmp_path)

    assert commands_in(unit) == [
        f"{program} {word} --config {tmp_path}/shop.toml --name night" for word in ("run", "reload")
    ]


def test_the_unit_names_the_configuration_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "gigq.toml").touch()
    unit = printed(install_program(tmp_path), "systemd", "unit", "--user", folder=tmp_path)

    assert commands_in(unit)[0].endswith(f" run --config {tmp_path}/gigq.toml")


def test_a_unit_of_an_account_needs_a_configuration(shell: Shell) -> None:
    done = shell.program("gigqd", "systemd", "unit", "--user")

    assert (done.returncode, done.stdout) == (2, "")
    assert "`gigqd --config FILE systemd unit --user`" in done.stderr


def test_only_the_unit_has_one_for_an_account(shell: Shell) -> None:
    done = shell.program("gigqd", "systemd", "sysusers", "--user")

    assert (done.returncode, done.stdout) == (2, "")


@needs_systemd
@pytest.mark.parametrize("options", [[], ["--user"]])
def test_systemd_finds_nothing_wrong_with_a_unit_of_unusual_paths(
    tmp_path: Path, folder: Path, options: list[str]
) -> None:
    program = install_program(folder)
    given = ["--config", 'a "file" \\ .toml', "systemd", "unit", *options]
    file = tmp_path / "gigqd.service"
    file.write_text(printed(program, *given, folder=folder))

    done = analyze("verify", "--man=no", file)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_program_that_systemd_would_refuse_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "it's"
    folder.mkdir()
    done = subprocess.run(
        [install_program(folder), "systemd", "unit"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert "systemd starts no program whose path has quotes" in done.stderr
    assert "install gigqd in another folder" in done.stderr


def test_a_program_that_the_account_of_the_unit_cannot_reach_is_a_warning(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    open_up(tmp_path)
    closed.chmod(0o700)
    done = subprocess.run(
        [install_program(closed), "systemd", "unit"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0
    assert f"cannot use {closed}/gigqd: {closed} is closed to other accounts" in done.stderr


def test_the_unit_of_an_account_has_the_values_of_the_shipped_one() -> None:
    shipped = directives_in((FOLDER_OF_SYSTEMD / "gigqd.service").read_text())
    user = directives_in((FOLDER_OF_SYSTEMD / "gigqd-user.service").read_text())
    of_its_own = {"Description", "ExecStart", "ExecReload", "WantedBy"}

    assert {key: shipped.get(key) for key in user.keys() - of_its_own} == {
        key: user[key] for key in user.keys() - of_its_own
    }
