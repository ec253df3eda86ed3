"""Configs written as text: JSON, YAML, a Python dict, or a markdown table, as trainers put them into their logs."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from vaelab.patterns import pattern

YAML_FAILURES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError)
"""What escapes PyYAML on text that is none (``0x``, a date in the year 99999); errors of its own become ValueError here."""

_TABLE_ROW = pattern(r"^\s*\|\s*([^|]+?)\s*\|\s*([^|]*?)\s*\|?\s*$")
_FENCE = pattern(r"^\s*```\w*\s*$", re.MULTILINE)


def parse_config_text(text: str) -> dict[str, Any]:
    """The mapping that ``text`` writes down; empty if it is none."""
    text = _FENCE.sub("", text).strip()
    if not text:
        return {}
    for parse in (json.loads, ast.literal_eval, _load_yaml):
        try:
            value = parse(text)
        except (*YAML_FAILURES, SyntaxError, MemoryError):
            continue
        if isinstance(value, Mapping):
            return {str(key): item for key, item in value.items()}
    return _markdown_table(text)


def _load_yaml(text: str) -> Any:
    import yaml  # only here: most logs hold no settings

    try:
        return yaml.load(text, Loader=_plain_loader())
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


@cache
def _plain_loader() -> Any:
    """Safe YAML, where an object of some class (Lightning writes them into hparams.yaml) is read as plain data."""
    import yaml

    class PlainLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    def plain(loader: Any, tag: str, node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_scalar(node)

    PlainLoader.add_multi_constructor("", plain)
    return PlainLoader


def _markdown_table(text: str) -> dict[str, Any]:
    """Two-column rows, ``|lr|0.001|``; the header and the line of dashes are left out."""
    rows = [match.groups() for line in text.splitlines() if (match := _TABLE_ROW.match(line))]
    dashes = [i for i, (key, _) in enumerate(rows) if set(key) <= set(":-")]
    if not dashes:
        return {}
    return {key: _literal(value) for key, value in rows[dashes[0] + 1 :]}


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
