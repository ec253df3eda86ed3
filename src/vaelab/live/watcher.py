"""Watcher: reads logs again as they grow and keeps one diagnosis for each run in them.

A poll of logs that have not changed costs one look at each file's size and time. A log that has changed is read as a whole,
but not more often than a share of the time allows, so the cost stays bounded for big logs.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vaelab.diagnosis import Diagnosis, diagnose
from vaelab.errors import LogError, NoLogError, VaelabError
from vaelab.live.changes import Change
from vaelab.live.places import Place, place_of
from vaelab.live.units import Signature
from vaelab.live.watched import MOST_CHANGES, WatchedRun
from vaelab.readers.registry import Wanted
from vaelab.readers.remote import is_address
from vaelab.run import Run

__all__ = ["BUDGET", "WatchedRun", "Watcher", "run_id"]

BUDGET = 0.2
"""Most that reading and diagnosing may take, as a share of the time."""

# train.log.1 beside train.log: an earlier part of the same log
_ROTATED = re.compile(r"(.+?)\.\d+(?:\.gz)?")
# the readers number the runs in one file: train.log#2
_NUMBERED = re.compile(r"#\d+$")


class Watcher:
    """Watches every run in ``paths``: log files, folders, patterns, addresses of these; a path may not exist yet.

    format, config: as for ``readers.read_all``. select, ignore: as for ``diagnosis.diagnose``. clock: seconds that only go
    forward. runs: the runs by id, in the order of the paths; a path without a run has an entry too, whose ``problem`` says
    what is waited for. Where a file holds several runs one after the other, the newest one is watched. on_read: called with
    the path of a log, or of a run's folder, before it is read.
    Raises LogError for standard input and for a format that does not exist.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        *,
        format: str | None = None,
        config: Mapping[str, Any] | None = None,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not paths:
            raise LogError("no log was given to watch.")
        if any(str(path) == "-" for path in paths):
            raise LogError("standard input cannot be watched: write the log to a file and watch that file.")
        Wanted.of(format)
        self._places = {place.name: place for place in (place_of(path, format) for path in paths)}
        self.paths = list(self._places)
        self.format, self.config = format, dict(config or {})
        self.select, self.ignore = tuple(select), tuple(ignore)
        self.runs: dict[str, WatchedRun] = {}
        self.on_read: Callable[[str], object] | None = None
        self._clock = clock
        self._rest_until = float("-inf")
        self._read: dict[str, Signature] = {}
        self._ids: dict[str, list[str]] = {}  # of the runs in each unit
        self._unread: set[str] = set()  # ids of what stands for logs in a folder that cannot be read
        self._may_grow = False

    def poll(self) -> list[Change]:
        """Read what has changed since the last poll and diagnose it. Never raises on what a log holds."""
        begun, before = self._clock(), {i: len(watched.history) for i, watched in self.runs.items()}
        if begun >= self._rest_until:
            self._may_grow = False
            known = [i for path in self.paths for i in self._poll_path(path)]
            self.runs = {i: self.runs[i] for i in dict.fromkeys(known)}
            self._ids = {unit: ids for unit, ids in self._ids.items() if all(i in self.runs for i in ids)}
            self._rest_until = begun + (self._clock() - begun) / BUDGET
        changes: list[Change] = []
        for i, watched in self.runs.items():
            watched.look_at_the_time()
            changes += watched.history[before.get(i, 0) :]
            del watched.history[:-MOST_CHANGES]
        return changes

    @property
    def all_finished(self) -> bool:
        """Every run has ended, and no path is a folder of several runs or a pattern, to which more may come."""
        ended = [watched.finished for i, watched in self.runs.items() if i not in self._unread]
        return bool(ended) and not self._may_grow and all(ended)

    def _poll_path(self, path: str) -> list[str]:
        """Ids of the runs in ``path``; reads those that have changed."""
        place = self._places[path]
        units, why = place.look_up()
        if place.unreachable:  # what is known of its runs stays, and is read again when the server answers
            ids = [i for unit in units for i in self._cannot(unit, why)]
            self._read = {unit: signature for unit, signature in self._read.items() if unit not in units}
            units = {}
            if ids:
                return ids
        self._may_grow |= list(units) != [path]
        if not units and path in self._ids:  # a log that is being rotated is away for a moment
            self._read.pop(path, None)
            return self._cannot(path, f"{path} is gone: waiting for it to come back.")
        for unit, signature in units.items():
            if signature == self._read.get(unit):
                continue
            self._read[unit] = signature
            if self.on_read is not None:
                self.on_read(unit)
            try:
                self._read_unit(place, unit, signature, [u for u in units if Path(unit) in Path(u).parents])
            except VaelabError as error:
                why = str(error)
                if unit not in self.paths and unit not in self._ids and not isinstance(error, NoLogError):
                    self._ids[unit] = [self._row_of_unread(unit)]
            except MemoryError:
                why = f"{unit} does not fit into memory (its values take about as much as the file)."
            except Exception as error:  # a reader that fails on one log must not end the watch of all others
                why = f"{unit} cannot be read, an error of vaelab's own ({type(error).__name__}: {error}): please report it."
            else:
                continue
            self._cannot(unit, why)
            # it is tried again, whether its files change or not, unless it may be no log at all
            if unit in self.paths or unit in self._ids:
                del self._read[unit]
        ids = [i for unit in units for i in self._ids.get(unit, [])]
        if ids:
            return ids
        waiting = self.runs.setdefault(run_id(path), WatchedRun.new(run_id(path), path))
        waiting.cannot(why)
        return [waiting.id]

    def _read_unit(self, place: Place, unit: str, signature: Signature, inside: Sequence[str]) -> None:
        """Read a log, or the folder of one run, and diagnose the runs in it. inside: units in its folder."""
        runs = [run for run in place.read(unit, self.format, self.config) if len(run)]
        own = [run for run in runs if not any(run.source.startswith(f"{other}/") for other in inside)]
        found = {_NUMBERED.sub("", run.source): run for run in own}
        newest = {s: run for s, run in found.items() if not self._is_rotated(s, found)}
        changed_at = min(time.time(), max(entry[3] for entry in signature) / 1e9)
        for source, run in newest.items():
            i = run_id(source)
            self.runs.setdefault(i, WatchedRun.new(i, source)).take(run, changed_at, self._diagnose)
        here = list(map(run_id, newest))
        unread = list(dict.fromkeys(note.text for run in runs for note in run.notes if note.kind == "unreadable"))
        if unread:
            i = self._row_of_unread(f"{unit} (unread)")
            more = f" ({len(unread) - 1:,} others cannot be read either)" if len(unread) > 1 else ""
            self.runs[i].cannot(unread[0] + more)
            here.append(i)
        before = [i for i in self._ids.get(unit, []) if i not in here and i not in self._unread]
        gone = [i for i in before if not place.exists(self.runs[i].source)]
        for i in gone:
            self.runs[i].cannot(f"{self.runs[i].source} is gone: waiting for it to come back.")
        self._ids[unit] = [*here, *gone]

    def _row_of_unread(self, source: str) -> str:
        """Id of the entry that stands for logs that cannot be read, beside those that can."""
        i = run_id(source)
        self.runs.setdefault(i, WatchedRun.new(i, source))
        self._unread.add(i)
        return i

    def _is_rotated(self, source: str, found: Mapping[str, Run]) -> bool:
        """Whether it is an earlier part of another log (train.log.1 of train.log)."""
        part = _ROTATED.fullmatch(source)
        return part is not None and (part[1] in found or run_id(part[1]) in self.runs)

    def _cannot(self, unit: str, problem: str) -> list[str]:
        """Tell the runs of the unit; returns their ids."""
        for i in self._ids.get(unit, []):
            self.runs[i].cannot(problem)
        return self._ids.get(unit, [])

    def _diagnose(self, run: Run) -> Diagnosis:
        return diagnose(run, select=self.select, ignore=self.ignore)


def run_id(source: str) -> str:
    """A short id of a log: the end of its path in ``a-z0-9-`` and a hash of all of it, as ``run-b-train-log-3f2a91c0``."""
    path = Path(source) if is_address(source) else Path(source).absolute()
    words = re.sub(r"[^a-z0-9]+", "-", "-".join(path.parts[-2:]).lower()).strip("-")[-40:].strip("-")
    return f"run-{words}-{hashlib.sha256(str(path).encode('utf-8', 'surrogateescape')).hexdigest()[:8]}".replace(
        "--", "-"
    )
