"""What a user declares of a run: values that are none are refused, and sizes that contradict the log or its settings."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from vaelab.errors import ArgumentError, ConfigError
from vaelab.patterns import pattern
from vaelab.run import Run

_NUMBERS = frozenset(
    ("kl_weight", "pixelloss_weight", "perceptual_weight", "disc_weight", "codebook_weight", "commit_weight", "lecam_weight", "disc_start",
     "disc_factor", "lr", "min_lr", "disc_lr", "clip_grad", "batch_size", "epochs", "iters_per_epoch", "warmup_epochs", "warmup_steps",
     "total_steps", "latent_channels", "input_channels")
)  # fmt: skip
_SHAPES = frozenset(("latent_shape", "clip_shape"))
_SIZES = pattern(r"\s*[\[(]?\s*\d+(?:\.0*)?(?:\s*[x,]\s*\d+(?:\.0*)?)*\s*[\])]?\s*", re.IGNORECASE)
_NOT_SAID = pattern(r"auto|none|null|\$\{.*\}", re.IGNORECASE)  # of launchers: filled in when the run starts


def mapping_of(given: object, name: str, example: str) -> Mapping[str, Any]:
    """``given`` if it is a mapping, empty for None. Raises ArgumentError otherwise."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ArgumentError(f"{name} is of type {type(given).__name__}: give a mapping, as in {name}={example}.")
    return given


def check_values(canonical: Mapping[str, Any]) -> None:
    """Raise ArgumentError where a declared weight, rate, count or shape (under its canonical name) is none."""
    for key, value in canonical.items():
        said = isinstance(value, str) and not _NOT_SAID.fullmatch(value.strip())
        if key in _NUMBERS and (said or (isinstance(value, float) and math.isnan(value))):
            raise ArgumentError(f"{key} is declared as {value!r}, which is no number: correct it, or leave it out.")
        if key in _SHAPES and said and not _SIZES.fullmatch(value):
            raise ArgumentError(f"{key} is declared as {value!r}, which is no shape: write it as in 16x3x32x32.")


def check_declared(declared: Mapping[str, Any], run: Run) -> None:
    """Raise ConfigError, with both numbers, where a declared shape cannot be that of ``run``.

    Sizes only: a weight or a rate that is declared anew is taken as a correction of what the log says.
    """
    latent, clip = _sizes(declared.get("latent_shape")), _sizes(declared.get("clip_shape"))
    channels, pixels = _count(run, "latent_channels"), _count(run, "resolution")
    if latent and channels and latent[0] != channels:
        _refuse(run, f"--latent {_shown(latent)} has {latent[0]} channels", f"latent_channels {channels}")
    if latent and pixels and max(latent[-2:]) > pixels:
        _refuse(run, f"--latent {_shown(latent)} is larger than the input", f"resolution {pixels}")
    if clip and pixels and pixels not in clip[-2:]:
        _refuse(run, f"--clip {_shown(clip)} is {clip[-2]} x {clip[-1]} pixels", f"resolution {pixels}")
    frames = _count(run, "max_frames")
    if clip and frames and len(clip) == 3 and 1 < clip[0] != frames:
        _refuse(run, f"--clip {_shown(clip)} has {clip[0]} frames", f"max_frames {frames}")
    inputs, given = _count(run, "input_channels"), declared.get("input_channels")
    if inputs and isinstance(given, int) and given != inputs:
        _refuse(run, f"--channels {given}", f"input_channels {inputs}")


def _refuse(run: Run, said: str, logged: str) -> None:
    raise ConfigError(
        f"{said}, but {run.source} (or the settings beside it) says {logged}: correct the option, or leave it out."
    )


def _count(run: Run, key: str) -> int | None:
    value = run.config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _sizes(value: object) -> list[int]:
    return list(value) if isinstance(value, list | tuple) and all(isinstance(n, int) for n in value) else []


def _shown(sizes: list[int]) -> str:
    return "x".join(map(str, sizes))
