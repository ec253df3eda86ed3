"""The columns of a run under canonical names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from vaelab.readers.base import BoolArray, RawColumn, same
from vaelab.roles import NamedValues, assign
from vaelab.run import Column, ReadNote


def canonical_columns(
    columns: list[RawColumn], of_trainer: Mapping[str, str], title: str, given: Mapping[str, str]
) -> tuple[dict[str, Column], list[ReadNote]]:
    """Columns under canonical names. Of several that would have one name, the surest gets it, then the one spelled so.

    of_trainer: what this trainer means by its names. title: of the trainer, empty where it is unknown.
    """
    named: dict[str, Column] = {}
    notes: list[ReadNote] = []
    printed = [np.where(c.logged, c.values, np.nan) for c in columns]
    assigned = assign(
        [NamedValues(c.original, v) for c, v in zip(columns, printed, strict=True)], of_trainer, title, given
    )
    order = sorted(
        range(len(columns)),
        key=lambda i: (assigned[i].order, not _spelled_out(columns[i].original, assigned[i].metric), i),
    )
    position: dict[str, int] = {}
    for i in order:
        column, name = columns[i], assigned[i].metric
        if name in named:
            kept = named[name]
            both = kept.logged & column.logged
            if _agree(kept, column, both):
                only_here = column.logged & ~kept.logged
                if only_here.any():
                    named[name] = _fill(kept, column, only_here)
                    text = f"'{column.original}' and '{kept.original}' are one metric logged on different rows; merged"
                    notes.append(ReadNote("merged_column", int(only_here.sum()), text))
                else:
                    text = f"'{column.original}' repeats '{kept.original}' and was left out"
                    notes.append(ReadNote("duplicate_column", int(both.sum()), text))
                continue
            name = _free_name(_own_name(column.original), named)
        named[name] = Column(
            name,
            column.original,
            printed[i],
            column.logged,
            column.lines,
            column.decimals,
            column.smoothing,
            column.epoch_mean,
            assigned[i].role,
        )
        position[name] = i
    return dict(sorted(named.items(), key=lambda item: position[item[0]])), notes


def printable(name: str) -> str:
    """The name without what a terminal would obey or could not show: control characters, half surrogates of JSON."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in name)


def _spelled_out(original: str, metric: str) -> bool:
    """Whether the log's name is the canonical one but for its prefix."""
    stem = original.strip().lower().removesuffix("_step").rpartition("/")[2]
    return stem == metric.rpartition("/")[2]


def _own_name(original: str) -> str:
    return "_".join(original.strip().lower().split())


def _free_name(name: str, taken: Mapping[str, Column]) -> str:
    number, free = 2, name
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free


def _agree(kept: Column, column: RawColumn, both: BoolArray) -> bool:
    """Whether the two print the same numbers where both do, up to the rounding of the coarser one."""
    a, b = kept.values[both], column.values[both]
    printed = [d for d in (kept.decimals, column.decimals) if d is not None]
    unit = 10.0 ** -min(printed) if printed else 0.0
    if kept.decimals == column.decimals:
        unit = 0.0
    with np.errstate(invalid="ignore"):
        return bool(np.all(same(a, b) | (np.abs(a - b) <= unit / 2)))


def _fill(kept: Column, column: RawColumn, rows: BoolArray) -> Column:
    lines = kept.lines
    if lines is not None and column.lines is not None:
        lines = np.where(rows, column.lines, lines)
    mean = kept.epoch_mean
    if mean is not None and column.epoch_mean is not None:
        mean = np.where(rows, column.epoch_mean, mean)
    return replace(
        kept,
        values=np.where(rows, column.values, kept.values),
        logged=kept.logged | rows,
        lines=lines,
        epoch_mean=mean,
    )
