-- The running attempts whose output a reader follows from another host. The daemon that runs one
-- stores what is added to its output, until the request expires.
CREATE TABLE gigq_output_requests (
    execution_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    expires_at   TEXT COLLATE "C" NOT NULL,          -- a reader that is there renews it
    answer       TEXT                                -- of the daemon; NULL: none yet
) WITH (
    -- Few rows, each updated every few seconds.
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200,
    autovacuum_vacuum_cost_delay = 0
);

CREATE TABLE gigq_output_parts (
    execution_id TEXT COLLATE "C" NOT NULL REFERENCES gigq_output_requests ON DELETE CASCADE,
    start        BIGINT NOT NULL,                    -- bytes of the output before it
    content      BYTEA NOT NULL,
    PRIMARY KEY (execution_id, start)
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200,
    autovacuum_vacuum_cost_delay = 0
);
