"""What public bug reports say of the systemd units of other tools."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.installations import plain_environment, run
from support.systemd import analyze, needs_systemd

from gigqd.cli import unit_paths


def printed(prefix: Path, config: Path, *options: str) -> tuple[str, str]:
    """Return the unit of a configuration, and the warnings."""
    command = [prefix / "bin/python", "-P", "-m", "gigqd", "--config", config, "systemd", "unit"]
    done = run(*command, *options, folder=config.parent, environment=plain_environment())
    return done.stdout, done.stderr


def written(folder: Path, text: str) -> Path:
    """Write a configuration."""
    file = folder / "gigq.toml"
    file.write_text(text)
    return file


@pytest.mark.fault("K16")
@pytest.mark.parametrize(
    ("text", "folders"),
    [
        ("queue.database = '/var/lib/gigq/shop.db'", ""),
        ("queue.database = '/srv/shop/jobs.db'", "-/srv/shop"),
        ("queue.database = '/data 50%/jobs.db'", '"-/data 50%%"'),
        ("queue.database = '/srv/jobs.db'\nlog.file = '/srv/log/a.log'", "-/srv"),
        ("queue.database = '/srv/a/jobs.db'\nlog.file = '/logs/a.log'", "-/logs -/srv/a"),
        ("queue.database = '/var/lib/gigq/a.db'\ndaemon.runtime_dir = '/q/run'", "-/q/run"),
        ("queue.database = 5", ""),
    ],
)
def test_the_unit_lets_the_daemon_write_where_its_configuration_says(
    prefix: Path, tmp_path: Path, text: str, folders: str
) -> None:
    """NethermindEth/nethermind#3392, fabriziosalmi/certmate#654: all else was read-only.

    systemd/systemd#10972: a folder that is missing ended as an error without its name.
    """
    unit, _ = printed(prefix, written(tmp_path, text))
    given = re.findall(r"^ReadWritePaths=(.*)$", unit, re.MULTILINE)

    assert given == ([folders] if folders else [])


@pytest.mark.fault("K16")
def test_the_unit_of_an_account_may_write_everywhere(prefix: Path, tmp_path: Path) -> None:
    """NethermindEth/nethermind#3392, as above; this unit protects no folder."""
    unit, warnings = printed(prefix, written(tmp_path, "queue.database = 'jobs.db'"), "--user")

    assert (re.findall("ReadWritePaths|Protect", unit), warnings) == ([], "")


@pytest.mark.fault("K17")
@pytest.mark.parametrize(
    ("paths", "hidden"),
    [
        (["/opt/gigqd", "/etc/gigq.toml", "/tmp/queue"], "/tmp/queue"),
        (["/tmp/venv/bin/gigqd", "/etc/gigq.toml"], "/tmp/venv/bin/gigqd"),
        (["/opt/gigqd", "/var/tmp/gigq.toml"], "/var/tmp/gigq.toml"),
        (["/opt/gigqd", "/tmpfiles/gigq.toml", "/srv/tmp"], None),
    ],
)
def test_a_path_in_the_temporary_folders_that_the_unit_replaces_is_a_warning(
    capfd: pytest.CaptureFixture[str], paths: list[str], hidden: str | None
) -> None:
    """adnanh/webhook#551: a socket in /tmp was another one in the service, without an error."""
    unit_paths.warn_of_hidden(map(Path, paths))
    said = capfd.readouterr().err

    assert (f"without {hidden};" in said) == (hidden is not None)
    assert bool(said) == (hidden is not None)


@pytest.mark.fault("K18")
@needs_systemd
@pytest.mark.parametrize("options", [[], ["--user"]])
def test_systemd_finds_the_manual_pages_that_the_unit_names(
    prefix: Path, tmp_path: Path, options: list[str]
) -> None:
    """chef/chef#6117, systemd/systemd#20402: the pages were not where man(1) looks for them."""
    unit, _ = printed(prefix, written(tmp_path, "queue.database = '/srv/a/jobs.db'"), *options)
    (tmp_path / "gigqd.service").write_text(unit)
    done = analyze("verify", tmp_path / "gigqd.service")
    (pages,) = re.findall(r"^Documentation=(.*)$", unit, re.MULTILINE)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert pages == " ".join(
        f"file://{prefix}/share/man/man1/{name}.1".replace(" ", "%%20")
        for name in ("gigqd", "gigq")
    )
    assert (prefix / "share/man/man1/gigqd.1").is_file()
