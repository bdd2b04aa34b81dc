-- Counting and listing jobs.

-- Without a condition SQLite counts by the pages of the narrowest index, not by its entries.
-- name: number_of_all
SELECT count(*) AS jobs FROM jobs;

-- Skips from one status to the next in the index.
-- name: finished_statuses
WITH RECURSIVE found (status) AS (
    SELECT min(status) FROM jobs WHERE status <> 'pending' AND status <> 'running'
    UNION ALL
    SELECT (
        SELECT min(status) FROM jobs
        WHERE status <> 'pending' AND status <> 'running' AND status > found.status
    )
    FROM found
    WHERE found.status IS NOT NULL
)
SELECT status FROM found WHERE status IS NOT NULL;

-- name: finished_up_to
SELECT count(*) AS jobs FROM (
    SELECT 1 FROM jobs
    WHERE status = :status AND status <> 'pending' AND status <> 'running' LIMIT :limit
) AS found;

-- name: pending_up_to
SELECT count(*) AS jobs FROM (
    SELECT 1 FROM jobs WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL
    UNION ALL
    SELECT 1 FROM jobs WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL
    UNION ALL
    SELECT 1 FROM jobs WHERE status = 'pending' AND unmet <> 0
    LIMIT :limit
) AS found;

-- Twice as fast as the two above for many jobs.
-- name: number_of_finished
SELECT count(*) AS jobs FROM jobs
WHERE status = :status AND status <> 'pending' AND status <> 'running';

-- name: number_of_pending
SELECT (
    SELECT count(*) FROM jobs WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL
) + (
    SELECT count(*) FROM jobs WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL
) + (
    SELECT count(*) FROM jobs WHERE status = 'pending' AND unmet <> 0
) AS jobs;

-- A running job has an open execution, or foreign SQL has claimed it.
-- name: number_of_running
SELECT (
    SELECT count(*) FROM job_executions e JOIN jobs j ON j.id = e.job_id
    WHERE e.status = 'running' AND j.status = 'running' AND j.execution_id IS NOT NULL
) + (
    SELECT count(*) FROM jobs WHERE status = 'running' AND execution_id IS NULL
) AS jobs;

-- All pages have the same conditions; one that is NULL does not count.
-- name: page
SELECT * FROM jobs
WHERE (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
    AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))
    AND (:workflow IS NULL OR workflow = :workflow)
    AND (:name IS NULL OR instr(lower(name), lower(:name)) > 0)
    AND (:error IS NULL OR instr(lower(error), lower(:error)) > 0)
    AND (:since IS NULL OR created_at >= :since)
    AND (:before IS NULL OR created_at < :before)
ORDER BY created_at DESC, id DESC
LIMIT :limit OFFSET :offset;

-- Oldest first, so parents usually come before their children.
-- name: ids_of_jobs
SELECT id FROM jobs
WHERE (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
    AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))
    AND (:workflow IS NULL OR workflow = :workflow)
    AND (:name IS NULL OR instr(lower(name), lower(:name)) > 0)
    AND (:error IS NULL OR instr(lower(error), lower(:error)) > 0)
    AND (:since IS NULL OR created_at >= :since)
    AND (:before IS NULL OR created_at < :before)
    AND (:due_after IS NULL OR retry_after > :due_after)
ORDER BY created_at, id;

-- Reads every job: a query of people, now and then, is not worth an index.
-- name: counts_by_queue
SELECT queue, status, count(*) AS jobs
FROM jobs
WHERE :queues IS NULL OR queue IN (SELECT value FROM json_each(:queues))
GROUP BY queue, status
ORDER BY queue;

-- The finished jobs of a status that were stored last. Their index has that order.
-- name: page_of_finished
SELECT * FROM (
    SELECT * FROM jobs
    WHERE status = :status AND status <> 'pending' AND status <> 'running'
        AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))
        AND (:workflow IS NULL OR workflow = :workflow)
        AND (:name IS NULL OR instr(lower(name), lower(:name)) > 0)
        AND (:error IS NULL OR instr(lower(error), lower(:error)) > 0)
        AND (:since IS NULL OR created_at >= :since)
        AND (:before IS NULL OR created_at < :before)
    ORDER BY rowid DESC
    LIMIT :limit OFFSET :offset
) AS found
ORDER BY created_at DESC, id DESC;

