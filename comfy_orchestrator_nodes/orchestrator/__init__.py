"""The verbs: what nodes, routes and runs call.

``jobs`` submits, joins, cancels and watches; ``backends`` keeps the registry; ``library`` keeps definitions;
``snapshot`` is what other threads may read of it all.
"""
