"""A run as the server of W&B or MLflow gave it, kept as JSON lines: what is known of the run, then what it logged.

``tracker_servers`` writes such files. The first line is ``{"tracker": ..., "name": ..., "state": ..., "config": {...}}``; after
it stands a line for each row (W&B) or each value (MLflow).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from vaelab.errors import LogError
from vaelab.readers.base import RawLog
from vaelab.readers.mlflow_run import end_of_run, is_system_metric, left_out_note, nested_params
from vaelab.readers.points import Points
from vaelab.readers.source import Source
from vaelab.readers.table import Table, explicit_steps_first
from vaelab.readers.wandb_proto import numbers_of
from vaelab.run import Event, EventKind, ReadNote

WANDB, MLFLOW = "wandb", "mlflow"
_WANDB_ENDS: dict[str, tuple[EventKind, str]] = {
    "finished": ("finished", "W&B: the run finished"),
    "crashed": ("crash", "W&B: the run stopped reporting without an end (crashed)"),
    "failed": ("crash", "W&B: the run ended with an exit code other than 0 (failed)"),
    "killed": ("note", "W&B: the run was killed"),
    "preempted": ("note", "W&B: the run was preempted"),
}


def header(tracker: str, name: str, state: str, config: Mapping[str, Any]) -> bytes:
    """The first line of such a file."""
    about = {"tracker": tracker, "name": name, "state": state, "config": dict(config)}
    return json.dumps(about, default=str).encode() + b"\n"


class WandbServerReader:
    name = "wandb_server"
    title = "a run on a W&B server (wandb://entity/project/run)"

    def sniff(self, head: bytes, source: Source) -> float:
        return _sniff(head, WANDB)

    def read(self, source: Source) -> list[RawLog]:
        """One log. Raises LogError if there is no row with a number."""
        about, lines = _opened(source, WANDB)
        table, others = Table(), 0
        for number, row in enumerate(lines, start=1):
            found = [(name, numbers_of(name, json.dumps(value).encode())) for name, value in row.items()]
            others += sum(not numbers and isinstance(row[name], dict | list) for name, numbers in found)
            if numbers := [pair for _, pairs in found for pair in pairs]:
                table.add_row(number, numbers)
        if not len(table):
            raise LogError(f"{source.name} is a run of W&B, but nothing was logged to it yet.")
        steps = explicit_steps_first(table, "_step") if "_step" in table.names else ("step",)
        log = table.to_log(source.name, self.name, config=about["config"], step_names=steps)
        if others:
            text = f"{others:,} images, histograms, tables and other values are not numbers; left out"
            log.notes.append(ReadNote("other_summaries", others, text))
        if str(about.get("state")) in _WANDB_ENDS:
            kind, text = _WANDB_ENDS[about["state"]]
            log.events.append(Event(kind, int(log.steps.max()), None, text))
        return [log]


class MlflowServerReader:
    name = "mlflow_server"
    title = "a run on an MLflow server (mlflow+http://host:port/#/experiments/1/runs/id)"

    def sniff(self, head: bytes, source: Source) -> float:
        return _sniff(head, MLFLOW)

    def read(self, source: Source) -> list[RawLog]:
        """One log. Raises LogError if there is no metric."""
        about, lines = _opened(source, MLFLOW)
        points, system = Points(), set[str]()
        for number, point in enumerate(lines, start=1):
            key, step, value = str(point.get("key")), point.get("step"), point.get("value")
            if is_system_metric(key):
                system.add(key)
            elif isinstance(step, int) and isinstance(value, int | float):
                points.add(key, step, float(value), number)
        if not len(points):
            raise LogError(f"{source.name} is a run of MLflow, but there is no metric in it yet.")
        label = f"{source.name}[{about['name']}]" if about.get("name") else source.name
        log = points.to_log(label, self.name, nested_params(about["config"]))
        log.events += end_of_run(str(about.get("state")), log)
        log.notes += left_out_note(len(system))
        return [log]


def _sniff(head: bytes, tracker: str) -> float:
    return 1.0 if head.startswith(b'{"tracker": "%s", "name": ' % tracker.encode()) else 0.0


def _opened(source: Source, tracker: str) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """What is known of the run, and the lines after it. Raises LogError if this is no such file."""
    lines = _lines(source)
    about = next(lines, {})
    if about.get("tracker") != tracker or not isinstance(about.get("config"), dict):
        raise LogError(f"{source.name} is not what vaelab keeps of a run on a server of {tracker}.")
    return about, lines


def _lines(source: Source) -> Iterator[dict[str, Any]]:
    rest = b""
    for chunk in source.chunks():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                value = None
            if not isinstance(value, dict):
                raise LogError(f"{source.name} has a line that is no JSON object: it is damaged.")
            yield value


WANDB_READER = WandbServerReader()
MLFLOW_READER = MlflowServerReader()
