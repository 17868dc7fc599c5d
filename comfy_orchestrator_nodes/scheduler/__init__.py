"""Executes what the machine instructs and feeds what happens back to it.

``core`` owns the live jobs and carries instructions out, ``backlog`` pairs queued jobs with backends, ``attempt`` takes
one attempt from its prompt to its outputs, ``transfer`` moves files to and from a backend.
"""
