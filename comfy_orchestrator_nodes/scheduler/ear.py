"""Hears what a backend still tells a socket that broke, about the one prompt that was submitted with it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing

from ..backend.messages import Preview
from ..backend.peer import Inbox, Peer
from ..errors import BackendError

log = logging.getLogger(__name__)


class Ear:
    """A second socket under the id of the broken one; its messages go into the prompt's inbox.

    ComfyUI sends a running prompt's messages to the id it was submitted with, whoever holds that id. They show how far
    it is, and that it is alive. Whether it is over is for the queue and the history to say.
    """

    def __init__(self, peer: Peer, prompt_id: str, client_id: str, inbox: Inbox, *, retry_s: float) -> None:
        self._peer = peer
        self._prompt_id = prompt_id
        self._client_id = client_id
        self._inbox = inbox
        self._retry_s = retry_s
        self._task = asyncio.create_task(self._listen(), name=f"ear for {prompt_id}")
        self.open = False
        """Whether the socket stands."""

    async def renew(self) -> None:
        """Open the socket anew: the backend may have dropped it without a word (see ``ComfyClient.overhear``)."""
        await self.close()
        self._task = asyncio.create_task(self._listen(), name=f"ear for {self._prompt_id}")

    async def close(self) -> None:
        """Hear no more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.open = False

    async def _listen(self) -> None:
        while True:
            try:
                async with aclosing(self._peer.client.overhear(self._client_id)) as messages:
                    async for message in messages:
                        self.open = True
                        addressee = getattr(message, "prompt_id", None)
                        if addressee == self._prompt_id or (isinstance(message, Preview) and addressee is None):
                            self._inbox.put_nowait(message)
            except BackendError as error:
                log.debug("Nothing can be overheard on %s: %s", self._peer.backend.name, error)
            self.open = False
            await asyncio.sleep(self._retry_s)
