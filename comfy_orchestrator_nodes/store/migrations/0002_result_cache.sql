-- The result cache.

CREATE TABLE result (
    key TEXT NOT NULL PRIMARY KEY,
    job_id TEXT NOT NULL,
    outputs TEXT NOT NULL,
    created_at REAL NOT NULL,
    used_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX result_by_use ON result (used_at);
