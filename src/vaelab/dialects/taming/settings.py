"""taming-transformers' YAML, started by Lightning."""

from __future__ import annotations

from typing import Any

from vaelab.config.foreign.source import SettingsSource
from vaelab.dialects.ldm.settings import (
    GLOBAL_STEP,
    LOSS,
    NETWORK,
    LightningFile,
    PublicCode,
    has_autoencoder,
    target_of,
)
from vaelab.dialects.plan import Ignored, Loss, Plan

ID, TITLE = "taming", "taming-transformers (VQGAN)"
PUBLIC = PublicCode(
    ("taming.",),
    frozenset(
        [
            "VQModel",
            "VQSegmentationModel",
            "VQNoDiscModel",
            "GumbelVQ",
            "VQLPIPSWithDiscriminator",
            "BCELoss",
            "BCELossWithQuant",
            "DummyLoss",
        ]
    ),
    frozenset(
        [
            "ddconfig",
            "lossconfig",
            "n_embed",
            "embed_dim",
            "ckpt_path",
            "ignore_keys",
            "image_key",
            "colorize_nlabels",
            "monitor",
            "remap",
            "sane_index_shape",
            "n_labels",
            "temperature_scheduler_config",
            "kl_weight",
        ]
    ),
    NETWORK,
    LOSS,
    old_lightning=True,
)


def certainty(text: str, parsed: Any) -> float:
    """A VQGAN of the package taming, not one of its transformers; less sure, any autoencoder with a codebook."""
    target, described = target_of(parsed) or "", has_autoencoder(parsed)
    if target.startswith("taming.") and (described or "vqgan" in target):
        return 0.9
    return 0.6 if described and ("vq" in target.lower() or "n_embed" in parsed["model"]["params"]) else 0.0


def plans(text: str, parsed: Any, path: str) -> list[Plan]:
    """The one training of the file."""
    file = LightningFile.of(text, parsed)
    gan = file.gan(0, None, GLOBAL_STEP)
    pixel = f"{file.loss}pixelloss_weight"
    unread = pixel in file.options and file.options.number(pixel) != 1.0
    return [
        Plan(
            ID,
            TITLE,
            file.options,
            file.keys(),
            file.schedule(gan),
            gan,
            Loss("mean", 1.0, file.perceptual_weight),
            file.image(),
            file.optim(scaled=True),
            (Ignored(pixel, "stored, but the loss does not use it"),) if unread else (),
        ).as_fork(file.signs(PUBLIC))
    ]


SETTINGS = (
    SettingsSource(
        ID,
        TITLE,
        "CompVis/taming-transformers at 3ba01b2",
        certainty,
        plans,
        not_imported="it has a codebook (vector quantisation), and vaelab trains continuous autoencoders only; for one of the"
        " same size start from the preset image-kl-f8",
    ),
)
