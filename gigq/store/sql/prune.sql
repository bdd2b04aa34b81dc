-- Statements of retention, which every dialect accepts unchanged.

-- Row numbers have the order in which jobs were stored. The condition is the one of the index.
-- name: oldest_finished
SELECT rowid AS row, id, created_at, dependencies, coalesce(completed_at, updated_at) AS over_at
FROM jobs
WHERE status = :status AND status <> 'pending' AND status <> 'running' AND rowid > :after
ORDER BY rowid
LIMIT :limit;

-- name: latest_beyond
SELECT rowid AS row FROM jobs
WHERE status = :status AND status <> 'pending' AND status <> 'running'
ORDER BY rowid DESC
LIMIT 1 OFFSET :kept;
