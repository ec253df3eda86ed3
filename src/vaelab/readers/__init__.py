"""Readers: any training log -> Run. One file per log format; adding a format is one file and one entry in READERS."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vaelab import trainers
from vaelab.errors import LogError
from vaelab.readers import (
    delimited,
    json_lines,
    key_value,
    metric_logger,
    radiodiff_log,
    tensorboard,
    trainer_state,
    vaelab_run,
)
from vaelab.readers import folder as folders
from vaelab.readers.base import RawLog, Reader, build_runs
from vaelab.readers.source import Source
from vaelab.run import ReadNote, Run

__all__ = ["READERS", "detect", "read", "read_all"]

# The most telling view of a run first: this is the order of preference within one folder. A progress bar captured in
# a file rounds to three digits, so ``key_value`` comes after the trackers.
READERS: tuple[Reader, ...] = (
    vaelab_run.READER,
    metric_logger.READER,
    radiodiff_log.READER,
    delimited.READER,
    json_lines.READER,
    trainer_state.READER,
    tensorboard.READER,
    vaelab_run.CONSOLE_READER,
    key_value.READER,
    json_lines.PYRAMID_FLOW_READER,
)
ALIASES = {
    "tb": "tensorboard", "tfevents": "tensorboard", "tsv": "csv", "delimited": "csv", "jsonl": "json_lines",
    "json": "json_lines", "hf": "trainer_state", "text": "key_value", "tqdm": "key_value",
}  # fmt: skip
SURE_ENOUGH = 0.5  # below this a file in a folder is not taken for a log

Progress = Callable[[int, int | None], None]


def detect(source: Source) -> list[tuple[str, float, str]]:
    """``(reader name, confidence 0..1, what it reads)``, the surest first; readers that say 0 are left out."""
    head = source.head()
    binary = head.count(b"\0") > len(head) / 100  # a torn text log may have a few
    readers = (tensorboard.READER,) if binary else READERS
    found = [(reader.name, reader.sniff(head, source), reader.title) for reader in readers]
    return sorted((f for f in found if f[1] > 0), key=lambda f: -f[1])


def read(path: str | Path, format: str | None = None, config: Mapping[str, Any] | None = None) -> Run:
    """The one run in ``path`` (a log file, a run's folder, or ``-``).

    Raises LogError if it cannot be read or holds several runs.
    """
    runs = read_all(path, format, config)
    if len(runs) > 1:
        names = ", ".join(run.source for run in runs[:6]) + (", ..." if len(runs) > 6 else "")
        raise LogError(f"{path} holds {len(runs)} runs ({names}): use vaelab.readers.read_all, or give one of them.")
    return runs[0]


def read_all(
    paths: str | Path | Sequence[str | Path],
    format: str | None = None,
    config: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> list[Run]:
    """Every run in ``paths``: files (``.gz`` too), folders, patterns such as ``runs/*/train.log``, or ``-``.

    format: a reader's name, or a trainer's id (``pyramid-flow``), to use instead of what the log looks like.
    config: declared values, laid over what the log declares.
    progress: called with ``(bytes read, bytes in all)`` as the logs are read.
    Raises LogError where nothing can be read.
    """
    wanted = _Wanted.of(format)
    if isinstance(paths, (str, Path)):
        paths = [paths]
    meter = _Meter(progress)
    groups = [group for path in paths for group in _groups(path, wanted, meter)]
    if not groups:
        raise LogError("no log was given.")
    meter.total = sum(source.size or 0 for group in groups for source in group.views[0][1])
    runs = [run for group in groups for run in group.read(wanted)]
    if config:
        declared = {**config, **trainers.canonical_config(config)}
        runs = [run.with_config(declared) for run in runs]
    return runs


@dataclass(frozen=True)
class _Wanted:
    """What ``format`` asks for: one reader, or a trainer's conventions, or neither."""

    reader: Reader | None = None
    trainer: str | None = None

    @classmethod
    def of(cls, format: str | None) -> _Wanted:
        if format is None:
            return cls()
        name = format.strip().lower().replace("-", "_")
        name = ALIASES.get(name, name)
        for reader in READERS:
            if reader.name == name:
                return cls(reader=reader)
        if name in trainers.TRAINERS:
            return cls(trainer=name)
        known = ", ".join([*(reader.name for reader in READERS), *trainers.TRAINERS])
        raise LogError(f"there is no log format or trainer '{format}': choose one of {known}.")


@dataclass
class _Meter:
    """Adds up the bytes read from all sources."""

    progress: Progress | None
    done: int = 0
    total: int = 0

    def open(self, path: str | Path) -> Source:
        return Source(path, self.advance if self.progress else None)

    def advance(self, count: int) -> None:
        self.done += count
        if self.progress:
            self.progress(self.done, max(self.total, self.done))


@dataclass
class _Group:
    """The logs of one run: ``views`` are lists of ``(reader, files)``, the most telling first; one view is read."""

    name: str
    views: list[tuple[Reader, list[Source]]]
    meter: _Meter
    in_folder: bool = False

    def read(self, wanted: _Wanted) -> list[Run]:
        problems: list[LogError] = []
        for i, (reader, sources) in enumerate(self.views):
            try:
                logs = self._logs(reader, sources)
                runs = [run for log in logs for run in build_runs(log)]
            except LogError as error:
                problems.append(error)
                continue
            runs = _without_copies(runs) if self.in_folder else runs
            if self.in_folder:
                notes = self._left_aside(i + 1, problems)
                runs = [replace(run, notes=(*run.notes, *notes)) for run in runs]
            if wanted.trainer:
                reason = "the format that was asked for"
                runs = [
                    replace(run, trainer=wanted.trainer, trainer_confidence=1.0, trainer_reason=reason) for run in runs
                ]
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

    def _logs(self, reader: Reader, sources: list[Source]) -> list[RawLog]:
        if reader is tensorboard.READER and len(sources) > 1:
            prefixes = [folders.tag_prefix(s.path) if s.path else "" for s in sources]
            logs = tensorboard.READER.read_together(list(zip(prefixes, sources, strict=True)), self.name)
            logs[0].notes.extend(note for source in sources for note in source.notes)
        else:
            logs = []
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
        for log in logs:
            if files:
                log.config = {**declared, **log.config}
                log.notes.append(ReadNote("config_file", len(files), f"config read from {', '.join(files)}"))
        return logs


def _groups(path: str | Path, wanted: _Wanted, meter: _Meter) -> list[_Group]:
    if str(path) != "-" and Path(path).is_dir():
        return _folder_groups(Path(path), wanted, meter)
    if any(c in str(path) for c in "*?[") and not Path(path).exists():
        matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - the pattern may be absolute
        if not matches:
            raise LogError(f"no file matches {path}.")
        return [group for match in matches for group in _groups(match, wanted, meter)]
    source = meter.open(path)
    return [_Group(source.name, [(reader, [source]) for reader in _choose(source, wanted)], meter)]


def _choose(source: Source, wanted: _Wanted) -> list[Reader]:
    """The readers to try on a file that the user named, the likeliest first. Raises LogError if none fits."""
    if wanted.reader:
        return [wanted.reader]
    ranked = detect(source)
    if not ranked:
        head = source.head()
        kind = "a binary file" if b"\0" in head else "text without anything that looks like metrics"
        raise LogError(
            f"{source.name} looks like {kind}. vaelab reads: {'; '.join(r.title for r in READERS)}. "
            f"If it is one of these, say which with --format ({', '.join(r.name for r in READERS)})."
        )
    if ranked[0][1] >= SURE_ENOUGH:
        ranked = ranked[:1]
    by_name = {reader.name: reader for reader in READERS}
    return [by_name[name] for name, _, _ in ranked]


def _folder_groups(top: Path, wanted: _Wanted, meter: _Meter) -> list[_Group]:
    """One group for each run below ``top``. Raises LogError if there is no log."""
    found: dict[tuple[Path, str], dict[str, list[Source]]] = {}
    looked_at = folders.candidates(top)
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
    if not found:
        names = ", ".join(str(path.relative_to(top)) for path in looked_at[:5])
        looked = f"looked at {len(looked_at)} files ({names}{', ...' if len(looked_at) > 5 else ''})" if names else ""
        raise LogError(f"there is no training log in the folder {top}: {looked or 'no file has the name of a log'}.")
    groups = []
    versions = {where: {v for w, v in found if w == where and v} for where, _ in found}
    merged: dict[tuple[Path, str], dict[str, list[Source]]] = {}
    for (where, version), by_reader in found.items():
        key = (where, version if len(versions[where]) > 1 else "")
        for name, sources in by_reader.items():
            merged.setdefault(key, {}).setdefault(name, []).extend(sources)
    for (where, version), by_reader in merged.items():
        views = [(reader, by_reader[reader.name]) for reader in READERS if reader.name in by_reader]
        for reader, sources in views:
            if reader is tensorboard.READER:
                sources.sort(key=lambda s: tensorboard.READER.first_time(s))
        groups.append(_Group(str(where / version), views, meter, in_folder=True))
    return groups


def _without_copies(runs: list[Run]) -> list[Run]:
    """Drop a run that another file of the folder repeats value for value (train.log beside nohup.out)."""
    kept: list[Run] = []
    for run in runs:
        twin = next((other for other in kept if _same_run(run, other)), None)
        if twin is None:
            kept.append(run)
            continue
        note = ReadNote("left_aside", 1, f"{run.source} repeats {twin.source} and was left aside")
        kept[kept.index(twin)] = replace(twin, notes=(*twin.notes, note))
    return kept


def _same_run(a: Run, b: Run) -> bool:
    return (
        np.array_equal(a.steps, b.steps)
        and a.columns.keys() == b.columns.keys()
        and all(np.array_equal(a[name], b[name], equal_nan=True) for name in a)
    )
