"""When `gigq logs -f` says that nothing comes from another host."""

from __future__ import annotations

import pytest

from gigq.cli.stored_output import _silent_since
from gigq.model import clock

NOW = "2026-11-29T12:00:00.000000+00:00"


def ago(seconds: float) -> str:
    return clock.after(NOW, -seconds)


@pytest.mark.parametrize(
    ("seen", "came", "since"),
    [
        (10, None, None),
        (16, None, 16),
        (16, 2, None),
        (40, 20, 20),
        (20, 40, 20),
    ],
)
def test_a_host_is_silent_half_a_lease_after_its_last_renewal_or_output(
    seen: float, came: float | None, since: float | None
) -> None:
    found = {"seen_at": ago(seen), "lease": 30.0, "now": NOW}

    assert _silent_since(found, ago(came) if came else "") == (ago(since) if since else None)


@pytest.mark.parametrize(("seen_at", "lease"), [(None, None), (ago(99), None)])
def test_a_process_without_a_lease_is_never_called_silent(
    seen_at: str | None, lease: float | None
) -> None:
    assert _silent_since({"seen_at": seen_at, "lease": lease, "now": NOW}, "") is None
