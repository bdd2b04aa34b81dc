-- Statements that every dialect accepts unchanged.

-- name: schema_version
SELECT max(version) AS version FROM gigq_schema;

-- name: create_schema_table
CREATE TABLE IF NOT EXISTS gigq_schema (version INTEGER NOT NULL PRIMARY KEY, applied_at TEXT NOT NULL);

-- name: record_schema_version
INSERT INTO gigq_schema (version, applied_at) VALUES (:version, :now);

-- name: record_stated_version
INSERT INTO gigq_schema (version, applied_at, usable_from, applied_by)
VALUES (:version, :now, :usable_from, :applied_by);

-- A version that states nothing can be used by programs that know it.
-- name: usable_from
SELECT max(coalesce(usable_from, version)) AS usable_from,
    (SELECT applied_by FROM gigq_schema ORDER BY version DESC LIMIT 1) AS applied_by
FROM gigq_schema;

-- name: insert_edge
INSERT INTO job_dependencies (parent_id, job_id) VALUES (?, ?);

-- name: set_unmet
UPDATE jobs SET unmet = :unmet WHERE id = :job_id;

-- name: job
SELECT * FROM jobs WHERE id = :job_id;

-- name: executions_of_job
SELECT * FROM job_executions WHERE job_id = :job_id ORDER BY started_at, id;

-- name: cancel_jobs
UPDATE jobs
SET status = 'cancelled', cause = 'cancelled', completed_at = :now, updated_at = :now,
    retry_after = NULL
WHERE id IN (SELECT value FROM json_each(:ids)) AND status = 'pending'
RETURNING id, name;

-- The first request counts. Foreign SQL may have opened an execution without naming it in the job.
-- name: request_cancel
UPDATE job_executions SET cancel_requested_at = coalesce(cancel_requested_at, :now)
WHERE job_id = :job_id AND status = 'running'
    AND EXISTS (
        SELECT 1 FROM jobs j
        WHERE j.id = job_executions.job_id AND j.status = 'running'
            AND coalesce(j.execution_id, job_executions.id) = job_executions.id
    );

-- name: cancel_requests
SELECT id AS execution_id, run, worker_id
FROM job_executions
WHERE status = 'running' AND cancel_requested_at IS NOT NULL
ORDER BY job_id;

-- name: is_cancel_requested
SELECT 1 AS requested FROM job_executions
WHERE id = :execution_id AND status = 'running' AND cancel_requested_at IS NOT NULL;

-- One attempt more leaves max_attempts as it is: a job with a single attempt is never started twice.
-- name: requeue_jobs
UPDATE jobs
SET status = 'pending', refunds = 0, crashes = 0, snoozes = 0, error = NULL, result = NULL,
    attempts = CASE WHEN :one_more = 1 AND attempts > 0 AND max_attempts > 1 THEN max_attempts - 1
        ELSE 0 END,
    cause = NULL, started_at = NULL, completed_at = NULL, retry_after = :retry_after,
    worker_id = NULL, execution_id = NULL, expires_at = NULL,
    due_at = CASE WHEN :retry_after IS NULL THEN :now END, due_why = 'requeue', updated_at = :now
WHERE id IN (SELECT value FROM json_each(:ids)) AND status IN ('failed', 'timeout', 'cancelled')
RETURNING id, queue, dependencies, on_parent_failure;

-- name: reschedule_job
UPDATE jobs
SET retry_after = :retry_after, due_at = CASE WHEN :retry_after IS NULL THEN :now END,
    due_why = 'rescheduled', updated_at = :now
WHERE id = :job_id AND status = 'pending'
    AND (retry_after > :now OR :retry_after IS NOT NULL)
    AND (expires_at IS NULL OR expires_at > coalesce(:retry_after, :now))
RETURNING queue;

-- A job is never due after its start: the clock may have been set back, and foreign SQL may have
-- stored another value.
-- name: open_execution
INSERT INTO job_executions (
    id, job_id, worker_id, status, started_at, attempt, run, due_at, due_why
)
VALUES (
    :execution_id, :job_id, :worker_id, 'running', :now, :attempt, :run,
    CASE WHEN :due_at LIKE '%+00:00' AND :due_at < :now THEN :due_at ELSE :now END, :due_why
)
ON CONFLICT (job_id) WHERE status = 'running' DO NOTHING;

-- name: supersede_execution
UPDATE job_executions
SET status = 'failed', completed_at = :now, cause = 'lost',
    note = 'superseded: its job had been taken away from it and was started again'
