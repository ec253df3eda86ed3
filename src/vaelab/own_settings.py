"""Settings of ``vaelab train`` as the diagnosis reads them: canonical names, and the loss conventions that follow.

The settings themselves are in ``vaelab.config.schema``; this file needs none of the trainer.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

# by their whole path, where the last part alone would say too little
CANONICAL = {
    "run.steps": "total_steps",
    "data.channels": "input_channels",
    "data.image_share": "image_share",
    "model.pretrained": "pretrained_vae_weight",
    "loss.pixel_loss": "pixel_loss",
    "loss.nll_reduction": "nll_reduction",
    "loss.kl_reduction": "kl_reduction",
    "loss.kl_warmup": "kl_warmup",
    "loss.disc_weight_mode": "disc_weight_mode",
    "loss.d_weight_max": "d_weight_max",
    "loss.disc_warmup": "disc_warmup",
    "loss.disc_ramp": "disc_ramp",
    "optim.disc_clip_grad": "disc_clip_grad",
    "optim.accumulate": "gradient_accumulate_every",
}

_LOSS = (
    "kl_weight", "kl_warmup", "pixelloss_weight", "perceptual_weight", "logvar_init", "disc_weight", "disc_start",
    "disc_factor", "disc_warmup", "disc_ramp", "lecam_weight", "d_weight_max",
)  # fmt: skip
_OPTIM = ("lr", "min_lr", "disc_lr", "clip_grad", "disc_clip_grad", "warmup_steps", "ema_decay")
# canonical name -> how the command line spells it
OPTIONS = {
    **{key: f"loss.{key}={{}}" for key in _LOSS},
    **{key: f"optim.{key}={{}}" for key in _OPTIM},
    "batch_size": "run.batch_size={}",
    "total_steps": "run.steps={}",
    "learn_logvar": "loss.logvar=learned",
    "add_discriminator": "loss.disc=patch2d",
    "fp16": "optim.precision=fp32",
    "opt_betas": "optim.betas=[{}]",
    "max_frames": "data.frames={}",
}

# canonical name -> the convention that follows from its value
_CONVENTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "pixel_loss": ("rec_kind", {k: k for k in ("mse", "l1", "l1+mse", "charbonnier")}),
    "nll_reduction": ("nll_reduction", {"mean": "mean", "sum": "sum-per-sample", "sum_per_frame": "sum-per-frame"}),
    "kl_reduction": (
        "kl_reduction",
        {
            "mean": "mean",
            "sum": "sum-per-sample",
            "sum_per_frame": "sum-per-latent-frame",
            "channel_mean": "sum-per-channel",
        },
    ),
    "disc_loss": (
        "disc_loss_family",
        {"hinge": "hinge", "vanilla": "vanilla", "non-saturating": "vanilla", "least-squares": "least-squares"},
    ),
}


def is_own(flat: Mapping[str, Any]) -> bool:
    """Whether a flat config (``loss.kl_weight``) is one of ``vaelab train``."""
    return "loss.pixel_loss" in flat


def canonical_own(found: dict[str, Any], flat: Mapping[str, Any]) -> dict[str, Any]:
    """``found`` (canonical names) with the settings of ``flat`` that need more than another name."""
    found["learn_logvar"] = flat.get("loss.logvar") == "learned"
    found["fp16"] = flat.get("optim.precision") == "fp16"
    found["add_discriminator"] = flat.get("loss.disc") != "none"
    size, frames = flat.get("data.resolution"), flat.get("data.frames")
    found.pop("resolution", None)  # height and width: the clip's shape says it
    if "clip_shape" not in found and isinstance(frames, int) and isinstance(size, list | tuple) and len(size) == 2:
        found["clip_shape"] = [frames, *size]
    if flat.get("loss.disc") == "none":
        found = {key: value for key, value in found.items() if not key.startswith("disc_")}
    return found


def own_conventions(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of ``vaelab.dialects.Dialect`` that follow from ``config`` (canonical names); what it lacks stays unknown."""
    found: dict[str, Any] = {}
    if "disc_weight_mode" in config:
        found["fixed_d_weight"] = config["disc_weight_mode"] == "fixed"
    if "learn_logvar" in config:
        found["logvar_learned"] = config["learn_logvar"] is True
    for key, (name, values) in _CONVENTIONS.items():
        value = config.get(key)
        if isinstance(value, str) and value in values:
            found[name] = values[value]
    for key, name in (("d_weight_max", "clamp"), ("disc_factor", "disc_loss_scale")):
        value = config.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < sys.float_info.max:
            found[name] = float(value)
    return found
