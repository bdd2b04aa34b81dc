"""The hot statements use the partial indexes of PostgreSQL, for any history and depth.

Once a connection has prepared a statement, the server may plan it without the values of its
parameters. Both plans must be right.
"""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support import stores

from gigq.model import clock
from gigq.store.dialect import POSTGRES
from gigq.store.statements import statements

if TYPE_CHECKING:
    from collections.abc import Iterator

# Most jobs have finished. Of the others a fifth is due, and few are delayed, blocked or running.
CROWD = """
INSERT INTO jobs (
    id, name, status, queue, priority, unmet, retry_after, expires_at, dependencies, execution_id,
    workflow, created_at, updated_at, linked, function_module, function_name
)
SELECT 'job' || n, 'job',
    CASE WHEN n % 4 > 0 THEN 'completed' WHEN n % 400 = 0 THEN 'failed'
        WHEN n % 1000 = 4 THEN 'running' ELSE 'pending' END,
    'queue' || n % 3, n % 5, CASE WHEN n % 40 = 16 THEN 1 ELSE 0 END,
    CASE WHEN n % 40 = 8 THEN '2027-01-01T00:00:00.000000+00:00' END,
    CASE WHEN n % 40 = 12 THEN '2027-01-01T00:00:00.000000+00:00' END,
    CASE WHEN n % 40 = 16 THEN '["job' || n - 12 || '"]' ELSE '[]' END, 'execution' || n,
    'workflow' || n % 100, at, at, 1, 'app', 'work'
FROM (
    SELECT n, to_char(
        timestamp '2026-01-01' + n * interval '1 s', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'
    ) AS at
    FROM generate_series(1, 100000) AS n
) AS numbered;

INSERT INTO job_executions (id, job_id, status, started_at)
SELECT execution_id, id, CASE status WHEN 'running' THEN status ELSE 'completed' END, created_at
FROM jobs WHERE status <> 'pending';

INSERT INTO job_dependencies (parent_id, job_id)
SELECT dependencies::json ->> 0, id FROM jobs WHERE unmet > 0;

ANALYZE jobs;
ANALYZE job_executions;
ANALYZE job_dependencies;
"""
# The statistics are of a time without due jobs. There are so few jobs that reading all would seem
# cheaper than a hundred steps down an index.
BURST = """
INSERT INTO jobs (id, name, status, created_at, updated_at, linked, function_module, function_name)
SELECT 'old' || n, 'job', 'completed', '2026', '2026', 1, 'app', 'work'
FROM generate_series(1, 500) AS n;
ANALYZE jobs;
ALTER TABLE jobs SET (autovacuum_enabled = false);
INSERT INTO jobs (id, name, created_at, updated_at, linked, function_module, function_name)
SELECT 'job' || n, 'job', '2026', '2026', 1, 'app', 'work' FROM generate_series(1, 3000) AS n
"""
VALUES = {
    "queue": "queue0",
    "status": "completed",
    "job_id": "job8",
    "parent_id": "job1",
    "execution_id": "execution4",
    "now": "2026-06-01T00:00:00.000000+00:00",
    "after": "0",
    "limit": "32",
    "offset": "0",
    "kept": "1000",
    "queues": '["queue0", "queue1"]',
    "excluded": '["queue2"]',
    "statuses": '["pending"]',
    "ids": '["job3", "job7"]',
    "one_more": "0",
    "rows": "[3, 7]",
    "jobs": '[{"row": 3, "id": "job3", "over_at": "2026-01-01T00:00:03.000000+00:00"}]',
    "numbers": "{12}",
    "executions": "{new execution}",
}
NOT_GIVEN = {"workflow", "name", "error", "since", "before"}


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A connection to a store with 100,000 jobs."""
    with stores.address_of(POSTGRES, tmp_path_factory.mktemp("crowd")) as address:
        stores.begun_at(address)
        with closing(psycopg.connect(address, autocommit=True)) as connection:
            connection.execute(CROWD)
            yield connection


@pytest.fixture(scope="module")
def burst(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A connection to a store in which 3,000 jobs have just become due."""
    with stores.address_of(POSTGRES, tmp_path_factory.mktemp("burst")) as address:
        stores.begun_at(address)
        with closing(psycopg.connect(address, autocommit=True)) as connection:
            connection.execute(BURST)
            yield connection


def plan(connection: Any, name: str, mode: str) -> str:
    """The plan of a statement, without the values of its parameters or with them."""
    given: list[str] = []

    def numbered(parameter: re.Match[str]) -> str:
        if parameter[1] not in given:
            given.append(parameter[1])
        return f"${given.index(parameter[1]) + 1}"

    text = re.sub(r"%\((\w+)\)s", numbered, statements(POSTGRES)[name]).replace("%%", "%")
    values = ["NULL" if one in NOT_GIVEN else f"'{VALUES.get(one, 'x')}'" for one in given]
    call = f"EXECUTE looked_at ({', '.join(values)})" if values else "EXECUTE looked_at"
    connection.execute(f"SET plan_cache_mode = force_{mode}_plan")
    connection.execute(f"PREPARE looked_at AS {text}")
    try:
        return "\n".join(row[0] for row in connection.execute(f"EXPLAIN {call}"))
    finally:
        connection.execute("DEALLOCATE looked_at")