WHERE job_id = :job_id AND status = 'running';

-- name: supersede_others
UPDATE job_executions
SET status = 'failed', completed_at = :now, cause = 'lost',
    note = 'superseded: its job had been taken away from it and was started again'
WHERE job_id = :job_id AND status = 'running' AND id <> :execution_id;

-- name: settle_execution
UPDATE job_executions
SET status = :status, result = :result, error = :error, cause = :cause,
    -- the clock may have been set back during the execution
    completed_at = CASE WHEN started_at > :now THEN started_at ELSE :now END,
    exit_code = :exit_code, signal = :signal, stack = :stack, output = :output,
    peak_rss = :peak_rss, cpu_time = :cpu_time, wall_time = :wall_time, late = :late,
    killed = :killed, note = :note, interrupted_by = :interrupted_by,
    returned_after = :returned_after
WHERE id = :execution_id AND status = 'running'
RETURNING job_id;

-- name: complete_job
UPDATE jobs
SET status = 'completed', result = :result, error = NULL, cause = NULL, worker_id = NULL,
    completed_at = CASE WHEN started_at > :now THEN started_at ELSE :now END, updated_at = :now
WHERE id = :job_id AND status = 'running' AND execution_id = :execution_id
RETURNING attempts, max_attempts;

-- The same two without RETURNING, so that one call runs them for many jobs and counts the changes.
-- By position: names cost a tenth more here. An open execution has no error or cause to clear.
-- name: complete_execution
UPDATE job_executions
SET status = 'completed', result = ?, output = ?, peak_rss = ?, cpu_time = ?, wall_time = ?,
    completed_at = CASE WHEN started_at > ? THEN started_at ELSE ? END
WHERE id = ? AND status = 'running';

-- name: complete_job_of_execution
UPDATE jobs
SET status = 'completed', result = ?, error = NULL, cause = NULL, worker_id = NULL,
    completed_at = CASE WHEN started_at > ? THEN started_at ELSE ? END, updated_at = ?
WHERE id = ? AND status = 'running' AND execution_id = ?;

-- A released claim leaves no execution, unless its cancel was requested.
-- name: delete_unstarted_execution
DELETE FROM job_executions
WHERE id = :execution_id AND status = 'running' AND cancel_requested_at IS NULL
RETURNING due_at, due_why;

-- name: release_job
UPDATE jobs
SET status = 'pending', attempts = attempts - 1, worker_id = NULL, execution_id = NULL,
    started_at = CASE attempts WHEN 1 THEN NULL ELSE started_at END, updated_at = :now,
    due_at = :due_at, due_why = :due_why
WHERE id = :job_id AND status = 'running' AND execution_id = :execution_id
RETURNING queue, attempts, max_attempts;

-- The casts: foreign SQL may have stored text in these columns.
-- name: job_to_decide
SELECT j.id, j.name, j.queue, CAST(j.attempts AS INTEGER) AS attempts,
    CAST(j.max_attempts AS INTEGER) AS max_attempts, CAST(j.retry_delay AS DOUBLE PRECISION) AS retry_delay,
    CAST(j.refunds AS INTEGER) AS refunds, CAST(j.crashes AS INTEGER) AS crashes,
    CAST(j.crash_limit AS INTEGER) AS crash_limit, j.error, j.retry_policy,
    CAST(j.snoozes AS INTEGER) AS snoozes, j.expires_at, e.cancel_requested_at
FROM job_executions e
JOIN jobs j ON j.id = e.job_id AND j.status = 'running' AND j.execution_id = e.id
WHERE e.id = :execution_id AND e.status = 'running';

-- name: end_attempt
UPDATE jobs
SET status = :status, attempts = :attempts, refunds = refunds + :released,
    snoozes = snoozes + :snoozed,
    crashes = crashes + :crashed, error = :error, cause = :cause, worker_id = NULL,
    completed_at = CASE WHEN started_at > :completed_at THEN started_at ELSE :completed_at END,
    retry_after = :retry_after, execution_id = :next_execution_id,
    due_at = CASE
        WHEN :due_why IS NULL OR :retry_after IS NOT NULL THEN NULL
        WHEN started_at > :now THEN started_at
        ELSE :now
    END,
    due_why = :due_why, updated_at = :now,
    -- it has started in time, and goes on after the stop
    expires_at = CASE WHEN :released > 0 THEN NULL ELSE expires_at END
