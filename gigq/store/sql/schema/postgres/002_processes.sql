-- The processes that run jobs, one row for each incarnation. A process of another host is alive until
-- its lease ends.
CREATE TABLE gigq_processes (
    run           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    kind          TEXT NOT NULL,                     -- gigqd or worker
    host          TEXT NOT NULL,
    pid           BIGINT NOT NULL,
    version       TEXT NOT NULL,                     -- of its gigq
    started_at    TEXT COLLATE "C" NOT NULL,
    seen_at       TEXT COLLATE "C" NOT NULL,
    lease         DOUBLE PRECISION,                  -- seconds
    lease_ends_at TEXT COLLATE "C",
    info          TEXT NOT NULL DEFAULT '{}'         -- JSON
) WITH (
    -- Few rows, each updated every few seconds.
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200,
    autovacuum_vacuum_cost_delay = 0
);
