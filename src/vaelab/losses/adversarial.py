"""Losses of the discriminator and of the generator against it."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from vaelab.errors import ConfigError

KINDS = ("hinge", "vanilla", "non-saturating")


def _check(kind: str) -> None:
    if kind not in KINDS:
        raise ConfigError(f"loss.disc_loss {kind!r} is not known: use {', '.join(KINDS)}")


def disc_loss(kind: str, logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """Loss of the discriminator, a scalar in float32, halved as in the field (taming-transformers).

    logits_real, logits_fake: logits of any shape on data and on reconstructions; pass the reconstructions detached.

    - ``hinge``: 0.5 * (mean relu(1 - real) + mean relu(1 + fake)); 1.0 at logits of 0, 0 when it separates by a margin
    - ``vanilla`` and ``non-saturating``: 0.5 * (mean softplus(-real) + mean softplus(fake)), cross-entropy; ln 2 = 0.693
      at logits of 0
    """
    _check(kind)
    real, fake = logits_real.float(), logits_fake.float()
    if kind == "hinge":
        return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())
    return 0.5 * (F.softplus(-real).mean() + F.softplus(fake).mean())


def gen_loss(kind: str, logits_fake: Tensor) -> Tensor:
    """Loss of the generator against the discriminator, a scalar in float32.

    - ``hinge`` and ``vanilla``: -mean(fake), as the field; any sign, no lower bound
    - ``non-saturating``: mean softplus(-fake) (Goodfellow et al. 2014), never negative, ln 2 at logits of 0

    VidTok's ``gen_loss_cross_entropy`` (hinge for the discriminator, softplus of the clip's mean logit for the generator)
    is not offered: its two players do not play for the same quantity.
    """
    _check(kind)
    fake = logits_fake.float()
    return F.softplus(-fake).mean() if kind == "non-saturating" else -fake.mean()
