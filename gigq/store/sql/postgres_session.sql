-- Settings, times and catalogs of a PostgreSQL server, and changes of its tables.

-- A hung process must not keep others from its rows for longer than they wait for a lock. Other
-- limits of the role, the database or the server stay.
-- name: limit_session
SELECT set_config(name, value, false)
FROM (
    VALUES
    ('statement_timeout', '60s'), ('lock_timeout', '30s'),
    ('idle_in_transaction_session_timeout', '20s')
) AS wanted (name, value)
WHERE name = 'lock_timeout' OR current_setting(name) = '0';

-- name: limit_locks
SET lock_timeout = {milliseconds};

-- After a job that has used the connection of its worker.
-- name: reset_session
RESET SESSION AUTHORIZATION;
RESET ALL;

-- name: choose_schema_of_session
SELECT set_config('search_path', '"{schema}"', false);

-- Behind a pooler nothing may last beyond the transaction, which may not query before it has set its
-- isolation level.
-- name: limit_transaction
SET LOCAL statement_timeout = '60s';
SET LOCAL idle_in_transaction_session_timeout = '20s';

-- name: choose_schema_of_transaction
SET LOCAL search_path = "{schema}";

-- Each transaction begins with a script that ends with the server's time: one round trip. It may be
-- the one that creates the function `gigq_now`.
-- name: server_time
SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"');

-- After a wait for a lock a statement sees what the other transaction has committed. Braces, since
-- several statements at once take no parameters. A prepared statement is planned once, and while a
-- table is still short the server would plan to read all of it, and go on so as it grows.
-- name: set_up_writing
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET LOCAL lock_timeout = {milliseconds};
SET LOCAL plan_cache_mode = force_generic_plan;
SET LOCAL enable_seqscan = off;
SET LOCAL jit = off;

-- Every statement sees the same moment.
-- name: set_up_reading
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;
SET LOCAL lock_timeout = {milliseconds};

-- name: store_id
SELECT id FROM gigq_store;

-- name: new_store_id
INSERT INTO gigq_store VALUES (gen_random_uuid()::text);

-- Changes of tables that an application has made. Braces stand for parts of gigq's own schema.
-- name: add_column
ALTER TABLE {table} ADD COLUMN {definition};

-- name: set_default
ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {value};

-- name: drop_function
DROP FUNCTION {function};

-- The catalog of this server.
-- name: current_schema
SELECT current_schema() AS name, current_setting('search_path') AS search_path;

-- name: table_names
SELECT tablename AS name, rowsecurity AS has_row_security FROM pg_tables
WHERE schemaname = current_schema();

-- The tables of a queue that seem empty to the role: row-level security applies to it, and no policy
-- lets it read rows.
-- name: hidden_tables
SELECT relname AS name FROM pg_class
WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relkind IN ('r', 'p')
    AND relname IN (
        'jobs', 'job_executions', 'job_dependencies', 'gigq_processes', 'gigq_pauses',
        'gigq_output_requests', 'gigq_output_parts', 'gigq_schema', 'gigq_store'
    )
    AND has_any_column_privilege(pg_class.oid, 'SELECT') AND row_security_active(pg_class.oid)
    AND NOT EXISTS (
        SELECT 1 FROM pg_policy
        WHERE polrelid = pg_class.oid AND polpermissive AND polcmd IN ('r', '*') AND EXISTS (
            SELECT 1 FROM unnest(polroles) AS named (role)
            WHERE role = 0 OR pg_has_role(role, 'USAGE')
        )
    )
ORDER BY relname;

-- The schema of the queue that statements without the name of a schema would use.
-- name: schema_of_queue
SELECT nspname AS name, current_schema() AS first, current_setting('search_path') AS search_path
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE pg_class.oid = to_regclass('gigq_schema') AND relkind IN ('r', 'p');

-- name: columns_of_jobs
SELECT column_name AS name FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = 'jobs';

-- name: columns_of_table
SELECT attname AS name,
    format_type(CASE WHEN typtype = 'd' THEN typbasetype ELSE atttypid END, NULL) AS type
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid JOIN pg_type ON pg_type.oid = atttypid
WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relname = :name
    AND relkind IN ('r', 'p', 'v', 'f') AND attnum > 0 AND NOT attisdropped
ORDER BY attnum;

-- name: functions_of_gigq
SELECT oid::regprocedure::text AS name, prosrc AS body FROM pg_proc
WHERE pronamespace = to_regnamespace(quote_ident(current_schema())) AND proname LIKE 'gigq%';

-- name: unique_ids
SELECT indexrelid::regclass::text AS name FROM pg_index
JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
WHERE indrelid = to_regclass(quote_ident(current_schema()) || '.jobs') AND indisunique AND indnkeyatts = 1
    AND indpred IS NULL AND attname = 'id';

-- One process migrates at a time; the others wait here. The schema may not exist yet.
-- name: lock_schema
SELECT pg_advisory_xact_lock(hashtext('gigq schema of ' || coalesce(:schema, current_schema(), '')));

-- A migration takes as long as it takes; the limits of the role and the server are for others. Not all
-- versions have all of these settings.
-- name: lift_time_limits
SELECT set_config(name, '0', true) AS set
FROM pg_settings
WHERE name IN ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout');

-- Those who want to use a table wait behind a transaction that waits to alter it.
-- name: wait_shortly_for_tables
SELECT set_config('lock_timeout', '1s', true) AS set;

-- name: sessions_at_tables
SELECT pid, coalesce(nullif(application_name, ''), 'without a name') AS name
FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND pid IN (
    SELECT pid FROM pg_locks
    WHERE granted AND relation IN (to_regclass('jobs'), to_regclass('job_executions'))
)
ORDER BY xact_start
LIMIT 3;

-- name: named_schema
SELECT nspname AS name FROM pg_namespace WHERE nspname = :schema;

-- name: create_named_schema
CREATE SCHEMA IF NOT EXISTS "{schema}";
