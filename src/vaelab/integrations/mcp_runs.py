"""Which logs the MCP server may read, their ids, and their runs, kept until the files change."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vaelab import dialects
from vaelab.diagnosis import Diagnosis, diagnose
from vaelab.errors import LogError
from vaelab.integrations.mcp_text import quoted
from vaelab.readers.base import JoiningReader
from vaelab.readers.folder import candidates, run_folder
from vaelab.readers.groups import Group, Meter, groups_in
from vaelab.readers.registry import Wanted
from vaelab.readers.remote import copy_of, is_address
from vaelab.run import Run

KEPT_VALUES = 30_000_000
"""Numbers (8 bytes each) that stay in memory; the log used longest ago goes first, the last used one stays."""

REMOTE_SECONDS = 10.0
"""A remote folder is looked at no more often than this."""

RUN_ID = re.compile(r"run-[0-9a-f]{8}-[0-9a-f]{6}")

# What the readers read beside a log: settings, events, MLflow's values, rows that a database has not taken in yet.
_BESIDE = ("*.y*ml", "*.json*", "*-wal", "configs", "configs/*", "metrics", "metrics/**/*", "params", "params/*")

Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, eq=False)
class Log:
    """The files of one run (or of several runs in one file), read together.

    where: the run's folder, or the file that was asked for. version: tells the runs of one folder apart. name: ``where``, or
    the address of which it is a copy.
    """

    where: Path
    version: str
    group: Group
    name: str

    @property
    def id(self) -> str:
        """The first half of the ids of its runs; runs that share a folder share it."""
        return _digest(self.name, 8)

    @property
    def files(self) -> list[Path]:
        return [source.path for _, sources in self.group.views for source in sources if source.path is not None]

    @property
    def beside(self) -> list[Path]:
        """Other files and folders that the readers may look at."""
        folders = {self.where, *(file.parent for file in self.files)}
        return sorted({path for folder in folders if folder.is_dir() for name in _BESIDE for path in folder.glob(name)})

    @property
    def modified(self) -> float:
        """Time of the last change, seconds since 1970."""
        return max((mtime for *_, mtime in _stamp(self.files)), default=0) / 1e9

    def key(self, run: Run) -> str:
        """What tells ``run`` apart from the others in this log, whatever is added to the log later."""
        source = run.source.removesuffix("#1")  # the first run keeps its id when a second one starts in its log
        joined = any(isinstance(reader, JoiningReader) and reader.name == run.format for reader, _ in self.group.views)
        if joined:  # a resumed run writes one more file, and then has the folder's name
            number = re.search(r"#\d+$", source)
            return f"{run.format} {self.version}{number[0] if number else ''}"
        return source


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

    roots: folders or files that may be read, or addresses of these; links that lead out of them are refused.
    declared: settings that hold for all runs, laid over what the logs say.
    Raises LogError if a root does not exist or cannot be reached.
    """

    def __init__(self, roots: Sequence[str | Path], declared: Mapping[str, Any] | None = None) -> None:
        self._copies = {Path(copy.path): copy for copy in (copy_of(str(root)) for root in roots if is_address(root))}
        for copy in self._copies.values():
            copy.update()
        self._looked_at = time.monotonic()
        local = [Path(root).resolve() for root in roots if not is_address(root)]
        self.roots = tuple(dict.fromkeys([*local, *self._copies]))
        for root in self.roots:
            if not root.exists():
                raise LogError(f"{self._named(str(root))} does not exist: give folders that hold training logs.")
        self._declared = {**(declared or {}), **dialects.canonical_config(declared or {})}
        self._roles: Mapping[str, str] = self._declared.pop("roles", {})
        self._lock = threading.Lock()
        self._found: dict[Path, tuple[Stamp, list[Log], str]] = {}
        self._read: dict[tuple[Path, str], tuple[Stamp, list[KnownRun]]] = {}

    def logs(self) -> tuple[list[Log], list[str]]:
        """The logs, the last changed first, and one sentence on each that was refused. Only heads of files are read."""
        with self._lock:
            problems = self._look_again()
            parts = [self._logs_in(root) for root in self.roots]
        found = [log for logs, _ in parts for log in logs]
        problems += [problem for _, problem in parts if problem]
        refused = {log.group.name: problem for log in found if (problem := self._leads_out(log))}
        allowed = [log for log in found if log.group.name not in refused]
        return sorted(allowed, key=lambda log: (-log.modified, log.group.name)), [*problems, *refused.values()]

    def runs(self, log: Log) -> list[KnownRun]:
        """The runs in ``log`` as it is now. Raises LogError if it cannot be read."""
        with self._lock:
            place = (log.where, log.group.name)
            stamp = _stamp([*log.files, *log.beside])
            known = self._read.pop(place, None)
            if known is None or known[0] != stamp:
                known = (stamp, self._load(log))
            self._read[place] = known  # at the end: the last used
            self._forget()
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
            raise LogError(f"{quoted(self.shown(path))} holds {len(runs)} runs: choose one by its id ({ids}).")
        return runs[0]

    def shown(self, path: str | Path) -> str:
        """``path`` (with what may follow it) from its root on; the root's name is first where there are several."""
        path = Path(path)
        for root in self.roots:
            if path == root or root in path.parents:
                base = root.parent if len(self.roots) > 1 or path == root else root
                return path.relative_to(base).as_posix()
        return path.name

    def _look_again(self) -> list[str]:
        """Bring the copies of remote folders up to date, if that was not just done; one sentence on each that failed."""
        if not self._copies or time.monotonic() - self._looked_at < REMOTE_SECONDS:
            return []
        problems = []
        for copy in self._copies.values():
            try:
                copy.update()
            except LogError as error:
                problems.append(str(error))
        self._looked_at = time.monotonic()
        return problems

    def _named(self, text: str) -> str:
        """``text`` with addresses instead of paths in their copies."""
        for copy in self._copies.values():
            text = copy.named(text)
        return text

    def _logs_in(self, root: Path) -> tuple[list[Log], str]:
        """The logs at or below ``root``, and one sentence if there are none."""
        files = [root] if root.is_file() else candidates(root)
        _, logs, problem = self._found.get(root, ((), [], ""))
        if root not in self._found or self._found[root][0] != _stamp_of_search(files, logs):
            try:
                groups = groups_in(root, Wanted(), Meter(None))
                logs = [self._log(group, root) for group in groups if group.views]
                problem = " ".join(str(self._without_paths(g.problem, [root])) for g in groups if g.problem)
            except LogError as error:
                logs, problem = [], str(self._without_paths(error, [root]))
            self._found[root] = (_stamp_of_search(files, logs), logs, problem)
        return logs, problem

    def _log(self, group: Group, root: Path) -> Log:
        first = next(source.path for _, sources in group.views for source in sources if source.path is not None)
        where, version = (first, "") if root.is_file() else run_folder(first, root)
        return Log(where, version, group, self._named(str(where)))

    def _by_id(self, wanted: str) -> KnownRun:
        for log in self.logs()[0]:
            if log.id == wanted.split("-")[1]:
                for run in self.runs(log):
                    if run.id == wanted:
                        return run
        for path in (path.resolve() for root in self.roots for path in candidates(root) if self._is_inside(path)):
            if _digest(self._named(str(path)), 8) == wanted.split("-")[1]:
                for run in self._in_file(path):
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
        below = [log for log in self.logs()[0] if log.where == folder or folder in log.where.parents]
        if not below:
            raise LogError(f"There is no training log in {quoted(self.shown(folder))}: list_runs gives the logs.")
        return [run for log in below for run in self.runs(log)]

    def _in_file(self, path: Path) -> list[KnownRun]:
        """The runs in a file: those of its folder's log, or else (another view was read there) its own."""
        for log in self.logs()[0]:
            if path in log.files:
                runs = self.runs(log)
                # the second run of a text log is called train.log#2, a run in a database mlflow.db[name]
                own = [run for run in runs if re.fullmatch(re.escape(str(path)) + r"([#\[].*)?", run.run.source)]
                if own or len(runs) == 1:
                    return own or runs
        try:
            log = Log(path, "", groups_in(path, Wanted(), Meter(None))[0], self._named(str(path)))
        except LogError as error:
            raise self._without_paths(error, [path]) from None
        if problem := self._leads_out(log):
            raise LogError(problem)
        return self.runs(log)

    def _load(self, log: Log) -> list[KnownRun]:
        try:
            runs = log.group.read(Wanted(), self._roles)
        except LogError as error:
            self._found.clear()  # the file may be of another kind now
            raise self._without_paths(error, [*log.files, log.where]) from None
        known: dict[str, KnownRun] = {}
        for run in runs:
            key = self._named(log.key(run))
            while (name := f"run-{log.id}-{_digest(key, 6)}") in known:
                key += "'"
            notes = tuple(replace(note, text=self._named(note.text)) for note in run.notes)
            known[name] = KnownRun(name, replace(run, notes=notes).with_config(self._declared), log)
        return list(known.values())

    def _forget(self) -> None:
        values = {place: sum(len(k.run) * len(k.run.columns) for k in runs) for place, (_, runs) in self._read.items()}
        for place in list(self._read)[:-1]:
            if sum(values.values()) <= KEPT_VALUES:
                break
            del self._read[place], values[place]

    def _without_paths(self, error: LogError, paths: Sequence[Path]) -> LogError:
        """The same sentence with these paths cut to below the roots and marked as other people's text."""
        text = str(error)
        for path in paths:
            text = text.replace(str(path), quoted(self.shown(path)))
        return LogError(text)

    def _is_inside(self, path: Path) -> bool:
        real = path.resolve()
        return any(real == root or root in real.parents for root in self.roots)

    def _leads_out(self, log: Log) -> str:
        """One sentence if reading ``log`` would follow a link out of the roots, else an empty text."""
        for path in [*log.files, *log.beside]:
            if not self._is_inside(path):
                what = quoted(self.shown(path))
                return f"{quoted(self.shown(log.where))} was not read: {what} is a link that leads out of the folders."
        return ""


def _stamp_of_search(files: Sequence[Path], logs: Sequence[Log]) -> Stamp:
    """What a search for logs among ``files`` rests on: a log that grows stays one, any other file may become one."""
    known = {path for log in logs for path in log.files}
    return tuple((*entry[:2], 0, 0) if Path(entry[0]) in known else entry for entry in _stamp(files))


def _stamp(files: Iterable[Path]) -> Stamp:
    """Names, inodes, sizes and times of change (ns); a file that is gone is left out."""
    stamps = []
    for path in files:
        try:
            stat = path.stat()
        except OSError:
            continue
        stamps.append((str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(stamps)


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:length]
