-- The processes that run jobs, and their leases.

-- name: renew_process
INSERT INTO gigq_processes (
    run, kind, host, pid, version, started_at, seen_at, lease, lease_ends_at, info, knows_schema
)
VALUES (
    :run, :kind, :host, :pid, :version, :now, :now, :lease, :lease_ends_at, :info, :knows_schema
)
ON CONFLICT (run) DO UPDATE
SET seen_at = excluded.seen_at, lease = excluded.lease, lease_ends_at = excluded.lease_ends_at,
    info = excluded.info, knows_schema = excluded.knows_schema;

-- On a server: the processes whose gigq does not know a schema.
-- name: processes_behind
SELECT host, pid, kind, version FROM gigq_processes
WHERE lease_ends_at > :now AND coalesce(knows_schema, 0) < :schema
ORDER BY host, pid;

-- name: forget_process
DELETE FROM gigq_processes WHERE run = :run;

-- A process that goes on later, as on a host that was stopped, adds its row again. One without a lease
-- shows itself before a claim, if it has not done so for an hour.
-- name: forget_ended_processes
DELETE FROM gigq_processes
WHERE (lease_ends_at < :before OR (lease IS NULL AND seen_at < :unseen_since)) AND NOT EXISTS (
    SELECT 1 FROM job_executions
    WHERE job_executions.run = gigq_processes.run AND job_executions.status = 'running'
);

-- name: processes
SELECT run, kind, host, pid, version, started_at, seen_at, lease, lease_ends_at, info
FROM gigq_processes
ORDER BY host, started_at, run;
