"""Validation errors as sentences: the option, the value it was given and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from vaelab.config.options import OPTIONS, unknown_option


def sentences(error: ValidationError) -> str:
    """One sentence for each wrong option, joined by semicolons."""
    return "; ".join(dict.fromkeys(_sentence(problem) for problem in error.errors(include_url=False)))


def _sentence(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "value_error":  # raised by the schema: a whole sentence already
        return str(problem["ctx"]["error"])
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return str(unknown_option(name, ""))
    option = next((o for key, o in OPTIONS.items() if name == key or name.startswith(f"{key}.")), None)
    if option is None:
        return f"{name} = {problem['input']!r} is not possible: {problem['msg']}"
    if problem["type"] == "missing":
        return f"{option.key} has too few values; allowed is: {option.type}"
    return f"{option.key} = {_shown(problem['input'])} is not possible; allowed is: {option.type}"


def _shown(value: Any) -> str:
    """As YAML writes it: ``null``, ``true``, ``256``, ``'text'``."""
    return {"None": "null", "True": "true", "False": "false"}.get(repr(value), repr(value))
