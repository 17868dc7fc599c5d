-- Values that stay on the backends that made them.

CREATE TABLE holding (
    sha256 TEXT NOT NULL,
    backend_id TEXT NOT NULL,
    job_id TEXT NOT NULL,
    noted_at REAL NOT NULL,
    PRIMARY KEY (sha256, backend_id)
) WITHOUT ROWID;
CREATE INDEX holding_by_time ON holding (noted_at);
