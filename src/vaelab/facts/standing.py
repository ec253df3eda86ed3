"""What a column is, for facts and rules: the role that reading gave it, else what the catalogue's name says."""

from __future__ import annotations

import re
from collections.abc import Mapping

from vaelab.catalog import METRICS
from vaelab.catalog.roles import UNKNOWN, Role, Split
from vaelab.dialects import bare_name
from vaelab.run import Column

_SPLITS: dict[str, Split] = {"val": "val", "val_ema": "ema", "test": "test", "epoch": "epoch"}
SURE = ("given", "known", "inferred")
"""Standings on which a verdict may rest; an ambiguous column is never judged above *watch*."""


def role_of(column: Column) -> Role:
    """The role of ``column``; ``UNKNOWN`` where neither its reader nor the catalogue knows it."""
    if column.role.standing != "unknown":
        return column.role
    split, _, base = column.name.rpartition("/")
    metric = METRICS.get(base)
    if metric is None or metric.role == "unknown" or (split and split not in _SPLITS):
        return UNKNOWN
    return Role(
        metric.role,
        split=_SPLITS.get(split, "train"),
        better=metric.direction,
        standing="known",
        reason="named by the catalogue",
    )


_TITLES = {
    "total": "the total loss",
    "perceptual": "the perceptual loss",
    "alignment": "the alignment loss",
    "quality": "a quality score",
    "kl": "the KL",
    "quantiser": "the quantiser's loss",
    "codebook_usage": "the use of the codebook",
    "discriminator": "the discriminator's loss",
    "generator_adversarial": "the generator's GAN loss",
}


def read_as(column: Column, role: Role) -> str:
    """The column's own name for a sentence, with what it was read as in brackets; the canonical name alone where they are the same."""
    if role.standing in ("inferred", "ambiguous"):
        names = role.could_be or (role.name,)
        what = " or ".join(_TITLES.get(name, f"the {name.replace('_', ' ')}") for name in names)
        return f"{column.original} ({'read as' if role.standing == 'inferred' else 'perhaps'} {what})"
    same = bare_name(column.original) == column.name.rpartition("/")[2]
    return column.name if same else f"{column.original} ({column.name})"


def in_the_logs_names(text: str, shown: Mapping[str, str]) -> str:
    """``text`` with the first mention of every metric as ``shown`` has it (metric -> ``read_as`` of its column)."""
    if not shown:
        return text
    left = dict(shown)
    names = "|".join(re.escape(name) for name in sorted(shown, key=len, reverse=True))
    return re.sub(rf"(?<![\w/])(?:{names})(?![\w/])", lambda found: left.pop(found[0], found[0]), text)
