"""What the master remembers: one SQLite database, and a folder of files named by the hash of their content.

``docs/store.md`` tells how the parts fit together and what holds when the disk, the power or another process fails.
"""
