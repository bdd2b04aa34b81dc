-- The frame of a script for psql that migrates a PostgreSQL database. Braces stand for values, since a
-- script has no parameters.

-- name: script_start
\set ON_ERROR_STOP on
\o /dev/null
BEGIN;

-- The text of a DO. Also IF NOT EXISTS needs the right to create a schema.
-- name: create_missing_schema
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = {literal}) THEN
        CREATE SCHEMA "{schema}";
    END IF;
END;

-- name: script_check
DO $$ DECLARE found INTEGER; BEGIN
    SELECT coalesce(max(version), 0) INTO found FROM gigq_schema;
    IF found <> {version} THEN
        RAISE EXCEPTION USING MESSAGE = 'the queue has schema ' || found
            || ', and this script is for schema {version}: print it again';
    END IF;
END $$;

-- name: script_end
COMMIT;
\o
