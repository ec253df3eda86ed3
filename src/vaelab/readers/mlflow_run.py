"""What MLflow's stores have in common: parameters, how a run ended, metrics of the machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vaelab.readers.base import RawLog
from vaelab.run import Event, EventKind, ReadNote

_ENDS: dict[str, tuple[EventKind, str]] = {
    "FINISHED": ("finished", "MLflow: the run finished"),
    "FAILED": ("crash", "MLflow: the run failed"),
    "KILLED": ("note", "MLflow: the run was killed"),
}


def is_system_metric(name: str) -> bool:
    """Whether it measures the machine; such metrics count steps of their own."""
    return str(name).startswith("system/")


def left_out_note(count: int) -> list[ReadNote]:
    text = f"system metrics (memory, disk, processor) were left out: {count:,}"
    return [ReadNote("other_summaries", count, text)] if count else []


def nested_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with dots between the parts of their names, where MLflow's integrations put slashes."""
    return {str(name).replace("/", "."): value for name, value in params.items()}


def end_of_run(status: str, log: RawLog) -> list[Event]:
    """The event that a run's status tells; none while it runs."""
    if status not in _ENDS:
        return []
    kind, text = _ENDS[status]
    return [Event(kind, int(log.steps.max()), None, text)]
