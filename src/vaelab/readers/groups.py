"""Groups: the logs that belong to one run, and how its most telling view is read."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vaelab.errors import LogError, NoLogError, VaelabError
from vaelab.processes import own_error
from vaelab.readers import folder as folders
from vaelab.readers.base import JoiningReader, RawLog, Reader
from vaelab.readers.building import build_runs
from vaelab.readers.registry import READERS, SURE_ENOUGH, TEXT_READERS, Wanted, choose, detect
from vaelab.readers.source import Source
from vaelab.run import ReadNote, Run

Progress = Callable[[int, int | None], None]


@dataclass
class Meter:
    """Adds up the bytes read from all sources."""

    progress: Progress | None
    done: int = 0
    total: int = 0

    def open(self, path: str | Path, piped: bool = False) -> Source:
        return Source(path, self.advance if self.progress else None, piped)

    def advance(self, count: int) -> None:
        self.done += count
        if self.progress:
            self.progress(self.done, max(self.total, self.done))


@dataclass
class Group:
    """The logs of one run: ``views`` are lists of ``(reader, files)``, the most telling first; one view is read.

    named: the user named this very file, so that it is an error if it cannot be read. problem: why there is no view.
    """

    name: str
    views: list[tuple[Reader, list[Source]]]
    in_folder: bool = False
    named: bool = True
    problem: LogError | None = None

    @property
    def size(self) -> int:
        """Bytes of the view that is read first, as they are stored."""
        return sum(source.size or 0 for _, sources in self.views[:1] for source in sources)

    @property
    def on_disk(self) -> bool:
        """Whether all of it has a path, and so can be read in another process."""
        return all(source.path is not None for _, sources in self.views for source in sources)

    @np.errstate(all="ignore")  # a column may hold numbers whose sum or square no float holds
    def read(self, wanted: Wanted, roles: Mapping[str, str] | None = None) -> list[Run]:
        """The runs in it. Raises LogError if none can be read, ConfigError as ``build_runs``."""
        problems = [self.problem] if self.problem else []
        runs_of_files: list[list[Run]] = []
        used = 0
        for view, (reader, sources) in enumerate(self.views, start=1):
            found, failed = self._runs(reader, sources, wanted, roles)
            problems += failed
            if found and (
                not failed or not used
            ):  # a view that is whole is better than one of which a file cannot be read
                runs_of_files, used = found, view
            if found and not failed:
                break
        if not used:
            raise problems[0]
        if not self.in_folder:
            return [run for runs in runs_of_files for run in runs]
        notes = self._left_aside(used, problems)
        return [replace(run, notes=(*run.notes, *notes)) for run in _without_copies(runs_of_files)]

    def _runs(
        self, reader: Reader, sources: list[Source], wanted: Wanted, roles: Mapping[str, str] | None
    ) -> tuple[list[list[Run]], list[LogError]]:
        """The runs in each file of a view (of files that are read together, one list), and what cannot be read."""
        joined = isinstance(reader, JoiningReader) and len(sources) > 1
        found: list[list[Run]] = []
        failed: list[LogError] = []
        for part in [sources] if joined else [[source] for source in sources]:
            try:
                logs = self._logs(reader, part)
                found.append([run for log in logs for run in build_runs(log, wanted.trainer, roles)])
            except LogError as error:
                failed.append(error)
            except Exception as error:
                if not self.in_folder or isinstance(error, VaelabError):
                    raise
                failed.append(own_error(part[0].name, error))
        return found, failed

    def _left_aside(self, used: int, problems: list[LogError]) -> list[ReadNote]:
        """Notes on the other views of the run."""
        notes = [ReadNote("unreadable", 1, str(problem)) for problem in problems]
        aside = [source.name for _, sources in self.views[used:] for source in sources]
        if aside:
            text = f"other logs of the same run were left aside: {', '.join(aside)}"
            notes.append(ReadNote("left_aside", len(aside), text))
        return notes

    def _logs(self, reader: Reader, sources: list[Source]) -> list[RawLog]:
        """The logs in a file, or the one in several that are read together."""
        if len(sources) > 1 and isinstance(reader, JoiningReader):
            logs = reader.read_together(sources, self.name)
            for log in logs:
                log.notes.extend(note for source in sources for note in source.notes)
        else:
            logs = []
            if reader.name in TEXT_READERS:
                from vaelab.readers.interleaved import sources_of_runs

                sources = list(sources_of_runs(sources[0]))
            for source in sources:
                found = reader.read(source)
                for log in found:
                    log.notes.extend(source.notes)
                logs += found
        where = [source.path.parent for source in sources if source.path]
        if self.in_folder and where:
            where.append(Path(self.name))
        # the config stands beside the folder that holds one view of the run
        where += [folder.parent for folder in where if folders.VIEW_FOLDERS.match(folder.name)]
        declared, files = folders.declared_beside(where, every_yaml=self.in_folder)
        for log in logs if files else ():
            log.config = {**declared, **log.config}
            log.notes.append(ReadNote("config_file", len(files), f"config read from {', '.join(files)}"))
        return logs


def groups_in(path: str | Path, wanted: Wanted, meter: Meter) -> list[Group]:
    """The runs in ``path``: a file, a folder, a pattern, or ``-``. Raises LogError if there is no log."""
    if str(path) != "-" and Path(path).is_dir():
        return _folder_groups(Path(path), wanted, meter)
    if any(c in str(path) for c in "*?[") and not Path(path).exists():
        matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - the pattern may be absolute
        if not matches:
            raise LogError(f"no file matches {path}.")
        return [group for match in matches for group in _matched_groups(match, wanted, meter)]
    source = meter.open(path, piped=True)
    return [Group(source.name, [(reader, [source]) for reader in choose(source, wanted)])]


def _matched_groups(match: str, wanted: Wanted, meter: Meter) -> list[Group]:
    """The runs in one match of a pattern. What cannot be read is a group with a problem."""
    if Path(match).is_dir():
        try:
            return _folder_groups(Path(match), wanted, meter)
        except LogError as error:
            return [Group(match, [], named=False, problem=error)]
    try:
        source = meter.open(match)
        return [Group(match, [(reader, [source]) for reader in choose(source, wanted)], named=False)]
    except LogError as error:
        return [Group(match, [], named=False, problem=error)]


def _folder_groups(top: Path, wanted: Wanted, meter: Meter) -> list[Group]:
    """One group for each run below ``top``. Raises LogError if there is no log."""
    found: dict[tuple[Path, str], dict[str, list[Source]]] = {}
    failed: list[Group] = []
    looked_at = [] if top.name == ".aim" else folders.candidates(top)
    for path in looked_at:
        try:
            source = meter.open(path)
            name = _reader_of(source, wanted)
        except LogError:
            continue  # empty, or not ours to read
        except Exception as error:
            failed.append(Group(str(path), [], in_folder=True, named=False, problem=own_error(str(path), error)))
            continue
        if name:
            found.setdefault(folders.run_folder(path, top), {}).setdefault(name, []).append(source)
    if not found and folders.is_aim_repository(top):
        raise LogError(
            f"{top} is a repository of Aim, which keeps its runs in RocksDB; vaelab does not read that. Export the runs "
            "as JSON lines with Aim's own Python interface: docs/reading-logs.md has the lines to run."
        )
    if not found and not failed:
        names = ", ".join(str(path.relative_to(top)) for path in looked_at[:5])
        looked = f"looked at {len(looked_at)} files ({names}{', ...' if len(looked_at) > 5 else ''})" if names else ""
        raise NoLogError(f"there is no training log in the folder {top}: {looked or 'no file has the name of a log'}.")
    merged: dict[tuple[Path, str], dict[str, list[Source]]] = {}
    versions: dict[tuple[Path, bool], set[str]] = {}
    for where, version in found:
        versions.setdefault((where, folders.is_version(version)), set()).update([version] if version else [])
    for (where, version), by_reader in found.items():
        key = (where, version if len(versions[where, folders.is_version(version)]) > 1 else "")
        for name, sources in by_reader.items():
            merged.setdefault(key, {}).setdefault(name, []).extend(sources)
    groups = []
    for (where, version), by_reader in merged.items():
        views = [(listed.load(), by_reader[listed.name]) for listed in READERS if listed.name in by_reader]
        for reader, sources in views:
            if isinstance(reader, JoiningReader):
                sources.sort(key=reader.first_time)
        groups.append(Group(str(where / version), views, in_folder=True, named=False))
    return [*groups, *failed]


def _reader_of(source: Source, wanted: Wanted) -> str | None:
    """The name of the reader that a file in a folder is for, None if it is no log."""
    if wanted.reader:
        return wanted.reader.name if wanted.reader.sniff(source.head(), source) > 0 else None
    ranked = detect(source)
    return ranked[0][0] if ranked and ranked[0][1] >= SURE_ENOUGH else None


def _without_copies(runs_of_files: list[list[Run]]) -> list[Run]:
    """Drop a run that another file of the folder repeats value for value (train.log beside nohup.out)."""
    kept: list[Run] = []
    for runs in runs_of_files:
        before = len(kept)
        for run in runs:
            twin = next((i for i in range(before) if _same_run(run, kept[i])), None)
            if twin is None:
                kept.append(run)
            else:
                note = ReadNote("left_aside", 1, f"{run.source} repeats {kept[twin].source} and was left aside")
                kept[twin] = replace(kept[twin], notes=(*kept[twin].notes, note))
    return kept


def _same_run(a: Run, b: Run) -> bool:
    return (
        np.array_equal(a.steps, b.steps)
        and a.columns.keys() == b.columns.keys()
        and all(np.array_equal(a[name], b[name], equal_nan=True) for name in a)
    )
