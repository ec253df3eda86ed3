"""Reader of a console log whose program broke before its first row: all that it tells is the error."""

from __future__ import annotations

import numpy as np

from vaelab.errors import LogError
from vaelab.readers.base import RawLog, Reader
from vaelab.readers.source import HEAD_SIZE, Source
from vaelab.readers.text_log import error_told
from vaelab.run import Event


class BrokenOff:
    """Never the likeliest reader: it is tried where no other finds a row."""

    name = "broken_off"
    title = "console output that ends in an error before the first row"

    def sniff(self, head: bytes, source: Source) -> float:
        return 0.0

    def read(self, source: Source) -> list[RawLog]:
        error = error_in(source)
        if error is None:
            raise LogError(f"{source.name} holds no row of metrics and tells of no error.")
        return [RawLog(source.name, self.name, np.empty(0, np.int64), [], events=[error])]


def error_in(source: Source) -> Event | None:
    """The error that a short log tells of; None for one that is longer than its head, whose rows may come later."""
    return error_told(source.head()) if len(source.head()) < HEAD_SIZE else None


READER: Reader = BrokenOff()
