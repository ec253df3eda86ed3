"""Groups: the logs that belong to one run, and how its most telling view is read."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vaelab.errors import LogError
from vaelab.readers import folder as folders
from vaelab.readers.base import JoiningReader, RawLog, Reader, build_runs
from vaelab.readers.registry import READERS, SURE_ENOUGH, Wanted, choose, detect
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
    """The logs of one run: ``views`` are lists of ``(reader, files)``, the most telling first; one view is read."""

    name: str
    views: list[tuple[Reader, list[Source]]]
    meter: Meter
    in_folder: bool = False

    @np.errstate(all="ignore")  # a column may hold numbers whose sum or square no float holds
    def read(self, wanted: Wanted, roles: Mapping[str, str] | None = None) -> list[Run]:
        problems: list[LogError] = []
        for i, (reader, sources) in enumerate(self.views):
            try:
                runs_of_files = [
                    [run for log in logs for run in build_runs(log, wanted.trainer, roles)]
                    for logs in self._logs(reader, sources)
                ]
            except LogError as error:
                problems.append(error)
                continue
            runs = _without_copies(runs_of_files) if self.in_folder else [run for runs in runs_of_files for run in runs]
            if self.in_folder:
                notes = self._left_aside(i + 1, problems)
                runs = [replace(run, notes=(*run.notes, *notes)) for run in runs]
            return runs
        raise problems[0]

    def _left_aside(self, used: int, problems: list[LogError]) -> list[ReadNote]:
        """Notes on the other views of the run."""
        notes = [ReadNote("unreadable", 1, str(problem)) for problem in problems]
        aside = [source.name for _, sources in self.views[used:] for source in sources]
        if aside:
            text = f"other logs of the same run were left aside: {', '.join(aside)}"
            notes.append(ReadNote("left_aside", len(aside), text))
        return notes

    def _logs(self, reader: Reader, sources: list[Source]) -> list[list[RawLog]]:
        """The logs in each file; of files that are read together, one log."""
        if isinstance(reader, JoiningReader) and len(sources) > 1:
            logs_of_files = [reader.read_together(sources, self.name)]
            logs_of_files[0][0].notes.extend(note for source in sources for note in source.notes)
        else:
            logs_of_files = []
            for source in sources:
                found = reader.read(source)
                for log in found:
                    log.notes.extend(source.notes)
                logs_of_files.append(found)
        where = [source.path.parent for source in sources if source.path]
        if self.in_folder and where:
            where.append(Path(self.name))
        # the config stands beside the folder that holds one view of the run
        where += [folder.parent for folder in where if folders.VIEW_FOLDERS.match(folder.name)]
        declared, files = folders.declared_beside(where, every_yaml=self.in_folder)
        for log in (log for logs in logs_of_files for log in logs):
            if files:
                log.config = {**declared, **log.config}
                log.notes.append(ReadNote("config_file", len(files), f"config read from {', '.join(files)}"))
        return logs_of_files


def groups_in(path: str | Path, wanted: Wanted, meter: Meter, piped: bool = True) -> list[Group]:
    """The runs in ``path``: a file, a folder, a pattern, or ``-``; ``piped``: a pipe too. Raises LogError if there is no log."""
    if str(path) != "-" and Path(path).is_dir():
        return _folder_groups(Path(path), wanted, meter)
    if any(c in str(path) for c in "*?[") and not Path(path).exists():
        matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - the pattern may be absolute
        if not matches:
            raise LogError(f"no file matches {path}.")
        return [group for match in matches for group in groups_in(match, wanted, meter, piped=False)]
    source = meter.open(path, piped)
    return [Group(source.name, [(reader, [source]) for reader in choose(source, wanted)], meter)]


def _folder_groups(top: Path, wanted: Wanted, meter: Meter) -> list[Group]:
    """One group for each run below ``top``. Raises LogError if there is no log."""
    found: dict[tuple[Path, str], dict[str, list[Source]]] = {}
    looked_at = [] if top.name == ".aim" else folders.candidates(top)
    for path in looked_at:
        try:
            source = meter.open(path)
            ranked = detect(source)
        except LogError:
            continue  # empty, or not ours to read
        name = ranked[0][0] if ranked and ranked[0][1] >= SURE_ENOUGH else None
        if wanted.reader:
            name = wanted.reader.name if any(r[0] == wanted.reader.name for r in ranked) else None
        if name:
            found.setdefault(folders.run_folder(path, top), {}).setdefault(name, []).append(source)
    if not found and folders.is_aim_repository(top):
        raise LogError(
            f"{top} is a repository of Aim, which keeps its runs in RocksDB; vaelab does not read that. Export the runs "
            "as JSON lines with Aim's own Python interface: docs/reading-logs.md has the lines to run."
        )
    if not found:
        names = ", ".join(str(path.relative_to(top)) for path in looked_at[:5])
        looked = f"looked at {len(looked_at)} files ({names}{', ...' if len(looked_at) > 5 else ''})" if names else ""
        raise LogError(f"there is no training log in the folder {top}: {looked or 'no file has the name of a log'}.")
    merged: dict[tuple[Path, str], dict[str, list[Source]]] = {}
    for (where, version), by_reader in found.items():
        alike = {v for w, v in found if w == where and v and folders.is_version(v) == folders.is_version(version)}
        key = (where, version if len(alike) > 1 else "")
        for name, sources in by_reader.items():
            merged.setdefault(key, {}).setdefault(name, []).extend(sources)
    groups = []
    for (where, version), by_reader in merged.items():
        views = [(reader, by_reader[reader.name]) for reader in READERS if reader.name in by_reader]
        for reader, sources in views:
            if isinstance(reader, JoiningReader):
                sources.sort(key=reader.first_time)
        groups.append(Group(str(where / version), views, meter, in_folder=True))
    return groups


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
