"""Which trainer wrote a log, from the names of its columns, the format and the config."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.trainers.config_names import flatten_config
from vaelab.trainers.registry import TRAINERS


def detect(originals: Sequence[str], format: str, raw_config: Mapping[str, Any]) -> tuple[str, float, str]:
    """``(trainer id, confidence 0..1, reason)`` from the columns' original names, the file format and the config."""
    bare = {bare_name(name) for name in originals}
    if format in ("metric_logger", "pyramid_flow_json") and {"perception_loss", "vae_loss"} & bare:
        return "pyramid_flow", 0.99, "MetricLogger lines with Pyramid-Flow's perception_loss / vae_loss"
    if format == "radiodiff_log":
        return "radiodiff", 0.99, "'[Train Step] i/n' lines in pairs"
    if format in ("vaelab_run", "vaelab_console"):
        return "vaelab", 1.0, "the log of vaelab train"
    checks: tuple[tuple[str, set[str], set[str], float], ...] = (
        ("pyramid_flow", {"perception_loss", "rec_loss"}, set(), 0.95),
        ("vaelab", {"rec_mse", "clip_coefficient"}, set(), 0.99),
        ("vaelab", {"kl_nats_per_element"}, set(), 0.99),
        ("sgm", {"loss/rec"}, set(), 0.95),
        ("vidtok", {"non_saturated_d_loss", "rec_loss"}, {"reconstruct_loss"}, 0.95),
        ("seed_voken_ibq", {"unsacled_g_loss", "codebook_quant_loss"}, set(), 0.95),
        ("seed_voken", {"reconstruct_loss", "perceptual_loss"}, set(), 0.9),
        ("taming", {"aeloss", "quant_loss"}, set(), 0.95),
        ("ldm", {"aeloss", "kl_loss", "rec_loss"}, set(), 0.95),
        ("ldm", {"discloss", "kl_loss", "rec_loss"}, set(), 0.9),
        ("wf_vae", {"generator_loss", "latents_std"}, set(), 0.95),
        ("open_sora", {"nll_rec", "nll_per"}, set(), 0.95),
        ("open_sora", {"loss_.nll_rec", "loss_.nll_per"}, set(), 0.95),
        ("open_sora_v1", {"z_nll_loss", "nll_loss", "kl_loss"}, set(), 0.95),
        ("diffusers_vqgan", {"step_gen_loss", "step_discr_loss"}, set(), 0.95),
        ("diffusers", {"p_loss", "nll_loss", "kl_loss", "disc_weight"}, set(), 0.9),
        ("vqgan_training", {"overall_vae_loss"}, set(), 0.95),
        ("magvit2", {"recon_loss", "discr_loss"}, set(), 0.8),
        (
            "radiodiff",
            {"total_loss", "rec_loss", "kl_loss", "d_weight", "disc_factor", "learning_rate"},
            {"nll_loss"},
            0.9,
        ),
        (
            "radiodiff",
            {"nll_loss", "rec_loss", "kl_loss", "logvar", "lr"},
            {"perception_loss", "p_loss", "grad_norm"},
            0.75,
        ),
        ("pyramid_flow", {"pixelloss_weight", "perceptual_weight"}, set(), 0.5),
    )
    names = bare | {bare_name(k) for k in flatten_config(raw_config)}
    for trainer, need, forbid, confidence in checks:
        present = names if trainer == "pyramid_flow" and confidence < 0.6 else bare
        if need <= present and not forbid & bare:
            reason = f"columns {', '.join(sorted(need))} as {TRAINERS[trainer].title} names them"
            return trainer, confidence, reason
    return "unknown", 0.0, "the columns fit no trainer vaelab knows; names are read by the catalogue's aliases"


def bare_name(name: str) -> str:
    """A column's own name in lower case, without its split (``train/``) and Lightning's ``_step`` or ``_epoch``."""
    text = re.sub(r"\s+", "_", name.strip().lower())
    text = re.sub(r"^(train|training|val|val_ema|valid|validation)[/_.]", "", text)
    return re.sub(r"_(step|epoch)$", "", text) if text not in ("global_step",) else text
