"""Numbers measured on a checkpoint: ``evaluation.json`` of ``vaelab evaluate``, ``probe.json`` of ``vaelab probe``.

Both hold ``{"measured": {name: number, ...}, ...}``. They stand beside the log of the run that the checkpoint belongs to.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from vaelab.errors import LogError
from vaelab.readers.base import RawLog
from vaelab.run import ReadNote

FILES = ("evaluation.json", "probe.json")
LARGEST = 16 << 20  # bytes


def read_measured(path: Path) -> dict[str, float]:
    """The finite numbers under ``measured`` in one such file. Raises LogError if it cannot be read or has none."""
    try:
        if path.stat().st_size > LARGEST:
            raise LogError(
                f"{path} is larger than {LARGEST >> 20} MiB: vaelab evaluate and vaelab probe write no such file."
            )
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise LogError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError):
        raise LogError(f"{path} is not whole JSON: write it again with vaelab evaluate or vaelab probe.") from None
    found = content.get("measured") if isinstance(content, dict) else None
    if not isinstance(found, dict):
        raise LogError(f'{path} has no "measured": it is not from vaelab evaluate or vaelab probe.')
    return {
        str(name): float(value)
        for name, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
    }


def add_measured(log: RawLog, folder: Path) -> None:
    """Put what was measured on a checkpoint of the run in ``folder`` into ``log``; a damaged file becomes a note."""
    for path in (folder / name for name in FILES):
        if not path.is_file():
            continue
        try:
            log.measured.update(read_measured(path))
        except LogError as error:
            log.notes.append(ReadNote("unreadable", 1, str(error)))
