"""Role: what a column of a log is, whatever its trainer calls it, how sure that is, and why.

The list of roles is closed: rules and reports may rely on it. ``vaelab.roles`` gives every column one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

RoleName = Literal[
    "reconstruction",
    "perceptual",
    "kl",
    "quantiser",
    "entropy",
    "generator_adversarial",
    "discriminator",
    "discriminator_real",
    "discriminator_fake",
    "logits_real",
    "logits_fake",
    "feature_matching",
    "alignment",
    "regulariser",
    "total",
    "weight",
    "adaptive_weight",
    "learning_rate",
    "gradient_norm",
    "codebook_usage",
    "latent_statistic",
    "discriminator_accuracy",
    "quality",
    "time",
    "memory",
    "progress",
    "unknown",
]
Standing = Literal["given", "known", "inferred", "ambiguous", "unknown"]
Better = Literal["down", "up", "zero", "chance", "none"]
Split = Literal["train", "val", "test", "ema", "epoch"]


@dataclass(frozen=True)
class Role:
    """What one column is.

    name: one of the closed list. kind: a finer word where it is known (``mse``, ``l1``, ``bce``, ``spectral``,
    ``hinge``, ``generator``, ``discriminator``, ``psnr`` ...), else empty. better: where a healthy value goes; ``none`` where the value alone says nothing
    (a total with an adversarial term in it).
    standing: ``given`` by the user, ``known`` from the dialect or an unmistakable name, ``inferred`` from name and behaviour, ``ambiguous``
    (``could_be`` names the candidates) or ``unknown``. reason: one sentence a person can check.
    """

    name: RoleName = field(default="unknown", metadata={"json": "role"})
    kind: str = ""
    split: Split = "train"
    better: Better = "none"
    standing: Standing = "unknown"
    reason: str = ""
    could_be: tuple[RoleName, ...] = ()


UNKNOWN = Role()
