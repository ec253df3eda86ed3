"""MLflow's SQLite store (``mlflow.db``): every run of every experiment.

Tables: mlflow/store/tracking/dbmodels/models.py. NaN is stored as 0 with ``is_nan`` set, an infinity as the largest float.
"""

from __future__ import annotations

import sqlite3
import sys
from dataclasses import dataclass

from vaelab.errors import LogError
from vaelab.readers.base import RawLog
from vaelab.readers.mlflow_run import end_of_run, is_system_metric, left_out_note, nested_params
from vaelab.readers.points import Points
from vaelab.readers.source import Source
from vaelab.readers.sqlite_file import opened, sniff_tables

_TABLES = frozenset(("experiments", "runs", "metrics", "params"))
_RUNS = """
    SELECT runs.run_uuid, runs.name, runs.status, experiments.name
    FROM runs LEFT JOIN experiments ON experiments.experiment_id = runs.experiment_id
    WHERE runs.lifecycle_stage = 'active' ORDER BY runs.start_time, runs.rowid
"""
_METRICS = 'SELECT "key", step, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY timestamp, rowid'


class MlflowSqliteReader:
    name = "mlflow_sqlite"
    title = "MLflow's SQLite store (mlflow.db)"

    def sniff(self, head: bytes, source: Source) -> float:
        return sniff_tables(head, source, _TABLES)

    def read(self, source: Source) -> list[RawLog]:
        """One log for each run that has a metric, in the order in which the runs were started.

        Raises LogError if there is none, or the database is damaged or locked.
        """
        with opened(source) as database:
            rows = database.execute(_RUNS).fetchall()
            experiments = {str(row[3]) for row in rows}
            logs = []
            for run_id, name, status, experiment in rows:
                label = f"{experiment}/{name or run_id}" if len(experiments) > 1 else str(name or run_id)
                run = _StoredRun(str(run_id), label, str(status))
                if (log := _read_run(database, source, run)) is not None:
                    logs.append((run, log))
        if not logs:
            raise LogError(f"{source.name} is an MLflow database with {len(rows)} runs, but none of them has a metric.")
        labels = [run.label for run, _ in logs]
        for run, log in logs:
            unique = labels.count(run.label) == 1
            log.source = f"{source.name}[{run.label if unique else f'{run.label} {run.id[:8]}'}]"
        return [log for _, log in logs]


@dataclass(frozen=True)
class _StoredRun:
    id: str
    label: str
    status: str


def _read_run(database: sqlite3.Connection, source: Source, run: _StoredRun) -> RawLog | None:
    points, system = Points(), 0
    for record, (key, step, value, is_nan) in enumerate(database.execute(_METRICS, (run.id,)), start=1):
        if is_system_metric(key):
            system += 1
        elif isinstance(value, int | float) and isinstance(step, int):
            points.add(str(key), step, _stored_value(float(value), bool(is_nan)), record)
    if not len(points):
        return None
    params = dict(database.execute('SELECT "key", value FROM params WHERE run_uuid = ?', (run.id,)))
    log = points.to_log(source.name, MlflowSqliteReader.name, nested_params(params))
    log.events += end_of_run(run.status, log)
    log.notes += left_out_note(system)
    return log


def _stored_value(value: float, is_nan: bool) -> float:
    if is_nan:
        return float("nan")
    return value if abs(value) < sys.float_info.max else value * 2  # the largest float stands for an infinity


READER = MlflowSqliteReader()
