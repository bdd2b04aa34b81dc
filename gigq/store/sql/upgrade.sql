-- The upgrade of a file of GigQ 0.5.1, which was always SQLite.
-- Views, foreign keys and triggers of other tables keep the names of the tables.
-- name: keep_references
PRAGMA legacy_alter_table = ON;

-- name: follow_references
PRAGMA legacy_alter_table = OFF;

-- name: foreign_keys
PRAGMA foreign_keys;

-- name: switch_foreign_keys_off
PRAGMA foreign_keys = OFF;

-- name: switch_foreign_keys_on
PRAGMA foreign_keys = ON;

-- name: columns_of_table
SELECT name, hidden FROM pragma_table_xinfo(:name);

-- name: statement_of_table
SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name COLLATE NOCASE;

-- name: objects_of_table
SELECT type, name, sql FROM sqlite_master
WHERE tbl_name = :name COLLATE NOCASE AND type IN ('index', 'trigger') AND sql IS NOT NULL
ORDER BY rowid;

-- name: named_objects
SELECT type, name FROM sqlite_master;

-- name: set_jobs_aside
ALTER TABLE jobs RENAME TO gigq_old_jobs;

-- name: create_old_executions
CREATE TABLE IF NOT EXISTS job_executions (
    id TEXT, job_id TEXT, worker_id TEXT, status TEXT, started_at TEXT, completed_at TEXT,
    result TEXT, error TEXT
);

-- name: set_executions_aside
ALTER TABLE job_executions RENAME TO gigq_old_executions;

-- name: reopen_current_executions
UPDATE job_executions SET status = 'running'
WHERE id IN (
    SELECT (
        SELECT e.id FROM job_executions e
        WHERE e.job_id = j.id AND e.status = 'superseded'
        ORDER BY e.started_at DESC, e.id DESC
        LIMIT 1
    )
    FROM jobs j
    WHERE j.status = 'running'
);

-- name: close_superseded_executions
UPDATE job_executions
SET status = 'failed', completed_at = :now, cause = 'lost', note = 'left open by an older gigq'
WHERE status = 'superseded';

-- name: point_jobs_to_executions
UPDATE jobs SET execution_id = (
    SELECT e.id FROM job_executions e
    WHERE e.job_id = jobs.id
    ORDER BY e.status = 'running' DESC, e.started_at DESC, e.id DESC
    LIMIT 1
)
WHERE status <> 'pending';

-- A parent that had been deleted counted as done.
-- name: insert_old_edges
INSERT OR IGNORE INTO job_dependencies (parent_id, job_id)
SELECT parent.id, child.id
FROM jobs AS child, json_each(child.dependencies) AS named
JOIN jobs AS parent ON parent.id = named.value
WHERE child.status = 'pending' AND child.dependencies <> '[]' AND parent.status <> 'completed';

-- name: count_old_edges
UPDATE jobs
SET unmet = (SELECT count(*) FROM job_dependencies d WHERE d.job_id = jobs.id)
WHERE status = 'pending' AND dependencies <> '[]';

-- name: drop_old_jobs
DROP TABLE gigq_old_jobs;

-- name: drop_old_executions
DROP TABLE gigq_old_executions;
