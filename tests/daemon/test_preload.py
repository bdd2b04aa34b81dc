"""The modules that a daemon loads before its first fork, for all of its processes."""

from __future__ import annotations

import pkgutil

import pytest
from support import jobs

from gigq.store import postgres

pytestmark = pytest.mark.daemon

OF_POSTGRES = {
    "gigqd.recorder.server_storage",
    *("gigq.model.lease", "gigq.store.lease_renewal"),
    *("gigqd.supervisor.lease_watch", "gigqd.worker.claim_lease"),
    *(module.name for module in pkgutil.iter_modules(postgres.__path__, f"{postgres.__name__}.")),
}


@pytest.mark.parametrize(
    ("daemons", "expected"),
    [("sqlite", set()), ("postgres", OF_POSTGRES)],
    indirect=["daemons"],
    ids=["sqlite", "postgres"],
)
def test_the_modules_of_postgres_are_loaded_for_its_daemons_alone(daemons, expected):
    daemon = daemons(fresh=True)
    done = daemon.wait_for_job(daemon.submit(jobs.loaded_modules, "loaded"))

    assert {name for name in done["result"] if name in OF_POSTGRES} == expected