@pytest.mark.fault("G12")
@pytest.mark.parametrize("mode", ["custom", "generic"])
@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("claim_from_queue", "jobs_due"),
        ("claim_from_queues", "jobs_due"),
        ("claim_from_every_queue", "jobs_due"),
        ("best_due", "jobs_due"),
        ("due_up_to", "jobs_due"),
        ("due_in_every_queue", "jobs_due"),
        ("anything_due", "jobs_due"),
        ("anything_due_in_queues", "jobs_due"),
        ("queues_with_due_jobs", "jobs_due"),
        ("look_of_daemon", "jobs_due"),
        ("look_of_daemon", "jobs_delayed"),
        ("look_of_daemon", "jobs_expiring"),
        ("look_of_daemon", "jobs_unlinked"),
        ("look_of_daemon", "job_executions_open"),
        ("look_of_daemon", "job_executions_to_cancel"),
        ("needs_before_claim", "jobs_unlinked"),
        ("needs_before_claim", "jobs_delayed"),
        ("needs_before_claim", "jobs_expiring"),
        ("promote_delayed", "jobs_delayed"),
        ("expire_jobs", "jobs_expiring"),
        ("next_due_at", "jobs_delayed"),
        ("next_due_at_in_queues", "jobs_delayed"),
        ("next_due_at_in_other_queues", "jobs_delayed"),
        ("next_expiry_at", "jobs_expiring"),
        ("queues_with_delayed_jobs", "jobs_delayed"),
        ("delayed_without_time", "jobs_delayed"),
        ("unlinked_jobs_to_link", "jobs_unlinked"),
        ("unlinked_jobs", "jobs_unlinked"),
        ("open_executions", "job_executions_open"),
        ("cancel_requests", "job_executions_to_cancel"),
        ("strays", "jobs_stray"),
        ("page_of_running", "job_executions_open"),
        ("page_of_delayed", "jobs_delayed"),
        ("page_of_delayed", "jobs_blocked"),
        ("page", "jobs_by_age"),
        ("finished_statuses", "jobs_finished"),
        ("oldest_finished", "jobs_finished"),
        ("latest_beyond", "jobs_finished"),
        ("parents_among", "jobs_with_parents"),
        ("prune_jobs", "job_executions_of"),
        ("prune_jobs", "job_dependencies_of"),
    ],
)
def test_each_index_serves_the_statement_it_was_made_for(
    crowded: Any, name: str, index: str, mode: str
) -> None:
    steps = plan(crowded, name, mode)

    assert re.search(rf"\b{index}\b", steps), steps
    assert not re.search(r"Seq Scan on jobs?(_executions)?\b", steps), steps


@pytest.mark.parametrize("mode", ["custom", "generic"])
@pytest.mark.parametrize(
    "name",
    [
        *("lock_jobs", "lock_parents", "lock_dependents", "jobs_by_id", "jobs_to_requeue", "job"),
        *("is_awaited", "release_dependents", "fail_dependents", "delete_edges_from"),
        *("release_dependents_that_do_not_wait", "delete_edges_to_dependents_that_do_not_wait"),
        *("complete_job", "job_to_decide", "release_job", "delete_unstarted_execution"),
        *("supersede_others_of_claimed", "open_executions_of_claimed", "supersede_others"),
        *("request_cancel", "best_due_in_queue"),
        *("open_and_claim", "cancel_jobs", "awaited_among", "reschedule_job", "executions_of_job"),
        *("insert_edges_of_unlinked", "requeue_jobs"),
        *("parents_among", "prune_jobs", "results_of", "awaited_parents"),
    ],
)
def test_what_changes_few_jobs_reads_no_whole_table(crowded: Any, name: str, mode: str) -> None:
    assert "Seq Scan" not in plan(crowded, name, mode)


def test_the_tables_of_the_queue_are_vacuumed_early_however_long_they_are(crowded: Any) -> None:
    found = crowded.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
        "AND 'autovacuum_vacuum_scale_factor=0.01' = ANY (reloptions)"
    ).fetchall()

    assert {name for (name,) in found} == {"jobs", "job_executions", "job_dependencies"}


@pytest.mark.parametrize("mode", ["custom", "generic"])
def test_a_claim_reads_its_own_jobs_only_while_the_statistics_are_old(
    burst: Any, mode: str
) -> None:
    steps = plan(burst, "best_due", mode)

    assert len(re.findall(r"\bjobs_due\b", steps)) == 1, steps
    assert re.search(r"\bjobs_by_row\b", steps), steps


@pytest.mark.parametrize("mode", ["custom", "generic"])
@pytest.mark.parametrize("name", ["open_and_claim", "open_executions_of_claimed", "lock_jobs"])
def test_a_batch_reads_no_short_table_as_a_whole(burst: Any, name: str, mode: str) -> None:
    assert not re.search(r"Seq Scan on jobs\b", plan(burst, name, mode))


@pytest.mark.parametrize("name", ["expire_jobs", "promote_delayed"])
def test_a_limit_holds_for_every_plan(crowded: Any, name: str) -> None:
    """The server may repeat a subquery of `IN` for each row, each time with other jobs."""
    joins = ("hashjoin", "mergejoin", "hashagg", "sort", "material", "indexscan", "bitmapscan")
    soon = clock.after(VALUES["now"], 10)
    values = {**VALUES, "now": soon, "unstarted": "", "snoozing": "", "last": ""}
    with crowded.transaction(force_rollback=True):
        crowded.execute("".join(f"SET LOCAL enable_{join} = off;" for join in joins))
        crowded.execute("DELETE FROM jobs WHERE status <> 'pending' OR rowid > 5000")
        crowded.execute("UPDATE jobs SET retry_after = %(now)s, expires_at = %(now)s", values)
        changed = crowded.execute(statements(POSTGRES)[name], values).rowcount

    assert changed == 1000
