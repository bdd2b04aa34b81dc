-- Read-only queries about a server of PostgreSQL and the queue's objects there, for gigq doctor.

-- Braces, since several statements at once take no parameters.
-- name: set_up_read_only
SET TRANSACTION READ ONLY;
SET LOCAL statement_timeout = {milliseconds};
SET LOCAL lock_timeout = 100;

-- name: backend
SELECT pg_backend_pid();

-- name: backend_of_transaction
BEGIN READ ONLY;
SELECT pg_backend_pid();

-- A role sees of other roles' sessions what they do only with the rights of pg_read_all_stats.
-- name: server
SELECT
    current_setting('server_version_num')::integer AS version_number,
    current_setting('server_version') AS version,
    current_database() AS database,
    current_schema() AS namespace,
    current_setting('search_path') AS search_path,
    CURRENT_USER AS role,
    quote_ident(CURRENT_USER) AS quoted_role,
    pg_encoding_to_char(encoding) AS encoding,
    datcollate AS collation,
    pg_is_in_recovery() AS is_standby,
    current_setting('default_transaction_read_only') = 'on' AS is_read_only,
    current_setting('fsync') = 'on' AS fsync,
    current_setting('full_page_writes') = 'on' AS full_page_writes,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('autovacuum') = 'on' AND current_setting('track_counts') = 'on' AS autovacuum,
    pg_has_role('pg_read_all_stats', 'USAGE') AS sees_sessions,
    pg_backend_pid() AS pid
FROM pg_database
WHERE datname = current_database();

-- name: nanoseconds
SELECT (extract(EPOCH FROM clock_timestamp()) * 1000000000)::bigint AS nanoseconds;

-- name: rights
SELECT
    relname AS name,
    pg_get_userbyid(relowner) AS owner,
    has_any_column_privilege(oid, 'SELECT') AS may_select,
    has_any_column_privilege(oid, 'INSERT') AS may_insert,
    has_any_column_privilege(oid, 'UPDATE') AS may_update,
    has_table_privilege(oid, 'DELETE') AS may_delete
FROM pg_class
WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relkind IN ('r', 'p')
    AND relname IN (
        'jobs', 'job_executions', 'job_dependencies', 'gigq_processes', 'gigq_pauses',
        'gigq_output_requests', 'gigq_output_parts', 'gigq_schema', 'gigq_store'
    )
ORDER BY relname;

-- The expected size of a table: its rows as long as the columns are on average, on pages that are
-- as full as the table's fillfactor. Both numbers are from the last vacuum or analyze.
-- name: tables
SELECT
    pg_class.relname AS name,
    n_live_tup AS live,
    n_dead_tup AS dead,
    extract(EPOCH FROM clock_timestamp() - greatest(last_autovacuum, last_vacuum))::double precision
        AS vacuumed_ago,
    coalesce(options.autovacuum, TRUE) AS autovacuum,
    coalesce(options.threshold, current_setting('autovacuum_vacuum_threshold')::double precision)
        + coalesce(options.scale, current_setting('autovacuum_vacuum_scale_factor')::double precision)
        * greatest(reltuples, 0) AS vacuumed_from,
    pg_relation_size(pg_class.oid) AS bytes,
    pg_indexes_size(pg_class.oid) AS bytes_of_indexes,
    pg_class.relpages * current_setting('block_size')::bigint AS measured,
    (reltuples * (width.bytes + 32) * 100 / coalesce(options.fillfactor, 100))::bigint AS expected
FROM pg_class
JOIN pg_stat_all_tables ON pg_stat_all_tables.relid = pg_class.oid
CROSS JOIN LATERAL (
    SELECT
        max(option_value::boolean::integer) FILTER (WHERE option_name = 'autovacuum_enabled') = 1 AS autovacuum,
        max(option_value::double precision) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold') AS threshold,
        max(option_value::double precision) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor') AS scale,
        max(option_value::integer) FILTER (WHERE option_name = 'fillfactor') AS fillfactor
    FROM pg_options_to_table(reloptions)
) AS options
CROSS JOIN LATERAL (
    SELECT sum((1 - null_frac) * avg_width) AS bytes FROM pg_stats
    WHERE pg_stats.schemaname = current_schema() AND pg_stats.tablename = pg_class.relname
) AS width
WHERE relnamespace = to_regnamespace(quote_ident(current_schema()))
    AND pg_class.relname IN ('jobs', 'job_executions', 'job_dependencies')
