-- The rights of a daemon or a worker, and of a program that requeues or deletes jobs. Run it with
-- psql as the owner of the tables, again after each upgrade of gigq:
--
--     psql -v role=shop_worker -v schema=public -f worker.sql postgresql://db.example/shop
--
-- The role reads, changes and deletes all jobs of the schema, and pauses queues. It cannot create or change tables.

\set ON_ERROR_STOP on

GRANT USAGE ON SCHEMA :"schema" TO :"role";

GRANT SELECT, INSERT, UPDATE, DELETE ON
    :"schema".jobs, :"schema".job_executions, :"schema".job_dependencies, :"schema".gigq_processes,
    :"schema".gigq_pauses, :"schema".gigq_output_requests, :"schema".gigq_output_parts,
    :"schema".gigq_unknown_functions
TO :"role";

GRANT SELECT ON :"schema".gigq_schema, :"schema".gigq_store TO :"role";

SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I', pg_proc.oid::regprocedure, :'role')
FROM pg_proc
WHERE pronamespace = to_regnamespace(quote_ident(:'schema')) AND starts_with(proname, 'gigq_')
\gexec
