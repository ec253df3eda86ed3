"""Rules: one small check each. ``ALL_RULES`` lists them; adding one is one class in its family's file."""

from __future__ import annotations

from vaelab.rules import (
    adversarial,
    data,
    discriminator,
    easy_data,
    evaluated,
    evaluated_pictures,
    evaluated_video,
    generic,
    kl_weight,
    latent,
    numerics,
    optimisation,
    probed,
    probed_decoder,
    probed_training,
    quality,
    quantiser,
    reconstruction,
    resume,
    schedule,
)
from vaelab.rules.base import SEVERITY_ORDER, Finding, Rule, Severity, Skipped

__all__ = ["ALL_RULES", "SEVERITY_ORDER", "Finding", "Rule", "Severity", "Skipped"]

FAMILIES = (
    reconstruction,
    quality,
    latent,
    kl_weight,
    quantiser,
    adversarial,
    discriminator,
    optimisation,
    numerics,
    schedule,
    data,
    easy_data,
    evaluated,
    evaluated_pictures,
    evaluated_video,
    resume,
    probed,
    probed_decoder,
    probed_training,
    generic,
)

ALL_RULES: tuple[type[Rule], ...] = tuple(
    sorted(
        (
            rule
            for module in FAMILIES
            for rule in vars(module).values()
            # the module first: in Python 3.10 an alias such as list[int] passes as a type
            if isinstance(rule, type) and rule.__module__ == module.__name__ and issubclass(rule, Rule)
        ),
        key=lambda rule: rule.code,
    )
)
