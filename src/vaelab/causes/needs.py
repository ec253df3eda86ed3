"""Facts without which a cause cannot act: the closed list of predicates that an entry's ``needs`` may name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from vaelab.facts import Facts

Need = Literal["gan", "perceptual", "kl", "quantiser", "resume"]


def met(need: Need, facts: Facts) -> bool:
    """Whether the log, its settings or a probe show what ``need`` names.

    gan: a discriminator acts. perceptual, kl, quantiser: such a term is logged, or declared with a weight. resume: the run went on
    from a checkpoint of its own.
    """
    view, measured = facts.view, facts.run.measured
    if need == "gan":
        return facts.adversary is not None or "probe.gradient_share_gan" in measured
    if need == "resume":
        return bool(facts.phases.resumes)
    if need == "perceptual":
        return view.has_role("perceptual") or bool(view.number("perceptual_weight")) or bool(measured)
    if need == "kl":
        return view.has_role("kl") or bool(view.number("kl_weight")) or bool(measured)
    return view.has_role("quantiser", "codebook_usage", "entropy") or bool(view.number("codebook_weight"))
