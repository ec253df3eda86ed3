"""ClearML's offline session: ``offline-<id>.zip``, or the folder ``offline-<id>`` while the task runs.

metrics.jsonl has an array of events a line, task.json the hyper-parameters, log.jsonl the console
(clearml/backend_interface/metrics/interface.py).
"""

from __future__ import annotations

from typing import Any

from vaelab.errors import LogError
from vaelab.readers.archive import sniff_members
from vaelab.readers.base import RawLog
from vaelab.readers.magic import ZIP
from vaelab.readers.offline_records import number_of, opened
from vaelab.readers.points import Points
from vaelab.readers.source import Source
from vaelab.run import ReadNote

METRICS = "metrics.jsonl"
_SCALAR = "training_stats_scalar"
_NO_STEP = -(2**31)  # of a single value, reported without an iteration


class ClearmlReader:
    name = "clearml"
    title = "ClearML's offline session (offline-<id>.zip, or metrics.jsonl of its folder)"

    def sniff(self, head: bytes, source: Source) -> float:
        if head.startswith(ZIP):
            return sniff_members(head, source, frozenset((METRICS, "task.json")))
        return 0.99 if head.startswith(b"[{") and b'"type": "training_stats_' in head else 0.0

    def read(self, source: Source) -> list[RawLog]:
        """One log. Raises LogError if the archive is broken or holds no scalar."""
        points, single, other = Points(), dict[str, float](), 0
        with opened(source, METRICS) as run:
            for number, events in run.records():
                for event in events if isinstance(events, list) else []:
                    other += not _add_event(points, single, event, number)
            notes, config, console = run.notes(), _config(run.beside("task.json")), run.text_beside("log.jsonl")
        if not len(points):
            raise LogError(f"{source.name} is an offline session of ClearML, but there is no scalar in it yet.")
        for name, value in single.items():
            points.add(name, points.last_step, value)
        log = points.to_log(source.name, self.name, config)
        if other:
            text = f"{other:,} plots, images and other reports are not scalars; left out"
            notes.append(ReadNote("other_summaries", other, text))
        if "value encountered. Reporting it as '0.0'" in console:
            text = "ClearML wrote values that were NaN or infinite as 0.0; they cannot be told from real zeros"
            notes.append(ReadNote("unparsed_value", 1, text))
        log.notes += notes
        return [log]


def _add_event(points: Points, single: dict[str, float], event: Any, number: int) -> bool:
    """Add a scalar. False if the event is none."""
    if not isinstance(event, dict) or event.get("type") != _SCALAR:
        return False
    value, step = number_of(event.get("value")), event.get("iter")
    if value is None or not isinstance(step, int):
        return False
    metric, variant = str(event.get("metric", "")), str(event.get("variant", ""))
    if metric.startswith(":monitor:"):  # the load of the machine
        return True
    if step == _NO_STEP:
        single[variant] = value
    else:
        points.add(metric if metric == variant else f"{metric}/{variant}", step, value, number)
    return True


def _config(task: Any) -> dict[str, Any]:
    """The hyper-parameters of a task, sections left out."""
    sections = task.get("hyperparams") if isinstance(task, dict) else None
    found: dict[str, Any] = {}
    for section in sections.values() if isinstance(sections, dict) else []:
        for name, entry in section.items() if isinstance(section, dict) else []:
            if isinstance(entry, dict):
                found[str(name).replace("/", ".")] = entry.get("value")
    return found


READER = ClearmlReader()
