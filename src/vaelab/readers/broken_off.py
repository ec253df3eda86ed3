"""Reader of a console log whose program broke before its first row: all that it tells is the error."""

from __future__ import annotations

import numpy as np

from vaelab.errors import LogError
from vaelab.readers.base import RawLog, Reader
from vaelab.readers.source import Source
from vaelab.readers.text_log import error_told


class BrokenOff:
    """Never the likeliest reader: it is tried where no other finds a row."""

    name = "broken_off"
    title = "console output that ends in an error before the first row"

    def sniff(self, head: bytes, source: Source) -> float:
        return 0.0

    def read(self, source: Source) -> list[RawLog]:
        error = error_told(source.head())
        if error is None:
            raise LogError(f"{source.name} holds no row of metrics and tells of no error.")
        return [RawLog(source.name, self.name, np.empty(0, np.int64), [], events=[error])]


READER: Reader = BrokenOff()
