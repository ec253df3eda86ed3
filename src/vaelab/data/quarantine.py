"""Files that cannot be decoded: counted, named, and fatal only beyond the share that the settings allow."""

from __future__ import annotations

import math
import re

from vaelab.data.types import Batch, Quarantined
from vaelab.errors import DataError

# Fewer files than this say nothing about the share of bad ones.
_ENOUGH = 20
_TIME = re.compile(r"@\d+\.\d\ds$")


class Quarantine:
    """Counts the distinct files that failed, over all batches of this process.

    Args:
        files: files of the source.
        max_bad_share: ``data.max_bad_share``.
    """

    def __init__(self, files: int, max_bad_share: float) -> None:
        self.files = files
        self.max_bad_share = max_bad_share
        self.bad: dict[str, Quarantined] = {}
        self._seen: set[str] = set()

    def add(self, batch: Batch) -> list[Quarantined]:
        """Counts a batch; returns the files that are bad and were not known as bad before, for the event log."""
        self._seen.update(_TIME.sub("", name) for name in batch.names)
        self._seen.update(file.name for file in batch.bad)
        new = {file.name: file for file in batch.bad if file.name not in self.bad}
        self.bad.update(new)
        return list(new.values())

    @property
    def share(self) -> float:
        """Share of the files seen so far that cannot be decoded; 0 before the first batch."""
        return len(self.bad) / max(len(self._seen), 1)

    def check(self) -> None:
        """Stops the run when more files fail than allowed.

        That is certain when the failed files are more than ``max_bad_share`` of all files. Before all files were seen, it
        is taken as certain when at least 20 were seen and their share is above the limit by three standard errors.

        Raises:
            DataError: with the count, the share, and the first three names and reasons.
        """
        bad, seen, limit = len(self.bad), len(self._seen), self.max_bad_share
        if seen < min(_ENOUGH, self.files):
            return
        chance = 3 * math.sqrt(limit * (1 - limit) * seen)
        if bad > limit * self.files or bad > limit * seen + chance:
            first = "; ".join(f"{file.name}: {file.reason}" for file in list(self.bad.values())[:3])
            raise DataError(
                f"{bad} of {seen} files ({bad / seen:.0%}) cannot be decoded, more than data.max_bad_share={limit:g}"
                f" allows. The first: {first}. Repair or remove them, or raise data.max_bad_share."
            )
