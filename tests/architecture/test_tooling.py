"""The Makefile and the script that finds a Python, as a newcomer meets them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from support.tree import ROOT


def run(*command, **environment):
    return subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def make(*arguments):
    return run("make", "--no-print-directory", *arguments, MAKEFLAGS="")


def test_make_alone_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^\.PHONY: ([\w-]+)$", makefile, re.MULTILINE))

    listed = {line.split()[1] for line in make().stdout.splitlines()}

    assert {"help", "setup", "demo", "test", "check", "clean"} <= targets
    assert listed == targets


def test_setup_is_repeated_only_when_the_project_file_changed(tmp_path):
    def plan():
        return make("--dry-run", "setup", f"VENV={tmp_path}").stdout

    for stamp in (".ready", ".ready-dev"):
        (tmp_path / stamp).touch()
    settled = plan()
    for stamp in (".ready", ".ready-dev"):
        os.utime(tmp_path / stamp, (0, 0))

    assert "make-venv" not in settled
    assert "make-venv" in plan()


def test_a_machine_without_a_suitable_python_is_reported(tmp_path):
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)

    done = run("/bin/sh", "tools/make-venv", str(tmp_path / "venv"), PATH=str(tmp_path), PYTHON="")

    assert done.returncode == 1
    assert "No Python 3.11 or newer was found" in done.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (None, "cannot start: .*not found"),
        ("#!/bin/sh\nexit 3\n", "cannot start: it ends without a message"),
        ("#!/bin/sh\necho no libpython >&2; exit 127\n", "cannot start: no libpython"),
        ("#!/no/such/interpreter\n", "cannot start: .*not found"),
        (
            '#!/bin/sh\ncase "$*" in *version_info*) exit 1;; esac\necho Python 3.9.1\n',
            "is Python 3.9.1; Python 3.11 or newer is needed",
        ),
    ],
    ids=["missing", "fails", "says why", "bad interpreter", "old"],
)
def test_a_named_python_that_will_not_do_is_reported_with_the_reason(tmp_path, program, reason):
    python = tmp_path / "my python"
    if program is not None:
        python.write_text(program)
        python.chmod(0o755)

    done = run("/bin/sh", "tools/make-venv", str(tmp_path / "venv"), PYTHON=str(python))

    assert done.returncode == 1
    assert re.search(f"PYTHON={python} {reason}", done.stderr), done.stderr


def test_without_the_venv_module_the_message_says_how_to_get_it(tmp_path):
    bare = tmp_path / "python3"
    bare.write_text(
        f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexec "{sys.executable}" "$@"\n'
    )
    bare.chmod(0o755)

    done = run("/bin/sh", "tools/make-venv", str(tmp_path / "venv"), PYTHON=str(bare))

    assert done.returncode == 1
    assert "python3-venv" in done.stderr


def test_a_shim_that_only_fails_is_passed_over(tmp_path):
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    venv = tmp_path / "venv"
    good = tmp_path / "python3.12"
    good.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && exec "{sys.executable}" "$@"\n'
        f'echo "$0 $*" >> "{tmp_path}/log"\nexit 3\n'
    )
    good.chmod(0o755)

    run("/bin/sh", "tools/make-venv", str(venv), PATH=str(tmp_path), PYTHON="")

    assert f"{good} -m venv --clear {venv}" in (tmp_path / "log").read_text()


DENIED = "Tell"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{DENIED} the worker.", [DENIED]),
        (f'"""{DENIED} the worker."""', [DENIED]),
        (f"the word `{DENIED}`, or '{DENIED}' or \"{DENIED}\"", []),
        ("Report the outcome.", []),
    ],
)
def test_a_denied_word_is_reported_with_its_place_and_what_to_write(tmp_path, text, found):
    page = tmp_path / "page.md"
    page.write_text(f"A first line.\n{text}\n")

    done = run(sys.executable, "tools/check-words", str(tmp_path))
    lines = done.stdout.split("\n")[:-1]

    assert done.returncode == (1 if found else 0)
    assert [re.match(rf"{page}:2: '(\w+)': write \S", line)[1] for line in lines] == found


def test_the_page_that_keeps_the_words_of_gigq_0_5_1_is_not_checked(tmp_path):
    page = tmp_path / "docs/api/core.md"
    page.parent.mkdir(parents=True)
    page.write_text(f"{DENIED} the worker.\n")

    assert run(sys.executable, "tools/check-words", str(tmp_path)).returncode == 0


def test_the_public_ci_runs_every_version_that_a_classifier_claims():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    tested = set(workflow["jobs"]["test"]["strategy"]["matrix"]["python"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    claimed = {
        found[1]
        for line in project["classifiers"]
        if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line))
    }

    assert project["requires-python"].removeprefix(">=") in claimed
    assert claimed <= tested


def test_the_public_ci_runs_targets_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    used = re.findall(r"\bmake ([a-z-]+)", workflow)

    assert {"check", "check-docs", "test", "dist", "systemd-test"} <= set(used)
    assert [target for target in used if f"\n{target}: " not in makefile] == []
