"""Records (named values, maybe nested) put together to a table, column by column for records with the same keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vaelab.readers.base import BoolArray, flatten
from vaelab.readers.counters import is_count
from vaelab.readers.lexer import is_missing, number_in
from vaelab.readers.table import NOT_METRICS, Table
from vaelab.run import FloatArray, IntArray, ReadNote

CONFIG_KEYS = frozenset(("config", "args", "hparams", "hyperparameters", "_config"))
SPLIT_KEYS = ("mode", "split", "phase", "stage", "subset")
NAME_KEYS = ("metric", "metric_name", "name", "tag", "key")  # of records that hold one number each, under "value"
SPLITS = {
    "train": "", "training": "", "fit": "",
    "val": "val/", "valid": "val/", "validation": "val/", "eval": "val/", "evaluation": "val/", "dev": "val/",
    "test": "test/", "testing": "test/",
}  # fmt: skip
_NUMBERS = {float, int}


def number_of(value: Any) -> float | None:
    """The number in a value of a record: itself, as text, or alone in a list; None if there is none.

    An integer beyond the largest float is infinite, as ``1e999`` is.
    """
    kind = type(value)
    if kind is float:
        return value
    if kind is int:
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    if kind is str:
        return number_in(value)
    if kind is list and len(value) == 1 and type(value[0]) is not list:
        return number_of(value[0])
    return None


def numbers_in(record: Mapping[str, Any]) -> list[tuple[str, float]]:
    """``(name, value)`` of every number in a record; nested names are joined with ``/``."""
    if dict in map(type, record.values()):
        record = flatten(record, "/")
    return [(name, number) for name, value in record.items() if (number := number_of(value)) is not None]


def prefix_of_split(value: str) -> str:
    """What the names of a record get in front whose ``mode`` or ``split`` is ``value``; nothing for training."""
    return SPLITS.get(value.strip().lower(), "")


def with_prefix(prefix: str, name: str) -> str:
    """The name under ``prefix``, but for counts and what says itself to which split it belongs."""
    if not prefix:
        return name
    plain = name.strip().lower()
    known = is_count(name) or plain in NOT_METRICS or plain.startswith((prefix.rstrip("/"), "eval"))
    return name if known else prefix + name


@dataclass
class _Cells:
    """Cells of one column in one batch: positions (n,) in the batch, values (n,)."""

    name: str
    where: IntArray
    values: FloatArray


@dataclass
class RecordColumns:
    """Collects records. A record with a number that is no count is a row.

    config: settings that records declare. lists: what came as lists of values in one object before any row.
    no_numbers: how many values under each name are no numbers. averages: records that only sum a run up.
    of_split: rows of another split than training.
    """

    table: Table = field(default_factory=Table)
    config: dict[str, Any] = field(default_factory=dict)
    lists: dict[str, list[Any]] = field(default_factory=dict)
    no_numbers: Counter[str] = field(default_factory=Counter)
    averages: int = 0
    of_split: int = 0

    def add(self, lines: Sequence[int], records: Sequence[Mapping[str, Any]]) -> None:
        """Add a batch of records. lines: the line (or record) number of each."""
        cells: list[_Cells] = []
        self._gather(records, np.arange(len(records)), cells, flat=False)
        is_row = np.zeros(len(records), bool)
        for column in cells:
            if not is_count(column.name):
                is_row[column.where] = True
        rows = np.flatnonzero(is_row)
        if not len(rows):
            return
        row_of = np.cumsum(is_row) - 1 + self.table.add_rows(np.asarray(lines, np.int64)[rows])
        for column in cells:
            at = is_row[column.where]
            if at.all():
                self.table.add_cells(column.name, row_of[column.where], column.values)
            elif at.any():
                self.table.add_cells(column.name, row_of[column.where[at]], column.values[at])

    def _gather(
        self, records: Sequence[Mapping[str, Any]], positions: IntArray, cells: list[_Cells], flat: bool
    ) -> None:
        """The cells of records that stand at ``positions`` of the batch. flat: nothing is nested any more."""
        alike: dict[tuple[str, ...], list[int]] = {}
        for i, record in enumerate(records):
            alike.setdefault(tuple(record), []).append(i)
        for keys, members in alike.items():
            group = records if len(members) == len(records) else [records[i] for i in members]
            where = positions if len(members) == len(records) else positions[members]
            if "train_runtime" in keys:  # the last words of transformers.Trainer: means over the whole run
                self.averages += len(group)
                continue
            columns = list(zip(*(record.values() for record in group), strict=True))
            kinds = [set(map(type, column)) for column in columns]
            if not flat and any(dict in kind for kind in kinds):
                flattened = [flatten(self._without_config(record), "/") for record in group]
                self._gather(flattened, where, cells, flat=True)
                continue
            self._add_group(keys, where, columns, kinds, cells)

    def _without_config(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        declared = [key for key in CONFIG_KEYS & record.keys() if isinstance(record[key], Mapping)]
        for key in declared:
            self.config.update(record[key])
        return {key: value for key, value in record.items() if key not in declared} if declared else record

    def _add_group(
        self,
        keys: tuple[str, ...],
        where: IntArray,
        columns: list[tuple[Any, ...]],
        kinds: list[set[type]],
        cells: list[_Cells],
    ) -> None:
        """The cells of records with the same keys. columns: the values of each key. kinds: their types."""
        split = next((i for i, key in enumerate(keys) if key.lower() in SPLIT_KEYS and kinds[i] == {str}), None)
        if split is not None and not all(value.strip().lower() in SPLITS for value in columns[split]):
            split = None
        prefixes = np.array([prefix_of_split(value) for value in columns[split]]) if split is not None else None
        self.of_split += int(np.count_nonzero(prefixes != "")) if prefixes is not None else 0
        named = next((i for i, key in enumerate(keys) if key.lower() in NAME_KEYS and kinds[i] == {str}), None)
        if "value" not in keys:
            named = None
        for i, (name, column, kind) in enumerate(zip(keys, columns, kinds, strict=True)):
            if i in (split, named):
                continue
            if name == "n_parameters":
                self.config[name] = column[0]
            values, present = self._numbers(name, column, kind)
            at = np.arange(len(where)) if present is None else np.flatnonzero(present)
            if name == "value" and named is not None:
                names = np.array(columns[named])
            elif prefixes is not None:
                names = np.array([with_prefix(prefix, name) for prefix in prefixes.tolist()])
            else:
                cells.append(_Cells(name, where[at], values))
                continue
            for own in np.unique(names[at]).tolist():
                mine = names[at] == own
                cells.append(_Cells(own, where[at[mine]], values[mine]))

    def _numbers(self, name: str, column: tuple[Any, ...], kind: set[type]) -> tuple[FloatArray, BoolArray | None]:
        """The numbers in a column, and where they stand (None: everywhere)."""
        if kind <= _NUMBERS:
            try:
                return np.array(column, np.float64), None
            except OverflowError:
                pass
        numbers = [number_of(value) for value in column]
        present = np.array([number is not None for number in numbers], bool)
        if not present.all():
            self._count_no_numbers(name, column, present)
        return np.array([number for number in numbers if number is not None], np.float64), present

    def _count_no_numbers(self, name: str, column: tuple[Any, ...], present: BoolArray) -> None:
        left = [value for value, is_number in zip(column, present.tolist(), strict=True) if not is_number]
        left = [v for v in left if v is not None and not (isinstance(v, str) and is_missing(v))]
        if not len(self.table) and left and isinstance(left[0], list):
            self.lists[name] = left[0]
        if name.strip().lower() not in NOT_METRICS and not all(isinstance(value, bool) for value in left):
            self.no_numbers[name] += len(left)

    def notes(self) -> list[ReadNote]:
        """What was left out, and which rows belong to another split."""
        notes = []
        if self.no_numbers:
            names = ", ".join(repr(name[:60]) for name, _ in self.no_numbers.most_common(9))
            count = self.no_numbers.total()
            text = f"{count:,} values that are no numbers were left out, in: {names}"
            notes.append(ReadNote("unparsed_value", count, text))
        if self.averages:
            text = f"{self.averages:,} records that sum up the whole run were left out"
            notes.append(ReadNote("averaged_stats", self.averages, text))
        if self.of_split:
            text = f"{self.of_split:,} rows say that they are no training rows: their metrics stand under val/ or test/"
            notes.append(ReadNote("split_rows", self.of_split, text))
        return notes


def columns_of_lists(lists: Mapping[str, Iterable[Any]], line: int = 1) -> tuple[RecordColumns, str]:
    """Lists of values (a Keras history) as columns, of lists of records the longest; and what a row is."""
    tables = [list(values) for values in lists.values()]
    records = max(
        (values for values in tables if all(isinstance(value, dict) for value in values)), key=len, default=[]
    )
    if not records:
        longest = max(map(len, tables), default=0)
        by_name = list(zip(lists, tables, strict=True))
        records = [{name: values[i] for name, values in by_name if i < len(values)} for i in range(longest)]
    columns = RecordColumns()
    columns.add([line] * len(records), records)
    return columns, "epoch" if any(name.startswith("val_") for name in lists) else "record"
