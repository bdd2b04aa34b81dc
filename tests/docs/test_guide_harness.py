"""The harness that runs the pages notices what is wrong in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.free_port import free_port
from support.guide import Page, Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.docs


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path, free_port())
    yield reader
    reader.bash.close()


def page(folder: Path, text: str) -> Page:
    (folder / "page.md").write_text(text)
    return Page(str(folder / "page.md"))


def console(*lines: str) -> str:
    return "\n".join(["```console", *lines, "```", ""])


@pytest.mark.parametrize(
    "lines",
    [
        ("$ false",),
        ("$ echo one", "two"),
        ("$ echo one",),
        ("$ echo", "one"),
        ("$ no-such-command",),
        ("$ echo 1.5 KiB", "no size"),
        ("$ exit",),
    ],
)
def test_a_command_that_fails_or_prints_something_else_is_found(
    reader: Reader, tmp_path: Path, lines: tuple[str, ...]
) -> None:
    with pytest.raises(AssertionError):
        reader.follow(page(tmp_path, console(*lines)))


def test_commands_share_a_shell_and_figures_may_vary(reader: Reader, tmp_path: Path) -> None:
    text = console(
        "$ export WORD=kept && mkdir sub && cd sub",
        "$ echo pid 12, $WORD, 5ms, 2026-01-01 00:00:00+00:00, 3 KiB; pwd",
        "pid 4711, kept, 1.2s, 2025-12-31 10:00:00+00:00, 1.5 MiB",
        "/home/you/shop/sub",
    )

    reader.follow(page(tmp_path, text))


def test_files_are_written_where_the_reader_is(reader: Reader, tmp_path: Path) -> None:
    blocks = [
        console("$ mkdir sub && cd sub"),
        "```python\n# a.py\nprint(1)\n```\n",
        "```python\n# a.py, at the end\nprint(2)\n```\n",
        "```ini\n# ~/b/c.service\nhome\n```\n",
        "```toml\n# /etc/d.toml\nhost = 1\n```\n",
        console("$ python a.py && cat ~/b/c.service /etc/d.toml", "1", "2", "home", "host = 1"),
    ]

    reader.follow(page(tmp_path, "\n".join(blocks)))

    assert (tmp_path / "root/etc/d.toml").exists()


def test_an_id_stands_for_the_one_that_was_printed(reader: Reader, tmp_path: Path) -> None:
    shown, real = "01a21000-5c01-7a10-8a52-6f0e51c0d001", "01a22222-0000-7000-8000-00000000abcd"
    text = console(f"$ echo {real}", shown, "$ echo end of it: 51c0d001", "end of it: ...0000abcd")

    reader.follow(page(tmp_path, text))


def test_blocks_without_a_name_and_blocks_that_are_not_run_are_listed(tmp_path: Path) -> None:
    blocks = page(tmp_path, "```python\nx = 1\n```\n\n```sh\nreboot\n```\n\n```text\nwords\n```\n")

    assert blocks.nameless == ["x = 1"]
    assert blocks.shown_only == ["reboot", "words"]
