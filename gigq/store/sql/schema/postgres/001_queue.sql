-- The tables of SQLite's schema 12, with the same columns and meanings. Times are UTC text of a fixed
-- width and compare as bytes, with any collation of the database.
CREATE TABLE IF NOT EXISTS jobs (
    id                  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    rowid               BIGINT GENERATED ALWAYS AS IDENTITY,             -- the order in which jobs were stored
    name                TEXT NOT NULL,
    status              TEXT COLLATE "C" NOT NULL DEFAULT 'pending',
    queue               TEXT COLLATE "C" NOT NULL DEFAULT 'default',
    priority            BIGINT NOT NULL DEFAULT 0,
    created_at          TEXT COLLATE "C" NOT NULL,
    updated_at          TEXT COLLATE "C" NOT NULL,
    started_at          TEXT COLLATE "C",
    completed_at        TEXT COLLATE "C",
    retry_after         TEXT COLLATE "C",                                -- not before this time
    unmet               BIGINT NOT NULL DEFAULT 0,                       -- parents to wait for, when it was stored
    attempts            BIGINT NOT NULL DEFAULT 0,
    max_attempts        BIGINT NOT NULL DEFAULT 3,
    refunds             BIGINT NOT NULL DEFAULT 0,                       -- attempts that stops released
    crashes             BIGINT NOT NULL DEFAULT 0,                       -- attempts that killed a process
    snoozes             BIGINT NOT NULL DEFAULT 0,                       -- times that the job put itself off
    timeout             NUMERIC DEFAULT 300,                             -- seconds; NULL: no limit
    retry_delay         NUMERIC NOT NULL DEFAULT 0,                      -- seconds
    retry_policy        TEXT,                                            -- JSON
    backoff             TEXT,
    on_parent_failure   TEXT COLLATE "C" NOT NULL DEFAULT 'fail',        -- fail, run or wait
    pass_parent_results BIGINT,
    memory_limit        BIGINT,                                          -- bytes; NULL: the pool's
    crash_limit         BIGINT DEFAULT 3,                                -- attempts; NULL: max_attempts
    worker_id           TEXT,
    execution_id        TEXT COLLATE "C",                                -- the current or last one
    unique_key          TEXT COLLATE "C",
    cause               TEXT COLLATE "C",
    workflow            TEXT COLLATE "C",
    expires_at          TEXT COLLATE "C",                                -- not started at this time or later
    due_at              TEXT COLLATE "C",                                -- NULL: since updated_at, or not yet
    due_why             TEXT COLLATE "C",                                -- NULL: submit
    linked              BIGINT NOT NULL DEFAULT 0,                       -- 0 in a row of another program
    function_module     TEXT NOT NULL,
    function_name       TEXT NOT NULL,
    function_file       TEXT,
    dependencies        TEXT COLLATE "C" NOT NULL DEFAULT '[]',          -- as submitted, JSON
    description         TEXT,
    params              TEXT,
    error               TEXT,
    result              TEXT
) WITH (
    -- Every claim and every outcome leaves a dead row: free space on the pages, and early vacuums.
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.05
);

CREATE UNIQUE INDEX jobs_by_row ON jobs (rowid);

-- Unfinished jobs only, so that a claim costs the same however many jobs have finished.
CREATE INDEX jobs_due ON jobs (queue, priority DESC, created_at, id)
    WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL;

CREATE INDEX jobs_delayed ON jobs (retry_after, queue)
    WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL;

CREATE INDEX jobs_blocked ON jobs (status) WHERE status = 'pending' AND unmet <> 0;

CREATE INDEX jobs_expiring ON jobs (expires_at)
    WHERE status = 'pending' AND expires_at IS NOT NULL;

CREATE INDEX jobs_with_parents ON jobs (rowid)
    WHERE dependencies <> '[]' AND status IN ('pending', 'running');

CREATE INDEX jobs_unlinked ON jobs (status)
    WHERE linked = 0 AND status = 'pending'
        AND (dependencies <> '[]' OR retry_after IS NOT NULL OR expires_at IS NOT NULL);

CREATE INDEX jobs_stray ON jobs (id) WHERE status = 'running' AND execution_id IS NULL;

CREATE INDEX jobs_finished ON jobs (status, rowid)
    WHERE status <> 'pending' AND status <> 'running';

CREATE INDEX jobs_by_age ON jobs (created_at);

