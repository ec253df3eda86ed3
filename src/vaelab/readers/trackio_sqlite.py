"""trackio's database, ``<project>.db`` in its folder (``~/.cache/huggingface/trackio``, or ``TRACKIO_DIR``): every run in it.

A row of the table ``metrics`` is one call of ``trackio.log`` as JSON (trackio/sqlite_storage.py).
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from vaelab.errors import LogError
from vaelab.readers.base import RawLog
from vaelab.readers.record_columns import numbers_in
from vaelab.readers.source import Source
from vaelab.readers.sqlite_file import column_names, opened, sniff_tables, table_names
from vaelab.readers.table import Table, explicit_steps_first
from vaelab.run import ReadNote


class TrackioReader:
    name = "trackio"
    title = "trackio's database (<project>.db)"

    def sniff(self, head: bytes, source: Source) -> float:
        sure = sniff_tables(head, source, frozenset(("metrics",)))
        if sure < 1:
            return sure
        with opened(source) as database:
            return 1.0 if {"run_name", "step", "metrics"} <= column_names(database, "metrics") else 0.0

    def read(self, source: Source) -> list[RawLog]:
        """One log for each run, in the order in which they began. Raises LogError if there is none."""
        with opened(source) as database:
            key = "run_id" if "run_id" in column_names(database, "metrics") else "run_name"  # older versions had no id
            runs = database.execute(
                f"SELECT {key}, max(run_name) FROM metrics GROUP BY {key} ORDER BY min(id)"
            ).fetchall()
            configs = _configs(database, key)
            logs = [_read_run(database, source, key, run, configs.get(run, {})) for run, _ in runs]
        names = [str(name) for _, name in runs]
        for (run, name), log in zip(runs, logs, strict=True):
            if log is not None:
                label = str(name) if names.count(str(name)) == 1 else f"{name} {str(run)[:8]}"
                log.source = f"{source.name}[{label}]"
        found = [log for log in logs if log is not None]
        if not found:
            raise LogError(f"{source.name} is a trackio database, but there is no metric in it yet.")
        return found


def _configs(database: sqlite3.Connection, key: str) -> dict[Any, dict[str, Any]]:
    if not {key, "config"} <= column_names(database, "configs") or "configs" not in table_names(database):
        return {}
    found = {}
    for run, text in database.execute(f"SELECT {key}, config FROM configs"):
        if isinstance(config := _loads(text), dict):
            found[run] = {name: value for name, value in config.items() if not name.startswith("_")}
    return found


def _read_run(
    database: sqlite3.Connection, source: Source, key: str, run: object, config: dict[str, Any]
) -> RawLog | None:
    table, broken = Table(), 0
    rows = database.execute(f"SELECT step, metrics FROM metrics WHERE {key} IS ? ORDER BY id", (run,))
    for number, (step, text) in enumerate(rows, start=1):
        record = _loads(text)
        if not isinstance(record, dict) or not isinstance(step, int):
            broken += 1
        elif numbers := numbers_in(record):
            table.add_row(number, [("_step", float(step)), *numbers])
    if not len(table):
        return None
    steps = explicit_steps_first(table, "_step")
    log = table.to_log(source.name, TrackioReader.name, config=config, step_names=steps)
    if broken:
        text = f"{broken:,} rows of the database are not JSON objects with a step and were left out"
        log.notes.append(ReadNote("foreign_lines", broken, text))
    return log


def _loads(text: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None


READER = TrackioReader()
