"""An application written for GigQ 0.5.1 runs unchanged and sees the same."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

APPLICATION = Path(__file__).parents[1] / "support" / "jobs_of_an_old_app.py"
SEEN_UNDER_0_5_1 = json.loads(APPLICATION.with_suffix(".json").read_text())


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("application")
    script = shutil.copy(APPLICATION, folder / "application.py")
    ran = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    return json.loads(ran.stdout)


@pytest.mark.parametrize("part", sorted(SEEN_UNDER_0_5_1))
def test_a_part_of_the_application_sees_what_it_saw_under_0_5_1(seen, part):
    assert seen[part] == SEEN_UNDER_0_5_1[part]


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("gigq.job", ["Job"]),
        ("gigq.worker", ["Worker"]),
        ("gigq.workflow", ["Workflow"]),
        ("gigq.decorators", ["task", "TaskWrapper"]),
        ("gigq.db_utils", ["get_connection", "close_connection", "close_connections"]),
    ],
)
def test_its_modules_that_are_kept_have_their_names(module, names):
    found = importlib.import_module(module)

    assert [name for name in names if not callable(getattr(found, name, None))] == []
