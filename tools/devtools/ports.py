"""Free ports on the loopback interface."""

from __future__ import annotations

import socket


def free_port(taken: set[int] | None = None) -> int:
    """Return a port nobody listens on now and that is not in ``taken``, and add it to ``taken``.

    Another program may take the port before it is used; whoever uses it must notice and ask again.
    """
    refused = set() if taken is None else taken
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in refused:
            refused.add(port)
            return port
