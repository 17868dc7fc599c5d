-- What an attempt took of its backend.

ALTER TABLE attempt ADD COLUMN peak_vram_bytes INTEGER;
ALTER TABLE attempt ADD COLUMN energy_j REAL;
