"""The JSON schema of a diagnosis, made from the dataclasses that the JSON is made from."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from vaelab.report.document import SCHEMA, Document
from vaelab.report.json_report import ADDED, has_numbers, json_name

_PLAIN = {str: "string", bool: "boolean", int: "integer", NoneType: "null"}


def json_schema() -> dict[str, Any]:
    """The JSON schema of the report, as published in ``docs/schema``."""
    known: dict[str, Any] = {}
    top = _object(Document, known)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA, **top, "$defs": known}


def _object(cls: type, known: dict[str, Any]) -> dict[str, Any]:
    properties = _properties(cls, known)
    return {
        "type": "object",
        "description": inspect.getdoc(cls) or "",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _properties(cls: type, known: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(cls)
    properties: dict[str, Any] = {}
    for field in fields(cls):
        if field.metadata.get("inline"):
            properties |= _properties(hints[field.name], known)
        else:
            properties[json_name(field)] = _type(hints[field.name], known)
    properties |= {name: {"type": "string"} for name in ADDED.get(cls, {})}
    return {**properties, "note": {"type": ["string", "null"]}} if has_numbers(cls) else properties


def _type(hint: Any, known: dict[str, Any]) -> dict[str, Any]:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return {}
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if hint is float:  # null where it is not finite
        return {"type": ["number", "null"]}
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, UnionType):
        return {"anyOf": [_type(one, known) for one in inner]}
    if is_dataclass(hint) and isinstance(hint, type):
        if hint.__name__ not in known:
            known[hint.__name__] = {}
            known[hint.__name__] = _object(hint, known)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _type(inner[1], known)}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return {"type": "array", "items": _type(inner[0], known)}
    raise TypeError(f"no JSON schema for {hint!r}: say in vaelab.report.schema how such a value is written")
