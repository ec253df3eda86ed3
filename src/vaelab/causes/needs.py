"""Facts without which a cause cannot act: the closed list of predicates that an entry's ``needs`` may name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from vaelab.facts import Facts

Need = Literal["gan", "perceptual", "kl", "quantiser", "resume", "half-precision", "rows"]


def met(need: Need, facts: Facts) -> bool:
    """Whether the log, its settings or a probe show what ``need`` names.

    gan: a discriminator acts. perceptual, kl, quantiser: such a term is logged, or declared with a weight. resume: the run went on
    from a checkpoint of its own. rows: the run came as far as a first row. half-precision: settings, a loss scale or the trainer's own code say that fp16 or bf16 is used.
    """
    view, measured = facts.view, facts.run.measured
    if need == "gan":
        return facts.adversary is not None or "probe.gradient_share_gan" in measured
    if need == "rows":
        return len(facts.run) > 0
    if need == "resume":
        return bool(facts.phases.resumes)
    if need == "half-precision":
        return half_precision(facts) or bool(measured)
    if need == "perceptual":
        return view.has_role("perceptual") or bool(view.number("perceptual_weight")) or bool(measured)
    if need == "kl":
        return view.has_role("kl") or bool(view.number("kl_weight")) or bool(measured)
    return view.has_role("quantiser", "codebook_usage", "entropy") or bool(view.number("codebook_weight"))


def half_precision(facts: Facts) -> bool:
    """Whether something says that fp16 or bf16 is used: a setting, a loss scale that is in use, single gradients that are inf (which
    a scaler skips), or a trainer that does so unless told otherwise."""
    view = facts.view
    scale = view.series("loss_scale").values
    norm = facts.run.columns.get("grad_norm")
    skipped = norm is not None and bool(np.any(norm.logged & np.isinf(norm.values)))
    by_default = view.trainer.precision > 0 or any(
        fault.cause in ("F1", "F2", "F5") for fault in view.trainer.known_faults
    )
    return bool(half_precision_declared(facts)) or skipped or by_default or bool(len(scale) and scale.max() > 1)


def half_precision_declared(facts: Facts) -> bool | None:
    """Whether the settings say that fp16 or bf16 is used; None where they say nothing of precision."""
    config = facts.run.config
    said = [str(config[key]).lower() for key in ("fp16", "amp", "model_dtype") if key in config]
    return any(value in ("true", "1") or "16" in value or "half" in value for value in said) if said else None
