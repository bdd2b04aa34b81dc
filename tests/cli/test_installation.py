"""GigQ's own distribution, installed over this one or removed from it, is noticed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

OLD_INIT = 'raise ImportError("of GigQ 0.5.1")\n'
FILES_OF_0_5_1 = ("__init__", "worker", "job", "workflow", "decorators", "db_utils", "cli")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder into which an installer has put gigqd."""
    folder = tmp_path / "site-packages"
    for package in ("gigq", "gigqd"):
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    record = folder / "gigqd-0.1.0.dist-info/RECORD"
    record.parent.mkdir()
    files = sorted(path for path in folder.rglob("*.*") if path.is_file())
    rows = (f"{path.relative_to(folder)},sha256=0,{path.stat().st_size}\n" for path in files)
    record.write_text("".join(rows))
    return folder


def gigqd(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (site.parent / "gigq.toml").write_text('[queue]\ndatabase = "jobs.db"\n')
    # -P: not the folder of the test run, which has the packages too.
    return subprocess.run(
        [sys.executable, "-P", "-m", "gigqd", "--config", "gigq.toml", *arguments],
        cwd=site.parent,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def gigq(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "gigq.cli", *arguments],
        cwd=site.parent,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def install_0_5_1(site: Path) -> None:
    (site / "gigq-0.5.1.dist-info").mkdir()
    for name in FILES_OF_0_5_1:
        (site / f"gigq/{name}.py").write_text(OLD_INIT)


def uninstall_0_5_1(site: Path) -> None:
    (site / "gigq-0.5.1.dist-info").rmdir()
    for name in FILES_OF_0_5_1:
        (site / f"gigq/{name}.py").unlink()


def test_a_whole_installation_is_fine(site: Path) -> None:
    done = gigqd(site, "check")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["check", "start", "run"])
@pytest.mark.parametrize("state", ["installed", "uninstalled", "only the first file removed"])
def test_files_that_another_distribution_took_are_named_with_the_remedy(
    site: Path, command: str, state: str
) -> None:
    install_0_5_1(site)
    if state == "uninstalled":
        uninstall_0_5_1(site)
    elif state == "only the first file removed":
        (site / "gigq-0.5.1.dist-info").rmdir()
        (site / "gigq/__init__.py").unlink()
    done = gigqd(site, command)
    first = done.stderr.partition("\n")[0]

    assert done.returncode == 72
    assert ("gigq 0.5.1 is installed" in first) == (state == "installed")
    assert ("missing" in first) == (state != "installed")
    assert f"{sys.executable} -m pip uninstall --yes gigq gigqd" in done.stderr
    assert "Traceback" not in done.stderr
    assert "of GigQ 0.5.1" not in done.stderr


@pytest.mark.parametrize("module", ["gigq.cli", "gigq"])
@pytest.mark.parametrize("state", ["installed", "uninstalled"])
def test_the_command_gigq_names_them_too(site: Path, module: str, state: str) -> None:
    install_0_5_1(site)
    for path in site.glob("gigq/*.py"):  # its own first file imports what is there
        if path.read_text() == OLD_INIT:
            path.write_text("")
    if state == "uninstalled":
        uninstall_0_5_1(site)
        (site / "gigq/__init__.py").touch()  # else Python finds the package of the test run
    for options in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-P", "-m", module, "list", *options],
            cwd=site.parent,
            env=os.environ | {"PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            timeout=60,
        )

        assert done.returncode == 72
        assert "Traceback" not in done.stderr
        said = json.loads(done.stdout)["error"] if options else done.stderr
        assert ("gigq 0.5.1 is installed" in said) == (state == "installed")
        assert ("missing" in said) == (state != "installed")
        assert f"{sys.executable} -m pip uninstall --yes gigq gigqd" in said


def test_the_answer_is_json_when_that_is_asked_for(site: Path) -> None:
    install_0_5_1(site)
    done = gigqd(site, "check", "--json")
    answer = json.loads(done.stdout)

    assert (answer["ok"], answer["code"], done.returncode) == (False, 72, 72)
    assert "gigq 0.5.1" in answer["error"]


def test_a_package_of_the_same_name_that_comes_first_is_noticed(site: Path, tmp_path: Path) -> None:
    other = tmp_path / "other/gigq"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text(OLD_INIT)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "gigqd", "check"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{other.parent}:{site}"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 72
    assert f"Python finds the package 'gigq' in {other}" in done.stderr


@pytest.mark.parametrize(("module", "command"), [("gigq", "list"), ("gigqd", "check")])
def test_an_archive_is_named_with_what_works_instead(
    site: Path, tmp_path: Path, module: str, command: str
) -> None:
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", site)
    done = subprocess.run(
        [sys.executable, "-P", "-m", module, command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": archive},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (72, "")
    assert f"{archive} is an archive" in done.stderr
    assert "uninstall" not in done.stderr


@pytest.mark.parametrize("state", ["missing", "empty"])
@pytest.mark.parametrize(
    "name", ["gigqd/supervisor/children.py", "gigqd/share/completions/gigqd.bash"]
)
def test_a_half_written_file_is_named_with_the_remedy(site: Path, name: str, state: str) -> None:
    (site / name).unlink()
    if state == "empty":
        (site / name).touch()
    done = gigqd(site, "completion", "bash")

    assert (done.returncode, done.stdout) == (72, "")
    assert name in done.stderr
    assert "pip uninstall" in done.stderr


def test_the_command_gigq_names_a_missing_module_of_a_command(site: Path) -> None:
    (site / "gigq/cli/completion.py").unlink()
    done = gigq(site, "completion", "bash")

    assert done.returncode == 72
    assert "Traceback" not in done.stderr
    assert "gigq.cli.completion" in done.stderr
    assert "pip uninstall" in done.stderr


def test_the_command_gigq_names_a_missing_completion(site: Path) -> None:
    (site / "gigq/share/completions/gigq.bash").unlink()
    done = gigq(site, "completion", "bash")

    assert done.returncode == 72
    assert "gigq/share/completions/gigq.bash" in done.stderr
