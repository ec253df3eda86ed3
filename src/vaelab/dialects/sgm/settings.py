"""generative-models' YAML, started by Lightning."""

from __future__ import annotations

from typing import Any

from vaelab.config.foreign.source import SettingsSource
from vaelab.dialects.ldm.settings import LightningFile, target_of
from vaelab.dialects.plan import Loss, Plan

ID, TITLE = "sgm", "generative-models (AutoencodingEngine)"


def certainty(text: str, parsed: Any) -> float:
    """A model of the package sgm."""
    return 0.9 if (target_of(parsed) or "").startswith("sgm.") else 0.0


def plans(text: str, parsed: Any, path: str) -> list[Plan]:
    """The one training of the file. Its base rate is scaled only with the switch --scale_lr of its main.py."""
    file = LightningFile.of(text, parsed)
    gan = file.gan(0, 2.0, "batches, of which every second one trains the discriminator")
    kl = file.options.number(f"{file.loss}regularization_weights.kl_loss")
    return [
        Plan(
            ID,
            TITLE,
            file.options,
            file.keys(),
            file.schedule(gan),
            gan,
            Loss("sum", 1.0, file.perceptual_weight, kl, "sum", file.learns_logvar),
            file.image(),
            file.optim(copied_base=True, manual=True),
        )
    ]


SETTINGS = (
    SettingsSource(
        ID,
        TITLE,
        "Stability-AI/generative-models at 0ad7de9",
        certainty,
        plans,
        not_imported="vaelab cannot import those of generative-models: start from the preset image-kl-f8",
    ),
)
