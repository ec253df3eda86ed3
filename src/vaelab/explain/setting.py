"""What a setting of a training is: a weight, a step, a rate."""

from __future__ import annotations

from vaelab.catalog import METRICS
from vaelab.causes import CAUSES
from vaelab.config.options import OPTIONS, Option
from vaelab.dialects import canonical_config
from vaelab.dialects.config_names import names_of
from vaelab.explain.text import Explanation, Section
from vaelab.own_settings import CANONICAL

# weights: the metric that each multiplies, and how values of different trainers compare
WEIGHTS = {
    "kl_weight": (
        "kl_loss",
        "Values of two trainers compare only in one unit, because losses are sums in one and means in the other: as effective beta, "
        "the weight where nll and KL are both summed over a sample and the pixel loss has weight 1. Published recipes lie at 1e-6 to "
        "3e-5. vaelab diagnose and vaelab lint convert it.",
    ),
    "pixelloss_weight": ("rec_loss", "It also sets how small the KL and the GAN are beside the reconstruction."),
    "perceptual_weight": ("perceptual_loss", "In some trainers the logged loss already has it inside."),
    "disc_weight": (
        "g_loss",
        "With an adaptive weight it multiplies d_weight, so the GAN's share of the gradient at the last layer is about disc_weight "
        "whatever the losses are.",
    ),
    "disc_factor": ("g_loss", "A switch of latent-diffusion's loss beside disc_weight: 0 leaves the GAN out."),
    "codebook_weight": ("quant_loss", ""),
}


def explain_setting(word: str) -> Explanation | None:
    """The setting that ``word`` (``kl_weight``, ``loss.kl_weight``, another trainer's ``klloss_weight``) names, if it is one."""
    option = OPTIONS.get(word) or next((o for o in OPTIONS.values() if o.name == word), None)
    name = CANONICAL.get(option.key, option.name) if option else next(iter(canonical_config({word: 1})), None)
    if name is None:
        return None
    option = option or next((o for o in OPTIONS.values() if CANONICAL.get(o.key, o.name) == name), None)
    metric, note = WEIGHTS.get(name, ("", ""))
    causes = [f"{c.id} {c.name}: {change}" for c in CAUSES.values() for change in c.change if change.key == name]
    weighed = f"{metric} ({METRICS[metric].title}): vaelab explain {metric}" if metric else ""
    sections = [
        Section("What it does", _line(option.description if option else "")),
        Section("What it multiplies", _line(weighed)),
        Section("How to read it", _line(note)),
        Section("In vaelab train", _line(f"{option.key}: {option.type}; default {option.default}" if option else "")),
        Section("Other names", _line(", ".join(n for n in names_of(name) if n != word))),
        Section("Causes whose cure changes it", tuple(causes)),
    ]
    title = _title(option, metric, name)
    return Explanation("setting", name, title, tuple(s for s in sections if s.lines))


def _title(option: Option | None, metric: str, name: str) -> str:
    if metric:
        return f"weight of the {METRICS[metric].title}"
    return option.key if option else name


def _line(text: str) -> tuple[str, ...]:
    return (text,) if text else ()