-- Usually few jobs run: they come from the index of open executions and are sorted.
-- name: page_of_running
SELECT * FROM jobs
WHERE rowid IN (
    SELECT j.rowid FROM job_executions e JOIN jobs j ON j.id = e.job_id
    WHERE e.status = 'running' AND j.status = 'running' AND j.execution_id IS NOT NULL
    UNION ALL
    SELECT rowid FROM jobs WHERE status = 'running' AND execution_id IS NULL
)
    AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))
    AND (:workflow IS NULL OR workflow = :workflow)
    AND (:name IS NULL OR instr(lower(name), lower(:name)) > 0)
    AND (:error IS NULL OR instr(lower(error), lower(:error)) > 0)
    AND (:since IS NULL OR created_at >= :since)
    AND (:before IS NULL OR created_at < :before)
ORDER BY created_at DESC, id DESC
LIMIT :limit OFFSET :offset;

-- The same for few pending jobs; of many, `page` soon finds the newest.
-- name: page_of_few_pending
SELECT * FROM jobs
WHERE rowid IN (
    SELECT rowid FROM jobs WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL
    UNION ALL
    SELECT rowid FROM jobs WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL
    UNION ALL
    SELECT rowid FROM jobs WHERE status = 'pending' AND unmet <> 0
)
    AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))
    AND (:workflow IS NULL OR workflow = :workflow)
    AND (:name IS NULL OR instr(lower(name), lower(:name)) > 0)
    AND (:error IS NULL OR instr(lower(error), lower(:error)) > 0)
    AND (:since IS NULL OR created_at >= :since)
    AND (:before IS NULL OR created_at < :before)
ORDER BY created_at DESC, id DESC
LIMIT :limit OFFSET :offset;

-- Of jobs without open parents, and of the others.
-- name: page_of_delayed
SELECT * FROM jobs
WHERE rowid IN (
    SELECT rowid FROM jobs
    WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL AND retry_after > :now
    UNION ALL
    SELECT rowid FROM jobs WHERE status = 'pending' AND unmet <> 0 AND retry_after > :now
)
    AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
    AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))
    AND (:workflow IS NULL OR workflow = :workflow)
    AND (:name IS NULL OR instr(lower(name), lower(:name)) > 0)
    AND (:error IS NULL OR instr(lower(error), lower(:error)) > 0)
    AND (:since IS NULL OR created_at >= :since)
    AND (:before IS NULL OR created_at < :before)
ORDER BY retry_after, id
LIMIT :limit OFFSET :offset;

-- name: summary_of_delayed
SELECT count(*) AS jobs, min(retry_after) AS next_at
FROM (
    SELECT queue, retry_after FROM jobs
    WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL AND retry_after > :now
    UNION ALL
    SELECT queue, retry_after FROM jobs
    WHERE status = 'pending' AND unmet <> 0 AND retry_after > :now
) AS delayed
WHERE :queues IS NULL OR queue IN (SELECT value FROM json_each(:queues));

-- Reads every id, in the narrow index of ids.
-- name: jobs_with_part
SELECT id, name, status
FROM jobs
WHERE rowid IN (SELECT rowid FROM jobs WHERE instr(id, :part) > 0 LIMIT :limit)
ORDER BY created_at DESC, id DESC;

-- name: results_of
SELECT id, result FROM jobs
WHERE status = 'completed' AND id IN (SELECT value FROM json_each(:ids));

-- name: awaited_parents
SELECT d.parent_id AS id, j.name, j.status
FROM job_dependencies d
LEFT JOIN jobs j ON j.id = d.parent_id
WHERE d.job_id = :job_id
ORDER BY j.created_at, d.parent_id
LIMIT :limit;
