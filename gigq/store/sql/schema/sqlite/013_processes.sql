-- The processes that run jobs, one row for each incarnation. A file needs no leases: its processes
-- are on one host, which shows whether they live.
CREATE TABLE gigq_processes (
    run           TEXT NOT NULL PRIMARY KEY,
    kind          TEXT NOT NULL,                     -- gigqd or worker
    host          TEXT NOT NULL,
    pid           INTEGER NOT NULL,
    version       TEXT NOT NULL,                     -- of its gigq
    started_at    TEXT NOT NULL,
    seen_at       TEXT NOT NULL,
    lease         REAL,                              -- seconds
    lease_ends_at TEXT,
    info          TEXT NOT NULL DEFAULT '{}'         -- JSON
);
