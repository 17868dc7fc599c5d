"""One SQLite connection that lives on one thread, and the one way in: hand it a whole piece of work, await the result.

A piece of work is a function of the connection, so a transaction of ten statements costs one trip between threads and
not ten; ``docs/adr/0030-one-hop-per-transaction.md`` has the measurement.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from ..errors import StoreError

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

logger = logging.getLogger(__name__)


class _Request(NamedTuple):
    work: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]


class ConnectionThread:
    """Owns a connection and the only thread that ever touches it. Requests are served in the order they were made.

    The thread is a daemon: a process that ends without ``close`` must not hang on it, and SQLite's log makes an
    abrupt end safe.
    """

    def __init__(self, name: str) -> None:
        self._requests: SimpleQueue[_Request | None] = SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    async def open(self, connect: Callable[[], sqlite3.Connection]) -> None:
        """Make the connection on the thread; whatever ``connect`` raises ends the thread and is raised here."""

        def work() -> None:
            self._connection = connect()

        try:
            await self._submit(work)
        except BaseException:
            self._end()
            raise

    async def run(self, work: Work[T]) -> T:
        """Run ``work(connection)`` on the thread and return its result, or raise what it raised.

        Work that was asked for is done even if the one who waits is cancelled: a write never depends on how long
        somebody stayed to hear of it.

        Raises:
            StoreError: the connection is closed.
        """

        def call() -> T:
            if self._connection is None:
                raise StoreError("The store is not open.")
            return work(self._connection)

        result: T = await self._submit(call)
        return result

    async def close(self) -> None:
        """Finish what was asked for, close the connection and end the thread. A second call does nothing."""
        if self._closed:
            return

        def work() -> None:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

        closing = self._submit(work)
        self._end()
        await closing

    def _end(self) -> None:
        self._closed = True
        self._requests.put(None)

    def _submit(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        if self._closed:
            raise StoreError("The store is closed: the master is shutting down.")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._requests.put(_Request(work, loop, answer))
        return answer

    def _serve(self) -> None:
        while (request := self._requests.get()) is not None:
            result: Any = None
            error: BaseException | None = None
            try:
                result = request.work()
            except BaseException as caught:  # noqa: BLE001 - it is raised again where the answer is awaited
                error = caught
            try:
                request.loop.call_soon_threadsafe(_deliver, request.answer, result, error)
            except RuntimeError:
                logger.warning("An event loop was closed before the store could answer it.", exc_info=error)
            # Nothing of a served request may stay alive until the next one comes.
            del request, result, error
        # Left open only if whoever opened it was cancelled meanwhile.
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _deliver(answer: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if answer.cancelled():
        if error is not None:
            logger.error("A change of the store failed after its caller was cancelled.", exc_info=error)
        return
    if error is not None:
        answer.set_exception(error)
        return
    answer.set_result(result)
