"""Dicts that Python, JSON or YAML's flow style print, read from text without evaluating anything, in linear time."""

from __future__ import annotations

from typing import Any

import orjson

from vaelab.patterns import pattern
from vaelab.readers.lexer import is_missing, number_in
from vaelab.readers.namespace import end_of_value

MOST_TRIES = 16  # braces in one line at which a dict may begin, after one that is none
MAX_DEPTH = 8

_KEY = pattern(r"\s*(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"|([^\s:'\"{}\[\](),]+))\s*:\s*")
_CALL = pattern(
    r"(?:[A-Za-z_]\w*\.)*(?:[Tt]ensor|Parameter|array|Array|b?float\d*|double|half|u?int\d+|longlong|Decimal|Scalar)\(\s*"
)
_WORDS = {"True": True, "true": True, "False": False, "false": False}
_END = pattern(r"\s*([,}])?")


def printed_dicts(text: str) -> tuple[list[tuple[int, int, dict[str, Any]]], int]:
    """``(start, end, content)`` of each dict in ``text``, the outer ones, and how many others begin but are not whole.

    Numbers are floats, or as orjson gives them; other values stand as they are.
    """
    found: list[tuple[int, int, dict[str, Any]]] = []
    position, tries, broken, first_key = 0, 0, 0, ""
    while tries < MOST_TRIES and (start := text.find("{", position)) >= 0:
        key = _KEY.match(text, start + 1)
        parsed = None
        if key and first_key in ("", key[0].strip()):
            parsed = _json_to_the_end(text, start) or _dict(text, start, 0)
        if parsed is None:
            tries += 1
            position = start + 1
            if (
                key and not first_key
            ):  # what is nested in a broken dict is no record: the next one begins as this one did
                broken, first_key = broken + 1, key[0].strip()
            continue
        content, position = parsed
        first_key = ""
        found.append((start, position, content))
    return found, broken


def _json_to_the_end(text: str, start: int) -> tuple[dict[str, Any], int] | None:
    """The usual case, quickly: the rest of the text is one JSON object, or Python's spelling of one."""
    rest = text[start:].rstrip()
    if '"' not in rest and "\\" not in rest:
        rest = rest.replace("'", '"')
    try:
        value = orjson.loads(rest)
    except ValueError:
        return None
    return (value, len(text)) if isinstance(value, dict) else None


def _dict(text: str, start: int, depth: int) -> tuple[dict[str, Any], int] | None:
    """The dict that begins with the brace at ``start``, and where it ends; None if it is none, or has no end."""
    content: dict[str, Any] = {}
    position = start + 1
    while match := _KEY.match(text, position):
        name = next(group for group in match.groups() if group is not None)
        position = match.end()
        if text.startswith("{", position) and depth < MAX_DEPTH:
            inner = _dict(text, position, depth + 1)
            if inner is None:
                return None
            content[name], position = inner
        else:
            end = end_of_value(text, position)
            content[name], position = _value(text[position:end].strip(), 0), end
        after = _END.match(text, position)
        assert after is not None  # it matches nothing too
        if after[1] is None:
            return None
        position = after.end()
        if after[1] == "}":
            return content, position
    after = _END.match(text, position)
    return (content, after.end()) if after is not None and after[1] == "}" else None


def _value(text: str, depth: int) -> Any:
    """A value by its text: a number, a word, a list; the number in ``tensor(...)``; anything else as text."""
    if (number := number_in(text)) is not None:
        return number
    if is_missing(text):
        return None
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "'\"" and len(text) > 1 and text[-1] == text[0]:
        return text[1:-1]
    if text[0] in "[(" and depth < MAX_DEPTH:
        return _items(text[1:-1], depth + 1)
    if call := _CALL.match(text):
        return _value(text[call.end() : end_of_value(text, call.end())].strip(), depth)
    return text


def _items(text: str, depth: int) -> list[Any]:
    items, position = [], 0
    while position < len(text):
        end = end_of_value(text, position)
        if item := text[position:end].strip():
            items.append(_value(item, depth))
        position = end + 1
    return items
