"""The transition tables: ``jobs`` for jobs and their attempts, ``backends`` for the health of a backend. Pure."""
