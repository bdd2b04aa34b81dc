"""The built wheel with what it needs, and one environment that it is installed in."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.installations import Wheels, build, collect_wheels


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    """The wheel, its dependencies and gigq 0.5.1, so that each installation needs no index."""
    return collect_wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="session")
def scripts(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin/ of a virtual environment with the wheel, which tests leave as it is."""
    return wheels.make_venv(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the files of the wheel; the packages that it needs are those of here."""
    place = tmp_path_factory.mktemp("environment") / "my venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    (site,) = place.glob("lib/*/site-packages")
    with zipfile.ZipFile(build("wheel", place / "wheel")) as archive:
        archive.extractall(site)
    (data,) = site.glob("*.data/data/share")
    shutil.move(data, place)
    (site / "others.pth").write_text(str(Path(pytest.__file__).parents[1]))
    return place
