"""Readers: any training log -> Run. One file per log format, listed in ``vaelab.readers.registry``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from vaelab import dialects
from vaelab.errors import ConfigError, LogError
from vaelab.processes import cores_for, each
from vaelab.readers.declared import check_declared, check_values, mapping_of
from vaelab.readers.groups import Group, Meter, Progress, groups_in
from vaelab.readers.registry import READERS, Wanted, detect
from vaelab.readers.remote import local_copies, shown
from vaelab.roles import parse_map
from vaelab.run import ReadNote, Run

__all__ = ["READERS", "detect", "read", "read_all"]

# what reading takes at least, for the choice between one process and several
SECONDS_A_LOG = 0.01
BYTES_A_SECOND = 50e6


def read(
    path: str | Path,
    format: str | None = None,
    config: Mapping[str, Any] | None = None,
    roles: Mapping[str, str] | None = None,
) -> Run:
    """The one run in ``path`` (a log file, a run's folder, or ``-``).

    roles: what columns are, as in ``{"l_g_pix": "reconstruction"}``: a role or a metric; it wins over what vaelab makes of the name.
    Raises LogError if it cannot be read or holds several runs, ConfigError if a role or a column of ``roles`` is unknown.
    """
    runs = read_all(path, format, config, roles=roles)
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
    roles: Mapping[str, str] | None = None,
    spread: bool = False,
) -> list[Run]:
    """Every run in ``paths``: files (``.gz`` too), folders, patterns such as ``runs/*/train.log``, addresses such as
    ``s3://bucket/runs/``, or ``-``.

    format: a reader's name, or a trainer's id (``pyramid-flow``), to use instead of what the log looks like.
    config: declared values, laid over what the log declares. roles: as in ``read``.
    progress: called with ``(bytes read, bytes in all)`` as the logs are read. spread: many logs are read on all cores, in
    processes of their own.
    Raises LogError where nothing can be read, ConfigError where ``roles`` or ``config`` do not fit the log (ArgumentError, which
    is a ValueError too, where they are of another kind than they should be).
    """
    wanted = Wanted.of(format)
    config = mapping_of(config, "config", "{'kl_weight': 1e-6}")
    canonical = dialects.canonical_config(config)
    check_values(canonical)
    given = mapping_of(roles, "roles", "{'l_g_pix': 'reconstruction'}")
    roles = parse_map(f"{column}={role}" for column, role in {**_roles_in(config), **given}.items())
    if isinstance(paths, (str, Path)):
        paths = [paths]
    with local_copies(paths, wanted.reader is not None, progress) as (local, named):
        runs = named(_read_local(local, wanted, progress, roles, spread))
    _check_columns(roles, runs)
    if config:
        declared = {**config, **canonical}
        declared.pop("roles", None)
        for run in runs:
            check_declared(declared, run)
        runs = [run.with_config(declared) for run in runs]
    return runs


def _read_local(
    paths: Sequence[str | Path], wanted: Wanted, progress: Progress | None, roles: Mapping[str, str], spread: bool
) -> list[Run]:
    meter = Meter(progress)
    groups = [group for path in paths for group in groups_in(path, wanted, meter)]
    if not groups:
        raise LogError("no log was given.")
    meter.total = sum(group.size for group in groups)
    if len(groups) == 1 and groups[0].named:
        return groups[0].read(wanted, roles)
    seconds = SECONDS_A_LOG * len(groups) + meter.total / BYTES_A_SECOND
    processes = cores_for(len(groups), seconds) if spread and all(group.on_disk for group in groups) else 1

    def done(group: Group) -> None:
        if processes > 1:  # other processes cannot tell how far they are
            meter.advance(group.size)

    found = each(partial(_read_group, wanted=wanted, roles=roles), groups, attrgetter("name"), processes, done)
    for group, result in zip(groups, found, strict=True):
        if group.named and isinstance(result, LogError):
            raise result
    problems = [result for result in found if isinstance(result, LogError)]
    runs = [run for result in found if not isinstance(result, LogError) for run in result]
    if problems and not runs:
        raise problems[0]
    return _with_problems(runs, problems)


def _read_group(group: Group, wanted: Wanted, roles: Mapping[str, str]) -> list[Run]:
    return group.read(wanted, roles)


def _with_problems(runs: Sequence[Run], problems: Sequence[LogError]) -> list[Run]:
    """The runs, the first with a note on each log that could not be read beside them."""
    if not problems:
        return list(runs)
    unread = [ReadNote("unreadable", 1, str(problem)) for problem in problems]
    return [replace(runs[0], notes=(*runs[0].notes, *unread)), *runs[1:]]


def _roles_in(config: Mapping[str, Any]) -> Mapping[str, str]:
    """``roles: {column: role}`` of a settings file."""
    found = config.get("roles", {})
    return found if isinstance(found, Mapping) else {}


def _check_columns(roles: Mapping[str, str], runs: Sequence[Run]) -> None:
    """Raise ConfigError if a column that was given a role is in none of the runs."""
    columns = {c.original: dialects.bare_name(c.original) for run in runs for c in run.columns.values()}
    for name in roles:
        if dialects.bare_name(name) not in columns.values():
            from difflib import get_close_matches

            near = get_close_matches(name, columns, 1)
            known = ", ".join(list(columns)[:12]) + (", ..." if len(columns) > 12 else "")
            hint = f" Did you mean {near[0]}?" if near else f" It has {known}."
            raise ConfigError(f"--map {name}={roles[name]}: the log has no column '{name}'.{hint}")
