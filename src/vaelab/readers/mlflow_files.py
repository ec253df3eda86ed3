"""MLflow's file store: ``mlruns/<experiment>/<run>/`` with ``meta.yaml``, ``metrics/<name>`` and ``params/<name>``.

A file of a metric has a line a value: time in milliseconds, value, step (mlflow/store/tracking/file_store.py). Names with
slashes are folders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vaelab.errors import LogError
from vaelab.files import read_bytes, read_start
from vaelab.patterns import pattern
from vaelab.readers.base import RawLog
from vaelab.readers.config_text import parse_config_text
from vaelab.readers.mlflow_run import end_of_run, is_system_metric, left_out_note, nested_params
from vaelab.readers.points import Points
from vaelab.readers.source import Source
from vaelab.run import ReadNote

META = "meta.yaml"
MOST_FILES = 10_000
MOST_DEPTH = 20  # of folders within metrics/ and params/
PARAM_LIMIT = 1 << 16  # bytes
METRIC_LIMIT = 256 << 20  # bytes of one metric
_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_VALUE = pattern(rb"\d{10,16} \S+ -?\d+\s")
_FIELD = pattern(rb"^(?:run_id|run_uuid): ", re.MULTILINE)


class MlflowFilesReader:
    """Reads the run whose ``meta.yaml``, or one of whose metrics, is the source."""

    name = "mlflow_files"
    title = "MLflow's file store (mlruns/<experiment>/<run>/meta.yaml)"

    def sniff(self, head: bytes, source: Source) -> float:
        if source.path is None or _run_of(source.path) is None:
            return 0.0
        if source.path.name != META:
            return 0.4 if _VALUE.match(head) else 0.0  # one metric of a run, where the user named it
        if not _FIELD.search(head):
            return 0.0
        return 0.4 if b"lifecycle_stage: deleted" in head else 1.0  # a deleted run is read only where it is named

    def read(self, source: Source) -> list[RawLog]:
        """One log. Raises LogError if no metric stands beside the file, or one of them may not be read."""
        folder = source.path and _run_of(source.path)
        if folder is None:
            raise LogError(
                f"{source.name} is not in a run of MLflow's file store: give the run's folder or its {META}."
            )
        meta = _read_meta(folder / META)
        points, notes = _read_metrics(folder / "metrics")
        if not len(points):
            raise LogError(f"{folder} is an MLflow run, but there is no metric in it yet.")
        label = f"{folder}[{meta['run_name']}]" if meta.get("run_name") else str(folder)
        log = points.to_log(label, self.name, _read_params(folder / "params"))
        status = meta.get("status")
        log.events += end_of_run(_STATUS.get(status, "") if isinstance(status, int) else str(status), log)
        log.notes += notes
        return [log]


def _run_of(path: Path) -> Path | None:
    """The folder of the run whose ``meta.yaml``, or one of whose metrics, is at ``path``."""
    if path.name == META:
        return path.parent
    for folder in path.absolute().parents[:MOST_DEPTH]:
        if folder.name == "metrics" and folder.with_name(META).is_file():
            return folder.parent
    return None


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        return parse_config_text(read_start(path, PARAM_LIMIT).decode("utf-8", "replace"))
    except OSError:
        return {}


def is_run_folder(folders: list[str], files: list[str]) -> bool:
    """Whether a folder with these in it is a run of the file store."""
    return META in files and "metrics" in folders


def _read_metrics(folder: Path) -> tuple[Points, list[ReadNote]]:
    """All points in the order of their times, and what was left out."""
    values: list[tuple[int, str, int, float, int]] = []
    system = bad = torn = 0
    for name, path in _files_below(folder):
        if is_system_metric(name):
            system += 1
            continue
        try:
            *lines, rest = read_bytes(path, METRIC_LIMIT).split(b"\n")
        except OSError as error:
            raise LogError(f"{path} cannot be read: {error.strerror or error}.") from error
        torn += bool(rest.strip())  # a line still being written
        for number, line in enumerate(lines, start=1):
            point = _parse_line(line)
            if point is not None:
                values.append((point[0], name, point[1], point[2], number))
            else:
                bad += bool(line.strip())
    points = Points()
    for _, name, step, value, number in sorted(values, key=lambda v: v[0]):
        points.add(name, step, value, number)
    notes = left_out_note(system)
    if bad:
        text = f"{bad:,} lines of metrics are not 'time value step' and were left out"
        notes.append(ReadNote("foreign_lines", bad, text))
    if torn:
        text = f"the last line of {torn:,} metrics is unfinished and was left out"
        notes.append(ReadNote("torn_line", torn, text))
    return points, notes


def _parse_line(line: bytes) -> tuple[int, int, float] | None:
    """``(time, step, value)``; None if it is no such line. Old versions wrote no step."""
    parts = line.split()
    if not 2 <= len(parts) <= 5:
        return None
    try:
        time, value, step = int(parts[0]), float(parts[1]), int(parts[2]) if len(parts) > 2 else 0
    except ValueError:
        return None
    return time, step, value


def _read_params(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, path in _files_below(folder):
        try:
            text = read_start(path, PARAM_LIMIT).decode("utf-8", "replace").strip()
        except OSError:
            continue  # a parameter helps, the run is read without it
        found[name] = text
    return nested_params(found)


def _files_below(folder: Path, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Path]]:
    """``(name with slashes, file)`` of every metric or parameter; links out of the folder are not followed."""
    try:
        entries = sorted(folder.iterdir())[:MOST_FILES]
    except OSError:
        return
    for path in entries:
        if path.is_symlink():
            continue
        if path.is_dir() and depth < MOST_DEPTH:
            yield from _files_below(path, f"{prefix}{path.name}/", depth + 1)
        elif path.is_file():
            yield f"{prefix}{path.name}", path


READER = MlflowFilesReader()
