"""Executes what the machine instructs and feeds what happens back to it.

``core`` owns the live jobs and carries instructions out. ``backlog`` pairs queued jobs with backends; ``qualify`` finds
out who is able to run them, ``occupancy`` knows who is busy with what. ``attempt`` takes one attempt from its prompt to
its outputs, ``follow`` stays with it whatever happens in between, ``transfer`` moves its files.
"""
