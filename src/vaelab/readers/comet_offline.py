"""Comet's offline archive, ``<experiment>.zip``: experiment.json and messages.json, one message a line.

``OfflineExperiment`` writes it when the experiment ends (comet_ml/offline.py).
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

MESSAGES = "messages.json"
_OWN_PARAMETERS = frozenset(("curr_step", "curr_epoch"))  # Comet's counters


class CometReader:
    name = "comet"
    title = "Comet's offline archive (<experiment>.zip)"

    def sniff(self, head: bytes, source: Source) -> float:
        if head.startswith(ZIP):
            return sniff_members(head, source, frozenset((MESSAGES, "experiment.json")))
        return 0.99 if head.startswith(b'{"payload":') and b'"message_id":' in head else 0.0

    def read(self, source: Source) -> list[RawLog]:
        """One log. Raises LogError if the archive is broken or holds no metric."""
        points, config = Points(), dict[str, Any]()
        with opened(source, MESSAGES) as run:
            last_step = 0
            for number, message in run.records():
                kind, payload = _message(message)
                if kind == "metric_msg":
                    last_step = _add_metric(points, payload.get("metric"), number, last_step)
                elif kind == "parameter_msg":
                    _add_parameter(config, payload.get("param"))
            notes = run.notes()
        if not len(points):
            raise LogError(f"{source.name} is an offline run of Comet, but there is no metric in it.")
        log = points.to_log(source.name, self.name, config)
        log.notes += notes
        return [log]


def _message(message: Any) -> tuple[str, dict[str, Any]]:
    """Kind and content of a message."""
    if isinstance(message, dict) and isinstance(message.get("payload"), dict):
        return str(message.get("type")), message["payload"]
    return "", {}


def _add_metric(points: Points, metric: Any, number: int, last_step: int) -> int:
    """Add a metric's value; the step that a metric without one of its own belongs to is returned."""
    if not isinstance(metric, dict):
        return last_step
    name, value, step = str(metric.get("metricName", "")), number_of(metric.get("metricValue")), metric.get("step")
    at = step if isinstance(step, int) else last_step
    if value is None or not name or name.startswith("sys.") or name == "process duration":  # of the machine
        return last_step
    points.add(name, at, value, number)
    if isinstance(epoch := metric.get("epoch"), int) and abs(epoch) < 2**53:
        points.add("epoch", at, float(epoch), number)
    return at


def _add_parameter(config: dict[str, Any], parameter: Any) -> None:
    if isinstance(parameter, dict) and (name := str(parameter.get("paramName", ""))) not in _OWN_PARAMETERS:
        config[name.replace("|", ".")] = parameter.get("paramValue")


READER = CometReader()
