-- What happened to each backend.

CREATE TABLE backend_event (
    position INTEGER PRIMARY KEY,
    backend_id TEXT NOT NULL REFERENCES backend (id) ON DELETE CASCADE,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    until REAL
);
CREATE INDEX backend_event_by_backend ON backend_event (backend_id, position);
