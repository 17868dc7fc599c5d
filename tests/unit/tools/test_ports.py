from __future__ import annotations

import socket

from tools.devtools.ports import free_port


def test_a_free_port_can_be_listened_on() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", free_port()))
        server.listen()


def test_no_port_is_given_twice() -> None:
    taken: set[int] = set()
    assert len({free_port(taken) for _ in range(200)}) == 200
    assert len(taken) == 200
