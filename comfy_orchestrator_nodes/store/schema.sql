-- The database as it is today. New databases are made from this file; older ones are brought here by migrations/,
-- and a test proves that both ways lead to the same schema.
--
-- Times are seconds since the epoch. JSON columns are written and read by codec.py only. Ids are text; `number` and
-- `position` are what rows are paged by and never leave the store.

CREATE TABLE backend (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL COLLATE NOCASE UNIQUE,
    base_url TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    tags TEXT NOT NULL,
    notes TEXT NOT NULL,
    tls TEXT NOT NULL,
    credentials TEXT NOT NULL,
    created_at REAL NOT NULL,
    draining INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- What happened to each backend, the last some hundred events.
CREATE TABLE backend_event (
    position INTEGER PRIMARY KEY,
    backend_id TEXT NOT NULL REFERENCES backend (id) ON DELETE CASCADE,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    until REAL
);
CREATE INDEX backend_event_by_backend ON backend_event (backend_id, position);

-- What a library entry is called; not versioned.
CREATE TABLE definition (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    tags TEXT NOT NULL,
    latest_version INTEGER NOT NULL,
    knobs TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;

-- What a library entry does; a version never changes.
CREATE TABLE definition_version (
    definition_id TEXT NOT NULL REFERENCES definition (id) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    created_at REAL NOT NULL,
    parameters TEXT NOT NULL,
    outputs TEXT NOT NULL,
    prompt TEXT NOT NULL,
    -- Last, because SQLite has to read through a long value to reach what is behind it.
    workflow TEXT,
    PRIMARY KEY (definition_id, version)
);

CREATE TABLE run (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    title TEXT NOT NULL,
    client_id TEXT,
    created_at REAL NOT NULL,
    ended_at REAL,
    owner TEXT
);
CREATE INDEX run_by_status ON run (status);
CREATE INDEX run_by_end ON run (ended_at);

CREATE TABLE job (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    run_id TEXT NOT NULL REFERENCES run (id),
    key TEXT NOT NULL,
    definition_id TEXT NOT NULL,
    status TEXT NOT NULL,
    spec TEXT NOT NULL,
    node_id TEXT,
    item_index INTEGER NOT NULL,
    outputs TEXT NOT NULL,
    failure TEXT,
    created_at REAL NOT NULL,
    ended_at REAL,
    owner TEXT,
    -- What its place in the queue counts from, if somebody moved it.
    queued_at REAL
);
CREATE INDEX job_by_status ON job (status);
CREATE INDEX job_by_run ON job (run_id, status);
CREATE INDEX job_by_end ON job (ended_at);
CREATE INDEX job_by_key ON job (key);
CREATE INDEX job_by_definition ON job (definition_id);

CREATE TABLE attempt (
    id TEXT NOT NULL PRIMARY KEY,
    job_id TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    backend_id TEXT NOT NULL,
    prompt_id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    charged INTEGER NOT NULL,
    failure TEXT,
    created_at REAL NOT NULL,
    started_at REAL,
    ended_at REAL,
    uploaded_bytes INTEGER NOT NULL,
    downloaded_bytes INTEGER NOT NULL,
    peak_vram_bytes INTEGER,
    energy_j REAL,
    UNIQUE (job_id, number)
) WITHOUT ROWID;
CREATE INDEX attempt_by_end ON attempt (ended_at);
CREATE INDEX attempt_by_backend ON attempt (backend_id, job_id);
-- The promise of exactly one accepted result, kept by the database itself.
CREATE UNIQUE INDEX attempt_accepted ON attempt (job_id) WHERE status = 'succeeded';

-- `sequence` counts a job's events from 1 without gaps; `position` orders the events of all jobs.
CREATE TABLE event (
    position INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    attempt_id TEXT,
    details TEXT NOT NULL,
    UNIQUE (job_id, sequence)
);

CREATE TABLE setting (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    changed_at REAL NOT NULL
) WITHOUT ROWID;

-- What a job's key came to, so that the same work need not be done again.
CREATE TABLE result (
    key TEXT NOT NULL PRIMARY KEY,
    job_id TEXT NOT NULL,
    outputs TEXT NOT NULL,
    created_at REAL NOT NULL,
    used_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX result_by_use ON result (used_at);

-- Which values a backend's agent was seen to keep, and which job made them: where to fetch what is not here, and what to
-- run again where it is gone.
CREATE TABLE holding (
    sha256 TEXT NOT NULL,
    backend_id TEXT NOT NULL,
    job_id TEXT NOT NULL,
    noted_at REAL NOT NULL,
    PRIMARY KEY (sha256, backend_id)
) WITHOUT ROWID;
CREATE INDEX holding_by_time ON holding (noted_at);
