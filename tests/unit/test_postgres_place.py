"""The folder in which the plain workers of a queue on PostgreSQL find each other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gigq.store.postgres.place import runtime_folder

OURS = Path(f"/tmp/gigq-{os.getuid()}")
ANOTHER = 65534


def test_it_is_in_the_runtime_directory_of_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    assert runtime_folder() == tmp_path / "gigq"


def test_that_of_another_account_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.getuid() == 0:
        os.chown(tmp_path, ANOTHER, ANOTHER)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path) if os.getuid() == 0 else "/")

    assert runtime_folder() == OURS


@pytest.mark.parametrize("given", ["", "/missing", __file__])
def test_what_is_no_folder_is_not_used(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", given)

    assert runtime_folder() == OURS
