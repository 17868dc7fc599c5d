-- Time series. Tables never change: a file whose tables are others is begun anew.

-- `device` is empty for the host.
CREATE TABLE series (
    number INTEGER PRIMARY KEY,
    backend_id TEXT NOT NULL,
    device TEXT NOT NULL,
    metric TEXT NOT NULL,
    UNIQUE (backend_id, device, metric)
);

-- What the devices of a backend are called, for charts of days when they were there.
CREATE TABLE device (
    backend_id TEXT NOT NULL,
    device TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (backend_id, device)
) WITHOUT ROWID;

-- `level` and `start` as levels.py has them, `data` as encoding.py writes it. Not WITHOUT ROWID: blocks of a kilobyte
-- would spill into pages of their own.
CREATE TABLE block (
    series INTEGER NOT NULL,
    level INTEGER NOT NULL,
    start INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (series, level, start)
);
CREATE INDEX block_by_age ON block (level, start);

-- Up to which hour the seconds are rolled up: one row.
CREATE TABLE closed (until INTEGER NOT NULL);
INSERT INTO closed VALUES (0);
