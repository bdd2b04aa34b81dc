-- The rights of a program that submits jobs, reads their status and cancels them. Run it with psql as
-- the owner of the tables, again after each upgrade of gigq:
--
--     psql -v role=shop_web -v schema=public -f submitter.sql postgresql://db.example/shop
--
-- The role reads all jobs of the schema, with their parameters, results and output. It cannot delete
-- a job, or change its function, parameters or result. It may write the columns that a cancel
-- changes: with SQL of its own it can end any job, and make a finished one pending again.

\set ON_ERROR_STOP on

GRANT USAGE ON SCHEMA :"schema" TO :"role";

GRANT SELECT ON
    :"schema".jobs, :"schema".job_executions, :"schema".job_dependencies,
    :"schema".gigq_processes, :"schema".gigq_pauses, :"schema".gigq_output_requests,
    :"schema".gigq_output_parts, :"schema".gigq_unknown_functions, :"schema".gigq_schema,
    :"schema".gigq_store
TO :"role";

GRANT INSERT ON :"schema".jobs, :"schema".job_dependencies TO :"role";

-- A cancel ends the jobs that wait for the cancelled one, and wakes those that wait for its end.
GRANT UPDATE (
    status, cause, error, completed_at, updated_at, retry_after, unmet, linked, due_at, due_why
) ON :"schema".jobs TO :"role";

GRANT DELETE ON :"schema".job_dependencies TO :"role";

-- A running job is cancelled by its worker.
GRANT UPDATE (cancel_requested_at) ON :"schema".job_executions TO :"role";

-- gigq logs -f requests the output of a job that runs on another host.
GRANT INSERT (execution_id, expires_at), UPDATE (expires_at)
ON :"schema".gigq_output_requests TO :"role";

SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I', pg_proc.oid::regprocedure, :'role')
FROM pg_proc
WHERE pronamespace = to_regnamespace(quote_ident(:'schema')) AND starts_with(proname, 'gigq_')
\gexec
