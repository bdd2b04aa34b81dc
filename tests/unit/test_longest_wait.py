"""The time that `gigqd start` and `restart` wait for the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gigqd.cli.options import longest_wait
from gigqd.cli.parser import build_parser
from gigqd.config import load

if TYPE_CHECKING:
    from pathlib import Path

    from gigqd.config import Config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "gigq.toml"
    file.write_text('[queue]\ndatabase = "gigq.db"\n[daemon]\nstart_timeout = "90s"\n')
    return load(file, {})


@pytest.mark.parametrize("command", ["start", "restart"])
def test_a_command_outlasts_a_daemon_that_gives_up(config: Config, command: str) -> None:
    options = build_parser().parse_args([command])

    assert longest_wait(options, config) > config.daemon.start_timeout == 90


@pytest.mark.parametrize("command", ["start", "restart"])
def test_the_option_counts(config: Config, command: str) -> None:
    options = build_parser().parse_args([command, "--wait", "5"])

    assert longest_wait(options, config) == 5
