"""Numbers measured on a checkpoint: ``evaluation.json`` of ``vaelab evaluate``, ``probe.json`` of ``vaelab probe``.

Both hold ``{"measured": {name: number, ...}, ...}``. They stand beside the log of the run that the checkpoint belongs to.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from vaelab.errors import LogError
from vaelab.files import read_text
from vaelab.readers.base import RawLog
from vaelab.run import ReadNote

FILES = ("evaluation.json", "probe.json")


def read_measured(path: Path) -> dict[str, float]:
    """The finite numbers under ``measured`` in one such file. Raises LogError if it cannot be read or has none."""
    return _numbers(_content(path))


def add_measured(log: RawLog, folder: Path) -> None:
    """Put what was measured on a checkpoint of the run in ``folder`` into ``log``, with a note that says on which one;
    a damaged file becomes a note."""
    for path in (folder / name for name in FILES):
        if not path.is_file():
            continue
        try:
            content = _content(path)
        except LogError as error:
            log.notes.append(ReadNote("unreadable", 1, str(error)))
            continue
        numbers = _numbers(content)
        log.measured.update(numbers)
        of = [str(content[key])[:200] for key in ("checkpoint", "data") if content.get(key)]
        where = f", measured on {', '.join(of)}" if of else ""
        log.notes.append(ReadNote("measured", len(numbers), f"{len(numbers)} numbers of {path.name}{where}"))


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
    except OSError as error:
        raise LogError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError):
        raise LogError(f"{path} is not whole JSON: write it again with vaelab evaluate or vaelab probe.") from None
    if not isinstance(content, dict) or not isinstance(content.get("measured"), dict):
        raise LogError(f'{path} has no "measured": it is not from vaelab evaluate or vaelab probe.')
    return content


def _numbers(content: dict[str, Any]) -> dict[str, float]:
    """Finite ones only; an integer beyond the largest float is none."""
    return {
        name: float(value)
        for name, value in content["measured"].items()
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    }