ORDER BY pg_class.relname DESC;

-- The same for the indexes: an entry has 16 bytes beside its columns, and pages are 90 % full.
-- name: indexes
SELECT
    pg_class.relname AS name,
    pg_class.relpages * current_setting('block_size')::bigint AS measured,
    (pg_class.reltuples * (width.bytes + 16) / 0.9)::bigint AS expected
FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid
JOIN pg_class AS of_table ON of_table.oid = indrelid
CROSS JOIN LATERAL (
    SELECT sum((1 - null_frac) * avg_width) AS bytes
    FROM pg_attribute
    JOIN pg_stats ON pg_stats.attname = pg_attribute.attname
    WHERE attrelid = indrelid AND attnum = ANY (indkey)
        AND pg_stats.schemaname = current_schema() AND pg_stats.tablename = of_table.relname
) AS width
WHERE of_table.relnamespace = to_regnamespace(quote_ident(current_schema()))
    AND of_table.relname IN ('jobs', 'job_executions', 'job_dependencies')
    AND pg_class.reltuples >= 0 AND width.bytes IS NOT NULL
ORDER BY pg_class.relpages DESC;

-- The transactions that vacuum waits for: those of this database, and those of standbys.
-- name: transactions
SELECT
    pid,
    usename AS role,
    application_name AS program,
    state,
    backend_type = 'walsender' AS is_standby,
    backend_xmin IS NOT NULL OR backend_xid IS NOT NULL AS holds_rows,
    age(backend_xmin) AS transactions,
    extract(EPOCH FROM clock_timestamp() - xact_start)::double precision AS seconds
FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND usesysid IS NOT NULL
    AND (
        (datname = current_database() AND xact_start IS NOT NULL)
        OR (backend_type = 'walsender' AND backend_xmin IS NOT NULL)
    )
ORDER BY xact_start;

-- name: prepared_transactions
SELECT gid AS name, owner AS role, extract(EPOCH FROM clock_timestamp() - prepared)::double precision AS seconds
FROM pg_prepared_xacts
WHERE database = current_database()
ORDER BY prepared;

-- A slot without `xmin` keeps no dead rows of tables.
-- name: slots
SELECT slot_name AS name, active AS is_active, age(xmin) AS transactions
FROM pg_replication_slots
WHERE xmin IS NOT NULL
ORDER BY transactions DESC;

-- name: connections
SELECT
    count(*) AS used,
    count(*) FILTER (WHERE usename = CURRENT_USER) AS of_role,
    count(*) FILTER (WHERE datname = current_database()) AS of_database,
    (
        SELECT CASE WHEN rolsuper THEN 0 ELSE current_setting('superuser_reserved_connections')::integer
            + coalesce(current_setting('reserved_connections', TRUE)::integer, 0) END
        FROM pg_roles WHERE rolname = CURRENT_USER
    ) AS reserved,
    current_setting('max_connections')::integer AS limit_of_server,
    (
        SELECT CASE WHEN NOT rolsuper AND rolconnlimit >= 0 THEN rolconnlimit END
        FROM pg_roles WHERE rolname = CURRENT_USER
    ) AS limit_of_role,
    (
        SELECT CASE WHEN NOT rolsuper AND datconnlimit >= 0 THEN datconnlimit END
        FROM pg_database, pg_roles WHERE datname = current_database() AND rolname = CURRENT_USER
    ) AS limit_of_database
FROM pg_stat_activity
WHERE usesysid IS NOT NULL AND backend_type IS DISTINCT FROM 'walsender';

-- The hosts are those of sessions over TCP that the role may see.
-- name: sessions_of_gigq
SELECT
    application_name AS program,
    count(*) AS number,
    string_agg(DISTINCT host(client_addr), ', ') AS hosts
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'gigq%'
GROUP BY application_name
ORDER BY application_name;

-- name: columns_with_a_collation
SELECT relname || '.' || attname AS name, collname AS collation
FROM pg_attribute
JOIN pg_class ON pg_class.oid = attrelid
JOIN pg_collation ON pg_collation.oid = attcollation
WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relkind = 'r' AND attnum > 0
    AND relname IN ('jobs', 'job_executions', 'job_dependencies')
ORDER BY relname, attnum;

-- Remedies that a finding names.
-- name: sort_by_bytes
ALTER TABLE {table} ALTER COLUMN {column} TYPE TEXT COLLATE "C";

-- name: reset_autovacuum
ALTER TABLE {table} RESET (autovacuum_enabled);