CREATE TABLE IF NOT EXISTS job_executions (
    id                  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    job_id              TEXT COLLATE "C" NOT NULL,
    worker_id           TEXT,
    status              TEXT COLLATE "C" NOT NULL,
    started_at          TEXT COLLATE "C" NOT NULL,
    completed_at        TEXT COLLATE "C",
    attempt             BIGINT,
    run                 TEXT COLLATE "C",                                -- the run that answers
    due_at              TEXT COLLATE "C",
    due_why             TEXT COLLATE "C",
    cause               TEXT COLLATE "C",
    cancel_requested_at TEXT COLLATE "C",
    interrupted_by      TEXT COLLATE "C",                                -- timeout, cancelled or stopped
    returned_after      DOUBLE PRECISION,                                -- seconds from then to its end
    exit_code           BIGINT,
    signal              TEXT COLLATE "C",
    peak_rss            BIGINT,                                          -- bytes
    cpu_time            DOUBLE PRECISION,                                -- seconds
    wall_time           DOUBLE PRECISION,                                -- seconds
    late                DOUBLE PRECISION,                                -- seconds from limit and grace to kill
    killed              BIGINT,                                          -- processes sent SIGKILL
    note                TEXT,
    error               TEXT,
    stack               TEXT,
    output              TEXT,
    result              TEXT
) WITH (
    -- Every claim and every outcome leaves a dead row: free space on the pages, and early vacuums.
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.05
);

CREATE INDEX job_executions_of ON job_executions (job_id);

-- One open execution for each job, and a list of the open ones alone.
CREATE UNIQUE INDEX job_executions_open ON job_executions (job_id) WHERE status = 'running';

CREATE INDEX job_executions_to_cancel ON job_executions (job_id)
    WHERE status = 'running' AND cancel_requested_at IS NOT NULL;

-- The parents that a job still waits for.
CREATE TABLE IF NOT EXISTS job_dependencies (
    parent_id TEXT COLLATE "C" NOT NULL,
    job_id    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (parent_id, job_id)
) WITH (
    -- Every row is deleted soon, and none is updated.
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.05
);

CREATE INDEX job_dependencies_of ON job_dependencies (job_id);

-- The id of this queue, for the folders of its processes: a database has many addresses.
CREATE TABLE gigq_store (id TEXT NOT NULL);

INSERT INTO gigq_store VALUES (gen_random_uuid()::text);

-- The server's time in the stored form.
CREATE FUNCTION gigq_now() RETURNS TEXT LANGUAGE sql VOLATILE AS $$
    SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
$$;

-- The ids in a list of parents; none when another program has stored no JSON list.
CREATE FUNCTION gigq_ids_of_any(list TEXT) RETURNS TEXT[] LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN ARRAY(SELECT value FROM json_array_elements_text(list::json));
EXCEPTION WHEN others THEN
    RETURN '{}';
END $$;

-- The same, faster for a list that gigq has written: the server puts the text of this function into
-- the statement that calls it. E'' reads the same with any standard_conforming_strings of the session.
CREATE FUNCTION gigq_ids(list TEXT) RETURNS TEXT[] LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN list ~ E'^\\["[^"\\\\]*"(, "[^"\\\\]*")*\\]$'
        THEN string_to_array(substr(list, 3, length(list) - 4), '", "')
        ELSE gigq_ids_of_any(list) END
$$;

-- True for text that Python reads as a time, too.
CREATE FUNCTION gigq_is_time(value TEXT) RETURNS BOOLEAN LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM value::timestamptz;
    RETURN value ~ ('^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]([01][0-9]|2[0-3]):[0-9]{2}(:[0-5][0-9]([.][0-9]+)?)?'
        || '(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?$');
EXCEPTION WHEN others THEN
    RETURN FALSE;
END $$;

-- A time that another program has written counts as that of a new row: the next claim converts it.
CREATE FUNCTION gigq_time_set() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    NEW.linked = 0;
    RETURN NEW;
END $$;

CREATE TRIGGER jobs_put_off BEFORE UPDATE OF retry_after ON jobs FOR EACH ROW
    WHEN (NEW.linked <> 0 AND NEW.retry_after NOT LIKE '____-__-__T__:__:__.______+00:00')
    EXECUTE FUNCTION gigq_time_set();

CREATE TRIGGER jobs_expiry_set BEFORE UPDATE OF expires_at ON jobs FOR EACH ROW
    WHEN (NEW.linked <> 0 AND NEW.expires_at NOT LIKE '____-__-__T__:__:__.______+00:00')
    EXECUTE FUNCTION gigq_time_set();

-- So does a list of parents that it has changed. Its search path need not have the schema, which may
-- have another name by then.
CREATE FUNCTION gigq_parents_changed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DELETE FROM %I.job_dependencies WHERE job_id = $1', TG_TABLE_SCHEMA) USING NEW.id;
    NEW.linked = 0;
    NEW.unmet = 0;
    RETURN NEW;
END $$;

CREATE TRIGGER jobs_parents_changed BEFORE UPDATE OF dependencies ON jobs FOR EACH ROW
    WHEN (NEW.linked <> 0 AND NEW.dependencies IS DISTINCT FROM OLD.dependencies)
    EXECUTE FUNCTION gigq_parents_changed();
