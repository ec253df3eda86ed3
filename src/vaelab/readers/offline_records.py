"""JSON lines of an offline run, from the tracker's archive or from the folder that it is still writing to."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vaelab.errors import LogError
from vaelab.readers import archive
from vaelab.readers.magic import ZIP
from vaelab.readers.source import Source
from vaelab.run import ReadNote

BESIDE_LIMIT = 16 << 20


@contextmanager
def opened(source: Source, main: str) -> Iterator[OfflineRun]:
    """The run in ``source``: a zip archive with the file ``main`` in it, or that file itself.

    Raises LogError if the archive is broken or has no such file.
    """
    if source.head(4) != ZIP:
        yield OfflineRun(source, main, None)
        return
    with archive.opened(source) as members:
        if main not in members.namelist():
            raise LogError(f"{source.name} is a zip archive without {main} in it: it is not one of this tracker.")
        yield OfflineRun(source, main, members)


class OfflineRun:
    """The files of one offline run; ``bad_lines`` counts those of ``main`` that are no JSON, ``torn`` tells an unfinished last one."""

    def __init__(self, source: Source, main: str, members: Any) -> None:
        self._source, self._main, self._members = source, main, members
        self.bad_lines = 0
        self.torn = False

    def records(self) -> Iterator[tuple[int, Any]]:
        """``(line number, value)`` of every line of the main file."""
        self.bad_lines, self.torn = 0, False
        last_bad = number = 0
        for number, line in enumerate(self._lines(self._main), start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                self.bad_lines += 1
                last_bad = number
                continue
            yield number, value
        if number and last_bad == number:
            self.bad_lines, self.torn = self.bad_lines - 1, True

    def notes(self) -> list[ReadNote]:
        """What was left out of the main file."""
        notes = []
        if self.bad_lines:
            text = f"{self.bad_lines:,} lines are not JSON and were left out"
            notes.append(ReadNote("foreign_lines", self.bad_lines, text))
        if self.torn:
            notes.append(ReadNote("torn_line", 1, "the last line is unfinished and was left out"))
        return notes

    def beside(self, name: str) -> Any:
        """The JSON value in another file of the run; None if there is none or it is broken."""
        try:
            return json.loads(self.text_beside(name))
        except (ValueError, RecursionError):
            return None

    def text_beside(self, name: str) -> str:
        """Another file of the run, at most ``BESIDE_LIMIT`` characters; empty if there is none."""
        parts, size = [], 0
        try:
            for line in self._lines(name):
                parts.append(line.decode("utf-8", "replace"))
                size += len(line)
                if size > BESIDE_LIMIT:
                    break
        except (KeyError, LogError):
            return ""
        return "\n".join(parts)[:BESIDE_LIMIT]

    def _lines(self, name: str) -> Iterator[bytes]:
        if self._members is not None:
            yield from archive.lines(self._members, name, self._source)
            return
        if name == self._main:
            source = self._source
        elif self._source.path is not None:
            source = Source(self._source.path.parent / name)
        else:
            return
        rest = b""
        for chunk in source.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
        if rest:
            yield rest


def number_of(value: Any) -> float | None:
    """A JSON number, or NaN and infinities as text, as a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]
