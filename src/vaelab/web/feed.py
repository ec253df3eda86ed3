"""The newest state for every open page, however fast each of them takes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress


class Feed:
    """Hands the newest of a series of texts to any number of readers.

    Nothing is queued: a reader that was slow gets the newest text next and never those in between, so that it cannot hold
    back the others or fill the memory. clients: readers at this moment.
    """

    def __init__(self) -> None:
        self.clients = 0
        self.closed = False
        self._newest: tuple[int, str] | None = None
        self._news: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self) -> None:
        """Use the running event loop for the readers."""
        self._loop, self._news = asyncio.get_running_loop(), asyncio.Event()

    def publish(self, text: str) -> None:
        """Make ``text`` the newest. May be called from any thread."""
        self._newest = ((self._newest[0] + 1 if self._newest else 0), text)
        self._wake_readers()

    def close(self) -> None:
        """End every reader: a server that stops does not wait for pages that stay open."""
        self.closed = True
        self._wake_readers()

    async def texts(self) -> AsyncIterator[tuple[int, str]]:
        """``(number, text)``: the newest text at once, then whatever is newest when the reader comes back for more."""
        self.clients += 1
        seen = -1
        try:
            while not self.closed:
                # taken before the look at the newest, so that no news are slept through
                news = self._news
                assert news is not None, "attach() comes first"
                if self._newest is not None and self._newest[0] != seen:
                    seen, text = self._newest
                    yield seen, text
                else:
                    await news.wait()
        finally:
            self.clients -= 1

    def _wake_readers(self) -> None:
        if self._loop is None or self._loop.is_closed():
            return
        with suppress(RuntimeError):  # closed in between
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
        self._news = asyncio.Event()
