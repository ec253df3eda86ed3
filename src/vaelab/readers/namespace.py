"""What a log prints of its config: ``Namespace(lr=0.1, ...)`` and dict literals, read without evaluating anything."""

from __future__ import annotations

import ast
import warnings
from typing import Any

from vaelab.patterns import pattern

MAX_LENGTH = 1_000_000  # a longer line is no config
MAX_DEPTH = 8  # of namespaces in namespaces

_KEY = pattern(r"\s*([A-Za-z_]\w*)\s*=")
_OPENING, _CLOSING = "([{", ")]}"


def parse_config_line(text: str) -> dict[str, Any] | None:
    """The first ``Namespace(...)`` or ``{...}`` in ``text`` as a dict; None if there is none that can be read.

    Values that are no Python literals (``device(type='cuda')``, ``<class ...>``) are kept as text. A line that was
    cut gives the entries before the cut.
    """
    if len(text) > MAX_LENGTH:
        return None
    start = text.find("Namespace(")
    if start >= 0:
        return _namespace(text[start + len("Namespace(") :]) or None
    start = text.find("{")
    if start < 0:
        return None
    end = end_of_value(text, start)
    value = _literal(text[start:end])
    return {str(k): v for k, v in value.items()} if isinstance(value, dict) and value else None


def _namespace(text: str, depth: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = {}
    position = 0
    while match := _KEY.match(text, position):
        end = end_of_value(text, match.end())
        found[match[1]] = _literal(text[match.end() : end].strip(), depth)
        if text[end : end + 1] != ",":
            break
        position = end + 1
    return found


def end_of_value(text: str, start: int) -> int:
    """Where the value that begins at ``start`` ends: before the comma or bracket that closes its level."""
    depth, quote, position = 0, "", start
    while position < len(text):
        character = text[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            if depth == 0:
                return position
            depth -= 1
            if depth == 0 and text[start] in _OPENING:
                return position + 1
        elif character == "," and depth == 0:
            return position
        position += 1
    return len(text)


def _literal(text: str, depth: int = 0) -> Any:
    if text.startswith("Namespace(") and depth < MAX_DEPTH:
        return _namespace(text[len("Namespace(") :], depth + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns of odd escapes in the strings of a log
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
