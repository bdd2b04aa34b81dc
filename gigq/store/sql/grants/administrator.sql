-- The rights of the role that creates and migrates the tables. Run it with psql as the owner of the
-- database or as a superuser, before the queue is created or later:
--
--     psql -v role=shop_admin -v schema=public -f administrator.sql postgresql://db.example/shop
--
-- Only the owner of a table can change it. So the tables and functions of a queue that exist already
-- go to the role.

\set ON_ERROR_STOP on

SELECT format('CREATE SCHEMA %I', :'schema')
WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = :'schema')
\gexec

GRANT USAGE, CREATE ON SCHEMA :"schema" TO :"role";

SELECT format('ALTER TABLE %I.%I OWNER TO %I', schemaname, tablename, :'role')
FROM pg_tables
WHERE schemaname = :'schema'
    AND tablename IN (
        'jobs', 'job_executions', 'job_dependencies', 'gigq_processes', 'gigq_pauses',
        'gigq_output_requests', 'gigq_output_parts', 'gigq_unknown_functions', 'gigq_schema',
        'gigq_store'
    )
\gexec

SELECT format('ALTER FUNCTION %s OWNER TO %I', pg_proc.oid::regprocedure, :'role')
FROM pg_proc
WHERE pronamespace = to_regnamespace(quote_ident(:'schema')) AND starts_with(proname, 'gigq_')
\gexec
