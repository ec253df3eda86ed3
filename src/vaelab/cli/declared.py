"""What the user declares about a run (``--config``, ``--latent``, ``--clip`` ...) -> canonical config values."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vaelab.errors import ConfigError
from vaelab.patterns import pattern

_SIZES = pattern(r"\d+(?:\s*[x×*,]\s*\d+)*", re.IGNORECASE)


def declared_config(
    config: Path | None = None,
    latent: str | None = None,
    clip: str | None = None,
    compression: str | None = None,
    channels: int | None = None,
    input_range: str | None = None,
    roles: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Canonical config of the options given; an option on the command line wins over the file.

    latent: ``CxTxHxW`` or ``CxHxW``. clip: ``TxHxW`` or ``HxW`` (one frame). compression: ``TxHxW`` or ``HxW``.
    input_range: ``low,high``. roles: ``COLUMN=ROLE`` each; they stand under ``roles``. Raises ConfigError with one sentence if one of them cannot be understood.
    """
    declared = read_config(config) if config is not None else {}
    if latent is not None:
        declared["latent_shape"] = _sizes("--latent", latent, (3, 4), "16x3x32x32 (channels, frames, height, width)")
        declared["latent_channels"] = declared["latent_shape"][0]
    if clip is not None:
        declared["clip_shape"] = _three("--clip", clip, "17x256x256 (frames, height, width)")
    if compression is not None:
        declared["compression"] = _three("--compression", compression, "8x8x8 (time, height, width)")
    if channels is not None:
        if channels < 1:
            raise ConfigError(f"--channels {channels}: the input needs at least 1 channel (3 for colour pictures).")
        declared["input_channels"] = channels
    if input_range is not None:
        declared["input_range"] = _range(input_range)
    if roles:
        from vaelab.roles import parse_map

        declared["roles"] = {**declared.get("roles", {}), **parse_map(roles)}
    return declared


def read_config(path: Path) -> dict[str, Any]:
    """Canonical values of a YAML or JSON file (nested keys allowed). Raises ConfigError with one sentence."""
    import yaml

    from vaelab.dialects import canonical_config
    from vaelab.files import read_text
    from vaelab.readers.config_text import YAML_FAILURES
    from vaelab.roles import parse_map

    try:
        raw = yaml.safe_load(read_text(path, "utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"The config {path} cannot be read: {error.strerror or error}.") from None
    except (yaml.YAMLError, *YAML_FAILURES) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise ConfigError(f"The config {path} is not valid YAML or JSON{where}.") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"The config {path} holds no settings: a file of 'name: value' lines is needed.")
    declared = canonical_config(raw)
    if isinstance(raw.get("roles"), dict):
        declared["roles"] = parse_map(f"{column}={role}" for column, role in raw["roles"].items())
    if not declared:
        raise ConfigError(
            f"The config {path} holds no setting that vaelab knows, such as kl_weight, disc_start, lr or latent_shape."
        )
    return declared


def measured_numbers(files: Sequence[Path], runs: int) -> dict[str, float]:
    """What ``vaelab probe`` and ``vaelab evaluate`` measured, from their JSON files, to be laid over what stands beside the
    log. Raises LogError if a file cannot be read, ConfigError if there are several ``runs`` that it could belong to."""
    from vaelab.readers.measured import read_measured

    found: dict[str, float] = {}
    for file in files:
        found.update(read_measured(file))
    if files and runs > 1:
        raise ConfigError(f"--probe belongs to one run, and {runs} were found: name the log of that run.")
    return found


def _sizes(option: str, text: str, lengths: tuple[int, ...], example: str) -> list[int]:
    sizes = [int(n) for n in re.findall(r"\d+", text)] if _SIZES.fullmatch(text.strip()) else []
    if len(sizes) not in lengths or min(sizes, default=0) < 1:
        raise ConfigError(f"{option} {text!r} is not understood: write sizes as in {example}.")
    return sizes


def _three(option: str, text: str, example: str) -> list[int]:
    sizes = _sizes(option, text, (2, 3), example)
    return [1, *sizes] if len(sizes) == 2 else sizes


def _range(text: str) -> list[float]:
    try:
        low, high = (float(part) for part in text.strip("[]() ").split(","))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"--range {text!r} is not understood: write the lowest and highest input value as in -1,1.")
    return [low, high]
