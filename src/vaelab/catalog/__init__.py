"""The catalogue of metrics: canonical names and their aliases, units, direction, meaning and bands.

Adding a metric is one entry in the file of its family. Formulas that differ by trainer live in ``vaelab.dialects``.
"""

from __future__ import annotations

import re

from vaelab.catalog.adversarial import ADVERSARIAL
from vaelab.catalog.evaluation import EVALUATION
from vaelab.catalog.latent import LATENT
from vaelab.catalog.losses import LOSSES
from vaelab.catalog.optimisation import OPTIMISATION
from vaelab.catalog.types import Band, BandStanding, Direction, Metric
from vaelab.patterns import pattern

__all__ = ["METRICS", "Band", "BandStanding", "Direction", "Metric", "canonical"]

METRICS: dict[str, Metric] = {m.name: m for m in (*LOSSES, *LATENT, *ADVERSARIAL, *OPTIMISATION, *EVALUATION)}

_ALIASES: dict[str, str] = {alias: m.name for m in METRICS.values() for alias in (m.name, *m.aliases)}

# "train/x", "val.x" always name a split; "valid_x" does so only if x is a known metric.
_SPLITS = {
    "train": "",
    "training": "",
    "val": "val/",
    "valid": "val/",
    "validation": "val/",
    "eval": "val/",
    "val_ema": "val_ema/",
    "valid_ema": "val_ema/",
    "validation_ema": "val_ema/",
    "test": "test/",
}
_SPLIT = pattern(rf"^(?P<split>{'|'.join(sorted(_SPLITS, key=len, reverse=True))})(?P<mark>[/._])(?P<rest>.+)$")

_UNIT = pattern(r"_?[\[(](?:db|nats?|bits?|s|sec|seconds|mb|mib)[\])]$")  # units in which the catalogue counts too


def canonical(original: str) -> str:
    """Canonical name of a logged column.

    ``train/p_loss_step`` gives ``perceptual_loss``; ``val/rec_loss`` stays a validation metric (``val/rec_loss``) and
    ``rec_loss_epoch`` an epoch mean (``epoch/rec_loss``). A name the catalogue does not know keeps its own name, lower
    case with spaces as underscores.
    """
    name = re.sub(r"\s+", "_", original.strip().lower())
    if name in _ALIASES:
        return _ALIASES[name]
    if (bare := _UNIT.sub("", name)) != name and (known := canonical(bare)).rpartition("/")[2] in METRICS:
        return known
    stem, of_epoch = _without_suffix(name)
    match = _split(stem)
    if match is None:
        return ("epoch/" if of_epoch else "") + _ALIASES.get(stem, stem)
    prefix = _SPLITS[match["split"]] or ("epoch/" if of_epoch else "")
    return prefix + _ALIASES.get(match["rest"], match["rest"])


def _split(name: str) -> re.Match[str] | None:
    """The split a name begins with (the longest that fits: ``val_ema/x`` is not ``val`` with the metric ``ema/x``)."""
    match = _SPLIT.match(name)
    return match if match and (match["mark"] != "_" or match["rest"] in _ALIASES) else None


def _without_suffix(name: str) -> tuple[str, bool]:
    """Lightning's ``_step`` and ``_epoch`` taken off a name whose stem is a known metric or names a split."""
    if (split := _split(name)) and split["rest"] in _ALIASES:
        return name, False  # the metric's own name ends so: time_taken_till_step
    for suffix, of_epoch in (("_step", False), ("_epoch", True)):
        stem = name.removesuffix(suffix)
        if stem != name and (stem in _ALIASES or _split(stem)):
            return stem, of_epoch
    return name, False
