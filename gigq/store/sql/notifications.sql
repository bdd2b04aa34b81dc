-- Statements of PostgreSQL for the wakeup of idle workers. The channel of a schema is `gigq_` with its
-- name, cut off as the server cuts off names.

-- LISTEN takes no expression.
-- name: listen
DO $$ BEGIN EXECUTE 'LISTEN ' || quote_ident(('gigq_' || current_schema())::name); END $$;

-- name: stop_listening
UNLISTEN *;

-- A notification that a crash of the server loses is no loss, so its commit does not wait for the
-- disk. Braces stand for a function that locks.
-- name: notify
WITH tenth AS MATERIALIZED (
    SELECT ((extract(epoch FROM now()) * 10)::bigint % 2000000000)::int AS number
),
given AS (
    SELECT value, hashtext('gigq ' || coalesce(:schema, current_schema()) || ' ' || value) AS key
    FROM json_array_elements_text(:queues::json)
),
first_here AS MATERIALIZED (
    SELECT value, key FROM given WHERE {lock}(key, (SELECT number FROM tenth))
),
news AS (
    SELECT json_agg(value)::text AS payload, array_agg(key) AS keys FROM first_here
)
SELECT keys, number, set_config('synchronous_commit', 'off', true),
    pg_notify(
        ('gigq_' || coalesce(:schema, current_schema()))::name,
        -- the server refuses 8000 bytes
        CASE WHEN octet_length(payload) < 7000 THEN payload ELSE '["*"]' END
    )
FROM news
CROSS JOIN tenth
WHERE payload IS NOT NULL;

-- name: unlock_notified
SELECT pg_advisory_unlock(key, :tenth) FROM unnest(:keys::int[]) AS key;

-- Listens, and says whether it did before. The server's process has another number than the
-- connection says where a pooler is between: it would deliver notifications to any of its clients.
-- Braces, since several statements at once take no parameters.
-- name: check_listening
SELECT pg_backend_pid() = {process} AS is_direct, EXISTS (
    SELECT FROM pg_listening_channels() AS channel
    WHERE channel = ('gigq_' || current_schema())::name
) AS was_listening;
DO $$ BEGIN
    IF pg_backend_pid() = {process} THEN
        EXECUTE 'LISTEN ' || quote_ident(('gigq_' || current_schema())::name);
    END IF;
END $$;