WHERE id = :job_id AND status = 'running' AND execution_id = :execution_id;

-- name: is_awaited
SELECT 1 AS awaited FROM job_dependencies WHERE parent_id = :parent_id LIMIT 1;

-- name: awaited_among
SELECT DISTINCT parent_id FROM job_dependencies
WHERE parent_id IN (SELECT value FROM json_each(:ids));

-- A dependent's row is written once, when it waits for no other parent: counting down would write
-- the row, with its list of parents, once for each parent.
-- name: release_dependents
UPDATE jobs
SET unmet = 0, updated_at = :now,
    due_at = CASE WHEN status <> 'pending' OR retry_after > :now THEN due_at ELSE :now END,
    due_why = CASE WHEN status <> 'pending' OR retry_after > :now THEN due_why ELSE 'parent' END
WHERE id IN (SELECT job_id FROM job_dependencies WHERE parent_id = :parent_id)
    AND NOT EXISTS (
        SELECT 1 FROM job_dependencies d WHERE d.job_id = jobs.id AND d.parent_id <> :parent_id
    )
RETURNING status, queue;

-- name: delete_edges_from
DELETE FROM job_dependencies WHERE parent_id = :parent_id;

-- Unlinked: if foreign SQL makes one pending again, it waits for its parents.
-- name: fail_dependents
UPDATE jobs
SET status = 'failed', cause = 'parent', error = :error, completed_at = :now, retry_after = NULL,
    linked = 0
WHERE status = 'pending' AND on_parent_failure NOT IN ('run', 'wait')
    AND id IN (SELECT job_id FROM job_dependencies WHERE parent_id = :parent_id)
RETURNING id, name;

-- name: release_dependents_that_do_not_wait
UPDATE jobs
SET unmet = 0, updated_at = :now,
    due_at = CASE WHEN status <> 'pending' OR retry_after > :now THEN due_at ELSE :now END,
    due_why = CASE WHEN status <> 'pending' OR retry_after > :now THEN due_why ELSE 'parent' END
WHERE on_parent_failure <> 'wait'
    AND id IN (SELECT job_id FROM job_dependencies WHERE parent_id = :parent_id)
    AND NOT EXISTS (
        SELECT 1 FROM job_dependencies d WHERE d.job_id = jobs.id AND d.parent_id <> :parent_id
    )
RETURNING status, queue;

-- name: delete_edges_to_dependents_that_do_not_wait
DELETE FROM job_dependencies
WHERE parent_id = :parent_id
    AND job_id IN (
        SELECT j.id FROM job_dependencies d JOIN jobs j ON j.id = d.job_id
        WHERE d.parent_id = :parent_id AND j.on_parent_failure <> 'wait'
    );

-- name: fail_dependent
UPDATE jobs
SET status = 'failed', cause = 'parent', error = :error, completed_at = :now, updated_at = :now,
    retry_after = NULL
WHERE id = :job_id AND status = 'pending';

-- name: adopt_job
UPDATE jobs
SET attempts = attempts + CASE status WHEN 'pending' THEN 1 ELSE 0 END,
    started_at = CASE status WHEN 'pending' THEN :now ELSE coalesce(started_at, :now) END,
    due_at = CASE status WHEN 'pending' THEN coalesce(due_at, updated_at) ELSE due_at END,
    due_why = CASE status WHEN 'pending' THEN coalesce(due_why, 'submit') ELSE due_why END,
    status = 'running', execution_id = :execution_id, worker_id = :worker_id, updated_at = :now
WHERE id = :job_id
    AND (
        (status = 'pending' AND unmet = 0)
        OR (status = 'running' AND (execution_id IS NULL OR execution_id = :execution_id))
    )
    AND NOT EXISTS (
        SELECT 1 FROM job_executions e
        WHERE e.id = :execution_id AND (e.status <> 'running' OR e.job_id <> :job_id)
    )
RETURNING *;

-- Foreign SQL does not know the column `run`: an open execution with one is an old one of gigq.
-- name: adopt_execution
UPDATE job_executions
SET id = :execution_id, run = :run, attempt = :attempt, due_why = :due_why,
    due_at = CASE WHEN :due_at LIKE '%+00:00' AND :due_at < started_at THEN :due_at ELSE started_at END
WHERE job_id = :job_id AND status = 'running' AND (run IS NULL OR id = :execution_id);

