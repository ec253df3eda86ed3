"""Declared values under canonical names, whatever the trainer called them."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from typing import Any

from vaelab.dialects.registry import DIALECTS
from vaelab.own_settings import CANONICAL, canonical_own, is_own

# names that many trainers use; those of one trainer are in its folder
_COMMON_NAMES: dict[str, str] = {
    "klloss_weight": "kl_weight",
    "learning_rate": "lr",
    "base_learning_rate": "lr",
    "gradient_clip_val": "clip_grad",
    "max_grad_norm": "clip_grad",
    "grad_clip": "clip_grad",
    "max_train_steps": "total_steps",
    "max_steps": "total_steps",
    "num_training_steps": "total_steps",
    "disc_start_iter": "disc_start",
    "disc_in_channels": "input_channels",
    "mixed_precision": "model_dtype",
    "mix_precision": "model_dtype",
    "image_size": "resolution",
}
_CONFIG_KEYS = {
    "kl_weight", "pixelloss_weight", "perceptual_weight", "disc_weight", "disc_start", "disc_factor", "disc_lr", "lr",
    "min_lr", "clip_grad", "batch_size", "epochs", "iters_per_epoch", "warmup_epochs", "warmup_steps", "total_steps",
    "resolution", "max_frames", "add_discriminator", "freeze_encoder", "latent_channels", "ch_mult", "input_channels",
    "logvar_init", "learn_logvar", "disc_loss", "opt_betas", "optimizer_config", "print_freq", "log_freq", "latent_shape",
    "clip_shape", "compression", "input_range", "gradient_accumulate_every", "accumulate_grad_batches",
    "pretrained_vae_weight", "model_path", "resume", "image_gpus", "video_gpus", "use_image_video_mixed_training",
    "kl_reduction", "nll_reduction", "pixel_loss", "codebook_weight", "commit_weight", "lecam_weight", "fp16", "amp", "model_dtype", "ema_decay", "weight_decay", "dataset",
}  # fmt: skip
_NAMES = {name: key for d in DIALECTS.values() for name, key in d.setting_names.items()} | _COMMON_NAMES


def names_of(key: str) -> tuple[str, ...]:
    """What public trainers call the setting ``key``, itself first: ``("kl_weight", "klloss_weight", ...)``."""
    return (key, *sorted(name for name, canonical in _NAMES.items() if canonical == key))


def canonical_config(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Declared values under canonical names. Nested keys are matched by their last part; unknown keys are left out."""
    found: dict[str, Any] = {}
    flat = flatten_config(raw)
    own = is_own(flat)
    for path, value in flat.items():
        last = path.rsplit(".", 1)[-1].lower().lstrip("-").replace("-", "_")
        key = last if last in _CONFIG_KEYS else _NAMES.get(last)
        if own:
            # arguments of a model class or of a data source may have any name
            free = path.startswith(("model.config.", "data.options.")) and key != "latent_channels"
            key = None if free else CANONICAL.get(path, key)
        if key is None or value is None or value == "":
            continue
        if key in found and last != key:
            continue
        found[key] = _number(value)
    per_epoch = _count(found.get("iters_per_epoch"))
    for key, epochs in (("total_steps", "epochs"), ("warmup_steps", "warmup_epochs")):
        count = _count(found.get(epochs))
        if key not in found and per_epoch is not None and count is not None:
            found[key] = count * per_epoch
    return canonical_own(found, flat) if own else found


def _count(value: Any) -> int | None:
    """A whole number of epochs or steps, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value)


def _number(value: Any) -> Any:
    """YAML 1.1 reads ``1e-6`` as text: numbers in text become numbers, everything else stays.

    A whole number that no float can hold is no count of anything: it becomes text.
    """
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        return repr(value)
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        if math.isinf(number):
            return value
        return int(number) if re.fullmatch(r"[-+]?\d+", value.strip()) else number
    return value


def flatten_config(raw: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in raw.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            flat.update(flatten_config(value, path))
        else:
            flat[path] = value
    return flat
