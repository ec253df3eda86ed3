"""What a Monitor has to say of itself: each thing once, to the log of the program, and never by raising."""

from __future__ import annotations

import logging

from vaelab.errors import VaelabError

logger = logging.getLogger("vaelab.monitor")
MOST_NOTES = 20


class Notes:
    """Lines of the logger ``vaelab.monitor``."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def say(self, text: str) -> None:
        """One line, once; after ``MOST_NOTES`` different ones no more."""
        if text in self._said or len(self._said) > MOST_NOTES:
            return
        self._said.add(text)
        logger.warning("vaelab: %s", text if len(self._said) <= MOST_NOTES else "further notes are left out.")

    def failed(self, what: str, error: Exception) -> None:
        """An error that must not reach the training loop, once for each ``what``."""
        if what not in self._said:
            self._said.add(what)
            why = str(error) if isinstance(error, VaelabError) else f"{type(error).__name__}: {error}"
            logger.warning("vaelab: %s failed (%s). Training goes on.", what, why)
