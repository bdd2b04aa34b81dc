"""The end of what a job has written, whole characters only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from gigqd.process.child import scratch_file, tail

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def file() -> Iterator[int]:
    fd = scratch_file("test")
    yield fd
    os.close(fd)


@pytest.mark.parametrize("text", ["", "short", "größer", "€" * 10, "🐢" * 10])
@pytest.mark.parametrize("limit", range(9))
def test_a_cut_never_goes_through_a_character(file: int, text: str, limit: int) -> None:
    os.write(file, text.encode())
    kept = tail(file, limit)

    assert text.endswith(kept)
    assert limit - 4 < len(kept.encode()) <= limit or kept == text


def test_what_is_no_text_is_marked(file: int) -> None:
    os.write(file, b"\x80\x80 whole")

    assert tail(file, 100) == "\ufffd\ufffd whole"


def test_binary_output_is_kept_too(file: int) -> None:
    os.write(file, b"\x80" * 100)

    assert tail(file, 10) == "\ufffd" * 7
