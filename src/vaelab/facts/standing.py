"""What a column is, for facts and rules: the role that reading gave it, else what the catalogue's name says."""

from __future__ import annotations

from vaelab.catalog import METRICS
from vaelab.catalog.roles import UNKNOWN, Role, Split
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


def how_read(column: Column, role: Role) -> str:
    """``l_g_pix is read as the reconstruction``: for a sentence, where that is a conclusion and not known; else empty."""
    if role.standing not in ("inferred", "ambiguous"):
        return ""
    what = _TITLES.get(role.name, f"the {role.name.replace('_', ' ')}")
    return f"{column.original} {'is read as' if role.standing == 'inferred' else 'is perhaps'} {what}"


def read_as(column: Column, role: Role) -> str:
    """The column's name for a sentence, with how it was read in brackets where that is a conclusion."""
    said = how_read(column, role)
    return f"{column.original} ({said.removeprefix(column.original + ' is ')})" if said else column.name
