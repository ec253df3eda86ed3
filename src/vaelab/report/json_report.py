"""Diagnosis -> JSON: every dataclass as an object of its fields.

A field's name in JSON is its own, or what its ``metadata["json"]`` says; ``metadata["inline"]`` puts the fields of its value in
its place.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from numbers import Integral, Real
from typing import Any

from vaelab.diagnosis import Diagnosis, MetricVerdict
from vaelab.facts.base import Evidence
from vaelab.report.document import document
from vaelab.report.layout import evidence_text, metric_title, plain
from vaelab.report.numbers import number

ADDED: Mapping[type, Mapping[str, Callable[[Any], str]]] = {
    Evidence: {"text": evidence_text},
    MetricVerdict: {"title": lambda verdict: metric_title(verdict.metric)},
}
"""Sentences that a person reads, beside the fields they are made from."""


def to_json(diagnoses: Sequence[Diagnosis], indent: int | None = 2) -> str:
    """One JSON document for all runs. Holds no bare NaN or Infinity, so every JSON parser reads it."""
    return json.dumps(to_dict(diagnoses), indent=indent, ensure_ascii=False, allow_nan=False)


def to_dict(diagnoses: Sequence[Diagnosis]) -> dict[str, Any]:
    """The same as plain Python values."""
    return _object(document(diagnoses))


def json_name(field: Field[Any]) -> str:
    """The name of a dataclass's field in JSON."""
    return str(field.metadata.get("json", field.name))


def has_numbers(cls: type) -> bool:
    """Whether a field of ``cls`` may be a number that JSON cannot hold: then its object has a ``note``."""
    return any("float" in str(field.type) for field in fields(cls))


def _object(value: Any) -> dict[str, Any]:
    cls = type(value)
    result: dict[str, Any] = {}
    lost = []
    for field in fields(value):
        inner = getattr(value, field.name)
        if field.metadata.get("inline"):
            result |= _object(inner)
            continue
        if isinstance(inner, Real) and not math.isfinite(inner):
            lost.append(f"{field.name} is {number(float(inner))}")
            inner = None
        result[json_name(field)] = jsonable(inner)
    result |= {name: plain(text(value)) for name, text in ADDED.get(cls, {}).items()}
    if has_numbers(cls):
        result["note"] = "; ".join(lost) or None
    return result


def jsonable(value: Any) -> Any:
    """``value`` in JSON types: dataclasses, mappings and lists inside out, non-finite numbers and all else as text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if is_dataclass(value):
        return _object(value)
    if isinstance(value, Mapping):
        return {plain(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    if isinstance(value, Real) or hasattr(value, "__float__"):
        return float(value) if math.isfinite(float(value)) else number(float(value))
    return plain(value)
