-- How jobs are run by default, who asked for them, in which order they wait, and finding what is old.

ALTER TABLE backend ADD COLUMN draining INTEGER NOT NULL DEFAULT 0;

ALTER TABLE definition ADD COLUMN knobs TEXT NOT NULL DEFAULT '{}';

ALTER TABLE run ADD COLUMN owner TEXT;
CREATE INDEX run_by_end ON run (ended_at);

ALTER TABLE job ADD COLUMN owner TEXT;
ALTER TABLE job ADD COLUMN queued_at REAL;
DROP INDEX job_by_run;
CREATE INDEX job_by_run ON job (run_id, status);
CREATE INDEX job_by_end ON job (ended_at);

CREATE INDEX attempt_by_end ON attempt (ended_at);
