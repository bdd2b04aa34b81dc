-- Statements of PostgreSQL for the wakeup of idle workers.

-- The channel of a schema. LISTEN takes no expression.
-- name: listen
DO $$ BEGIN EXECUTE 'LISTEN ' || quote_ident('gigq_' || current_schema()); END $$;

-- A notification that a crash of the server loses is no loss, so its commit does not wait for the
-- disk.
-- name: notify
SELECT set_config('synchronous_commit', 'off', true),
    pg_notify('gigq_' || coalesce(:schema, current_schema()), :payload);

-- Listens, and says whether it did before. The server's process has another number than the
-- connection says where a pooler is between: it would deliver notifications to any of its clients.
-- Braces, since several statements at once take no parameters.
-- name: check_listening
SELECT pg_backend_pid() = {process} AS is_direct, EXISTS (
    SELECT FROM pg_listening_channels() AS channel WHERE channel = 'gigq_' || current_schema()
) AS was_listening;
DO $$ BEGIN
    IF pg_backend_pid() = {process} THEN
        EXECUTE 'LISTEN ' || quote_ident('gigq_' || current_schema());
    END IF;
END $$;
