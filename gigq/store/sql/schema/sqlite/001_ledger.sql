-- GigQ 0.5.1's columns keep their names and meanings, since users' subclasses have SQL of their
-- own. Every other column has a default. Times are UTC text of a fixed width. Long columns are
-- last, so that reading the short ones needs no overflow pages.
CREATE TABLE jobs (
    id                  TEXT NOT NULL PRIMARY KEY,
    name                TEXT NOT NULL,
    status              TEXT NOT NULL DEFAULT 'pending',
    queue               TEXT NOT NULL DEFAULT 'default',
    priority            INTEGER NOT NULL DEFAULT 0,
    created_at          TEXT NOT NULL,
    updated_at          TEXT NOT NULL,
    started_at          TEXT,
    completed_at        TEXT,
    retry_after         TEXT,                                -- not before this time
    unmet               INTEGER NOT NULL DEFAULT 0,          -- rows of job_dependencies
    attempts            INTEGER NOT NULL DEFAULT 0,
    max_attempts        INTEGER NOT NULL DEFAULT 3,
    refunds             INTEGER NOT NULL DEFAULT 0,          -- attempts that stops released
    crashes             INTEGER NOT NULL DEFAULT 0,          -- attempts that killed a process
    timeout             NUMERIC DEFAULT 300,                 -- seconds; NULL: no limit
    retry_delay         NUMERIC NOT NULL DEFAULT 0,          -- seconds
    backoff             TEXT,
    on_parent_failure   TEXT NOT NULL DEFAULT 'fail',        -- fail, run or wait
    pass_parent_results INTEGER,
    worker_id           TEXT,
    execution_id        TEXT,                                -- the current or last one
    unique_key          TEXT,
    cause               TEXT,
    function_module     TEXT NOT NULL,
    function_name       TEXT NOT NULL,
    function_file       TEXT,
    dependencies        TEXT NOT NULL DEFAULT '[]',          -- as submitted, JSON
    description         TEXT,
    params              TEXT,
    error               TEXT,
    result              TEXT
);

-- Unfinished jobs only, so that a claim costs the same however many jobs have finished.
CREATE INDEX jobs_due ON jobs (queue, priority DESC, created_at, id)
    WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL;

CREATE INDEX jobs_delayed ON jobs (retry_after, queue)
    WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL;

-- Unfinished jobs that name parents: retention must keep those parents and their results.
CREATE INDEX jobs_with_parents ON jobs (id)
    WHERE dependencies <> '[]' AND status IN ('pending', 'running');

-- Claims of foreign SQL without an execution.
CREATE INDEX jobs_stray ON jobs (id)
    WHERE status = 'running' AND execution_id IS NULL;

-- For lists, newest first. Written once for each job, since the columns never change.
CREATE INDEX jobs_by_age ON jobs (created_at, id);

CREATE TABLE job_executions (
    id           TEXT NOT NULL PRIMARY KEY,
    job_id       TEXT NOT NULL,
    worker_id    TEXT,
    status       TEXT NOT NULL,
    started_at   TEXT NOT NULL,
    completed_at TEXT,
    attempt      INTEGER,
    run          TEXT,                                       -- the run that answers
    cause        TEXT,
    exit_code    INTEGER,
    signal       TEXT,
    peak_rss     INTEGER,                                    -- bytes
    cpu_time     REAL,                                       -- seconds
    note         TEXT,
    error        TEXT,
    stack        TEXT,
    output       TEXT,
    result       TEXT
);

CREATE INDEX job_executions_of ON job_executions (job_id);

-- One open execution for each job, and a list of the open ones alone.
CREATE UNIQUE INDEX job_executions_open ON job_executions (job_id) WHERE status = 'running';

-- The parents that a job still waits for; jobs.unmet is the number of its rows here.
CREATE TABLE job_dependencies (
    parent_id TEXT NOT NULL,
    job_id    TEXT NOT NULL,
    PRIMARY KEY (parent_id, job_id)
) WITHOUT ROWID;
