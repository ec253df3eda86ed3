"""The newest state for every open page, however fast each of them takes it; what has changed for those that had the one before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import NamedTuple


class Sent(NamedTuple):
    """One state for a reader. whole: ``text`` is all of it, not only what is new since the number before."""

    number: int
    text: str
    whole: bool


class Feed:
    """Hands the newest of a series of states to any number of readers.

    Nothing is queued: a reader that was slow gets the newest state next and never those in between, so that it cannot hold
    back the others or fill the memory. A reader that has had the state before gets what has changed. clients: readers at
    this moment.
    """

    def __init__(self) -> None:
        self.clients = 0
        self.closed = False
        self._newest: tuple[Sent, Sent] | None = None  # the whole, and what is new in it
        self._news: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self) -> None:
        """Use the running event loop for the readers."""
        self._loop, self._news = asyncio.get_running_loop(), asyncio.Event()

    def publish(self, text: str, changes: str | None = None) -> None:
        """Make ``text`` the newest state. changes: what is new in it since the one before. May be called from any thread."""
        number = self._newest[0].number + 1 if self._newest else 0
        whole = Sent(number, text, True)
        self._newest = (whole, whole if changes is None else Sent(number, changes, False))
        self._wake_readers()

    def close(self) -> None:
        """End every reader: a server that stops does not wait for pages that stay open."""
        self.closed = True
        self._wake_readers()

    async def texts(self) -> AsyncIterator[Sent]:
        """The newest state at once, then whatever is newest when the reader comes back for more."""
        self.clients += 1
        seen: int | None = None
        try:
            while not self.closed:
                # taken before the look at the newest, so that no news are slept through
                news = self._news
                assert news is not None, "attach() comes first"
                if self._newest is not None and self._newest[0].number != seen:
                    whole, changes = self._newest
                    yield changes if seen is not None and seen == whole.number - 1 else whole
                    seen = whole.number
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
