"""A file that a reload catches while it is rewritten in place is read again; the files are real."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.configs import write_config
from support.waiting import wait_until

from gigqd.config import load
from gigqd.errors import ConfigError
from gigqd.supervisor.config_reading import ConfigReader

if TYPE_CHECKING:
    from pathlib import Path

    from gigqd.config import Config

TEXT = "[code]\nenvironment_file = 'env'\n[pools.default]\nsize = 2\n[pools.mail]\nsize = 1"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "env").write_text("FIRST=1\nSECOND=2\n")
    return load(write_config(tmp_path, TEXT), {})


@pytest.mark.fault("D15")
@pytest.mark.fault("D1")
@pytest.mark.parametrize("end", ["[daemon]", "base =", "[pools.mail]"])
def test_the_beginning_of_the_file_in_force_is_read_again(config: Config, end: str) -> None:
    assert config.source
    text = config.source.read_text()
    reader = ConfigReader(config)

    config.source.write_text(text[: text.index(end)])
    reader.begin()
    first = reader.read(config)
    config.source.write_text(text.replace("size = 2", "size = 3"))
    second = reader.read(config)

    assert first is None
    assert second
    assert second[1].live == ("pools.default.size",)
    assert not reader.active


def test_the_beginning_of_an_environment_file_is_read_again(config: Config) -> None:
    assert config.code.environment_file
    reader = ConfigReader(config)

    config.code.environment_file.write_text("FIRST=1\nSEC")
    reader.begin()
    first = reader.read(config)
    config.code.environment_file.write_text("FIRST=1\nSECOND=3\n")
    second = reader.read(config)

    assert first is None
    assert second
    assert second[0].code.environment == {"FIRST": "1", "SECOND": "3"}


def test_a_beginning_that_is_wrong_is_refused_when_it_stays(config: Config) -> None:
    assert config.source
    text = config.source.read_text()
    reader = ConfigReader(config)

    config.source.write_text(text[: text.index("base =")])
    reader.begin()

    with pytest.raises(ConfigError, match="not valid TOML"):
        wait_until(lambda: reader.read(config))
    assert not reader.active


@pytest.mark.parametrize("change", ["size = 4", "size = 2\n\n", "size"])
def test_any_other_change_is_read_once(config: Config, change: str) -> None:
    assert config.source
    text = config.source.read_text()
    reader = ConfigReader(config)

    config.source.write_text(
        text.rstrip() if change == "size" else text.replace("size = 2", change)
    )
    reader.begin()

    assert reader.read(config)
