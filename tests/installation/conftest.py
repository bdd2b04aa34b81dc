"""The built wheel with what it needs, and one environment that it is installed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.installations import Wheels, collect_wheels

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    """The wheel, its dependencies and gigq 0.5.1, so that each installation needs no index."""
    return collect_wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="session")
def scripts(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin/ of a virtual environment with the wheel, which tests leave as it is."""
    return wheels.make_venv(tmp_path_factory.mktemp("environment") / "venv")
