"""Readers: any training log -> Run. One file per log format, listed in ``vaelab.readers.registry``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vaelab import trainers
from vaelab.errors import LogError
from vaelab.readers.groups import Meter, Progress, groups_in
from vaelab.readers.registry import READERS, Wanted, detect
from vaelab.readers.remote import local_copies, shown
from vaelab.run import ReadNote, Run

__all__ = ["READERS", "detect", "read", "read_all"]


def read(path: str | Path, format: str | None = None, config: Mapping[str, Any] | None = None) -> Run:
    """The one run in ``path`` (a log file, a run's folder, or ``-``).

    Raises LogError if it cannot be read or holds several runs.
    """
    runs = read_all(path, format, config)
    if len(runs) > 1:
        names = ", ".join(run.source for run in runs[:6]) + (", ..." if len(runs) > 6 else "")
        raise LogError(
            f"{shown(str(path))} holds {len(runs)} runs ({names}): use vaelab.readers.read_all, or give one of them."
        )
    return runs[0]


def read_all(
    paths: str | Path | Sequence[str | Path],
    format: str | None = None,
    config: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> list[Run]:
    """Every run in ``paths``: files (``.gz`` too), folders, patterns such as ``runs/*/train.log``, addresses such as
    ``s3://bucket/runs/``, or ``-``.

    format: a reader's name, or a trainer's id (``pyramid-flow``), to use instead of what the log looks like.
    config: declared values, laid over what the log declares.
    progress: called with ``(bytes read, bytes in all)`` as the logs are read.
    Raises LogError where nothing can be read.
    """
    wanted = Wanted.of(format)
    if isinstance(paths, (str, Path)):
        paths = [paths]
    with local_copies(paths, wanted.reader is not None, progress) as (local, named):
        runs = named(_read_local(local, wanted, progress))
    if config:
        declared = {**config, **trainers.canonical_config(config)}
        runs = [run.with_config(declared) for run in runs]
    return runs


def _read_local(paths: Sequence[str | Path], wanted: Wanted, progress: Progress | None) -> list[Run]:
    meter = Meter(progress)
    groups = [group for path in paths for group in groups_in(path, wanted, meter)]
    if not groups:
        raise LogError("no log was given.")
    meter.total = sum(source.size or 0 for group in groups for source in group.views[0][1])
    runs: list[Run] = []
    problems: list[LogError] = []
    for group in groups:
        try:
            runs += group.read(wanted)
        except LogError as error:
            if not group.in_folder:
                raise
            problems.append(error)  # one of the runs below a folder: the others can still be read
    if problems and not runs:
        raise problems[0]
    if problems:
        unread = [ReadNote("unreadable", 1, str(problem)) for problem in problems]
        runs[0] = replace(runs[0], notes=(*runs[0].notes, *unread))
    return runs
