"""Which logs the MCP server may read, their ids, and their runs, kept until the files change."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vaelab.diagnosis import Diagnosis, diagnose
from vaelab.errors import LogError
from vaelab.integrations.mcp_text import quoted
from vaelab.readers import SURE_ENOUGH, detect, read_all
from vaelab.readers.folder import candidates, is_event_file, run_folder
from vaelab.readers.source import Source
from vaelab.run import Run

KEPT_LOGS = 64
"""Logs whose runs stay in memory; the one used longest ago goes first."""

RUN_ID = re.compile(r"run-[0-9a-f]{8}-[0-9a-f]{6}")

Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Log:
    """The files of one run's folder (or one file), read together.

    whole: the folder can be read as one; otherwise other runs lie below it and each file is read alone.
    """

    path: Path
    files: tuple[Path, ...]
    whole: bool

    @property
    def id(self) -> str:
        return _digest(str(self.path), 8)

    @property
    def modified(self) -> float:
        """Time of the last change, seconds since 1970."""
        return max((mtime for _, _, mtime in _stamp(self.files)), default=0) / 1e9


@dataclass(frozen=True, eq=False)
class KnownRun:
    """A run with its id, which is made from the paths alone and so is the same after a restart."""

    id: str
    run: Run
    log: Log

    @cached_property
    def diagnosis(self) -> Diagnosis:
        return diagnose(self.run)


class RunStore:
    """The runs below some folders. Safe to use from several threads.

    roots: folders or files that may be read; links that lead out of them are refused.
    declared: settings that hold for all runs, laid over what the logs say.
    Raises LogError if a root does not exist.
    """

    def __init__(self, roots: Sequence[str | Path], declared: Mapping[str, Any] | None = None) -> None:
        self.roots = tuple(dict.fromkeys(Path(root).resolve() for root in roots))
        for root in self.roots:
            if not root.exists():
                raise LogError(f"{root} does not exist: give folders that hold training logs.")
        self._declared = dict(declared or {})
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[Stamp, list[KnownRun]]] = {}
        self._sniffed: dict[Path, tuple[Stamp, bool]] = {}

    def logs(self) -> tuple[list[Log], list[str]]:
        """The logs, the last changed first, and one sentence on each file that was refused. Reads only file heads."""
        found: dict[Path, set[Path]] = {}
        refused = []
        for root in self.roots:
            for path in [root] if root.is_file() else candidates(root):
                if not self._is_inside(path):
                    refused.append(
                        f"{quoted(self.shown(path))} is a link that leads out of the folders; it was not read."
                    )
                elif path == root:
                    found.setdefault(path, set()).add(path)
                elif self._is_log(path):
                    found.setdefault(run_folder(path, root)[0], set()).add(path)
        logs = []
        for where, files in found.items():
            if outside := self._settings_outside({where, *(file.parent for file in files)}):
                refused.append(
                    f"{quoted(self.shown(where))} was not read: its settings file {outside.name} leads out of the folders."
                )
                continue
            nested = any(where in other.parents for other in found)
            logs.append(Log(where, tuple(sorted(files)), where.is_dir() and not nested))
        return sorted(logs, key=lambda log: (-log.modified, log.path)), refused

    def runs(self, log: Log) -> list[KnownRun]:
        """The runs in ``log`` as it is now. Raises LogError if it cannot be read."""
        with self._lock:
            stamp = _stamp([*log.files, *_settings(log.path)])
            known = self._read.pop(log.path, None)
            if known is None or known[0] != stamp:
                known = (stamp, self._load(log))
            self._read[log.path] = known  # at the end: the last used
            while len(self._read) > KEPT_LOGS:
                del self._read[next(iter(self._read))]
            return known[1]

    def find(self, wanted: str) -> KnownRun:
        """The run with the id ``wanted``, or the only run in the file or folder of that path.

        Raises LogError if there is none, if there are several, or if the path lies outside of the roots.
        """
        if RUN_ID.fullmatch(wanted.strip()):
            return self._by_id(wanted.strip())
        path = self._inside(wanted)
        runs = self._in_folder(path) if path.is_dir() else self._in_file(path)
        if len(runs) > 1:
            ids = ", ".join(run.id for run in runs[:5]) + (", ..." if len(runs) > 5 else "")
            raise LogError(f"{self.shown(path)} holds {len(runs)} runs: choose one by its id ({ids}).")
        return runs[0]

    def shown(self, path: Path) -> str:
        """``path`` from its root on; the root's own name comes first where there are several roots."""
        for root in self.roots:
            if path == root or root in path.parents:
                base = root.parent if len(self.roots) > 1 or path == root else root
                return path.relative_to(base).as_posix()
        return path.name

    def source(self, known: KnownRun) -> str:
        """The path of a run's log from its root on, with ``#2`` for the second run in it."""
        path = _path_of(known.run.source)
        return self.shown(Path(path)) + known.run.source.removeprefix(path)

    def _by_id(self, wanted: str) -> KnownRun:
        for log in self.logs()[0]:
            if log.id == wanted.split("-")[1]:
                for run in self.runs(log):
                    if run.id == wanted:
                        return run
        raise LogError(f"No run has the id {wanted} now (its log may have moved): list_runs gives the ids.")

    def _inside(self, wanted: str) -> Path:
        """The path that is meant, with all links followed. Whether a path outside exists is not told."""
        bases = [base for root in self.roots for base in (root, root.parent)]
        try:
            inside = [p for p in ((base / wanted).resolve() for base in bases) if self._is_inside(p)]
        except (OSError, ValueError, RuntimeError):  # a loop of links, a null byte
            inside = []
        if not inside:
            folders = ", ".join(root.name or str(root) for root in self.roots)
            raise LogError(
                f"{wanted[:200]!r} is no run id and lies outside of the folders that may be read ({folders}): take an id"
                " from list_runs."
            )
        existing = [path for path in inside if path.is_file() or path.is_dir()]
        if not existing:
            raise LogError(f"{wanted[:200]!r} does not exist: list_runs gives the logs that do.")
        return existing[0]

    def _in_folder(self, folder: Path) -> list[KnownRun]:
        below = [log for log in self.logs()[0] if log.path == folder or folder in log.path.parents]
        if not below:
            raise LogError(f"There is no training log in {self.shown(folder)}: list_runs gives the logs.")
        return [run for log in below for run in self.runs(log)]

    def _in_file(self, path: Path) -> list[KnownRun]:
        for log in self.logs()[0]:
            if path in log.files:
                runs = self.runs(log)
                own = [run for run in runs if _path_of(run.run.source) == str(path)]
                if own or len(runs) == 1:
                    return own or runs
        if outside := self._settings_outside({path.parent}):
            raise LogError(
                f"{self.shown(path)} was not read: its settings file {outside.name} leads out of the folders."
            )
        return self.runs(Log(path, (path,), False))

    def _load(self, log: Log) -> list[KnownRun]:
        runs: list[Run] = []
        problems: list[LogError] = []
        for path in [log.path] if log.whole else log.files:
            try:
                runs += read_all(path, config=self._declared or None)
            except LogError as error:
                problems.append(self._without_paths(error, log))
        if not runs:
            raise problems[0]
        known: dict[str, KnownRun] = {}
        for run in runs:
            key = run.source.removesuffix("#1")  # a log in which a second run starts keeps the id of its first
            if is_event_file(Path(key)):
                key = str(Path(key).parent)  # a resumed run writes another event file beside the first
            while (name := f"run-{log.id}-{_digest(key, 6)}") in known:
                key += "'"
            known[name] = KnownRun(name, run, log)
        return list(known.values())

    def _without_paths(self, error: LogError, log: Log) -> LogError:
        """The same sentence with the log's paths cut to below the roots and marked as other people's text."""
        text = str(error)
        for path in (*log.files, log.path):
            text = text.replace(str(path), quoted(self.shown(path)))
        return LogError(text)

    def _is_inside(self, path: Path) -> bool:
        real = path.resolve()
        return any(real == root or root in real.parents for root in self.roots)

    def _settings_outside(self, folders: Iterable[Path]) -> Path | None:
        return next((path for folder in folders for path in _settings(folder) if not self._is_inside(path)), None)

    def _is_log(self, path: Path) -> bool:
        stamp = _stamp([path])
        known = self._sniffed.get(path)
        if known is None or known[0] != stamp:
            try:
                ranked = detect(Source(path))
            except LogError:  # empty, or not ours to read
                ranked = []
            known = self._sniffed[path] = (stamp, bool(ranked) and ranked[0][1] >= SURE_ENOUGH)
        return known[1]


def _settings(folder: Path) -> list[Path]:
    """Files that the readers may take settings from."""
    return [*folder.glob("*.y*ml"), *folder.glob("configs/*.y*ml")] if folder.is_dir() else []


def _stamp(files: Iterable[Path]) -> Stamp:
    """Names, sizes and times of change (ns); a file that is gone is left out."""
    stamps = []
    for path in files:
        try:
            stat = path.stat()
        except OSError:
            continue
        stamps.append((str(path), stat.st_size, stat.st_mtime_ns))
    return tuple(stamps)


def _path_of(source: str) -> str:
    return re.sub(r"#\d+$", "", source)


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:length]