-- name: strays
SELECT id AS job_id, coalesce(started_at, updated_at) AS started_at, timeout, NULL AS run
FROM jobs
WHERE status = 'running' AND execution_id IS NULL;

-- name: adopt_stray
UPDATE jobs SET execution_id = :execution_id
WHERE id = :job_id AND status = 'running' AND execution_id IS NULL
RETURNING worker_id, attempts;

-- name: open_executions
SELECT e.id AS execution_id, e.job_id, CAST(e.run AS TEXT) AS run, e.worker_id, e.started_at, e.attempt, j.name, j.queue, j.timeout
FROM job_executions e
LEFT JOIN jobs j ON j.id = e.job_id
WHERE e.status = 'running'
ORDER BY e.started_at, e.id;

-- name: next_due_at
SELECT min(retry_after) AS due_at
FROM jobs
WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL AND retry_after > :after;

-- name: next_expiry_at
SELECT min(expires_at) AS expires_at
FROM jobs
WHERE status = 'pending' AND expires_at IS NOT NULL;

-- In the order of the index: otherwise PostgreSQL may look for a first due job in the whole table.
-- name: anything_due
SELECT 1 AS due FROM jobs
WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL
ORDER BY queue
LIMIT 1;

-- The condition is the one of the index.
-- name: unlinked_jobs
SELECT rowid AS row, id, name, retry_after, expires_at FROM jobs
WHERE linked = 0 AND status = 'pending'
    AND (dependencies <> '[]' OR retry_after IS NOT NULL OR expires_at IS NOT NULL);

-- name: mark_linked
UPDATE jobs
SET linked = 1, retry_after = :retry_after, expires_at = :expires_at,
    unmet = (SELECT count(*) FROM job_dependencies d WHERE d.job_id = jobs.id)
WHERE rowid = :row;

-- name: done_but_awaited
SELECT awaited.parent_id
FROM (SELECT DISTINCT parent_id FROM job_dependencies) AS awaited
LEFT JOIN jobs AS parent ON parent.id = awaited.parent_id
WHERE parent.id IS NULL OR parent.status = 'completed'
LIMIT :limit;

-- name: is_unfinished
SELECT 1 AS unfinished FROM jobs WHERE id = :parent_id AND status <> 'completed';

-- By row number: the unreadable column may be the id.
-- name: fail_unreadable_job
UPDATE jobs
SET status = 'failed', cause = 'error', error = :error, completed_at = :now, updated_at = :now,
    retry_after = NULL, worker_id = NULL
WHERE rowid = :row AND status IN ('pending', 'running');

-- The same order for several jobs at once: they are read first, and then claimed row by row.
-- name: queues_with_due_jobs
WITH RECURSIVE {named_queues}
SELECT queue FROM named
WHERE queue IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM gigq_pauses WHERE gigq_pauses.queue IN ('*', named.queue)
);

-- The jobs, among some, that others wait for.
-- name: awaited_among
SELECT DISTINCT parent_id FROM job_dependencies
WHERE parent_id IN (SELECT value FROM json_each(:ids));

-- name: next_due_at_in_queues
SELECT min(retry_after) AS due_at
FROM jobs
WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL
    AND retry_after > :after AND queue IN (SELECT value FROM json_each(:queues));

-- name: next_due_at_in_other_queues
SELECT min(retry_after) AS due_at
FROM jobs
WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL
    AND retry_after > :after AND queue NOT IN (SELECT value FROM json_each(:excluded));

-- A limited number, as above.
-- name: queues_with_delayed_jobs
SELECT DISTINCT queue FROM (
    SELECT queue FROM jobs
    WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL AND retry_after <= :now
    ORDER BY retry_after
    LIMIT 1000
) AS found;

-- Lists of ids are one JSON text, so that the statement's text is constant.
-- name: jobs_by_id
SELECT id, name, status, queue, on_parent_failure, retry_after
FROM jobs
WHERE id IN (SELECT value FROM json_each(:ids));

-- name: jobs_to_requeue
SELECT id, name, status, on_parent_failure, dependencies
FROM jobs
WHERE id IN (SELECT value FROM json_each(:ids));

-- name: failed_because_of_parents
SELECT id, dependencies FROM jobs
WHERE status = 'failed' AND status <> 'pending' AND status <> 'running'
    AND cause = 'parent' AND dependencies <> '[]';

-- name: delete_edges_to
DELETE FROM job_dependencies
WHERE job_id = :job_id AND parent_id IN (SELECT value FROM json_each(:parents));
