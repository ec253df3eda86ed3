"""The presets: complete settings for known jobs, one YAML file each in the folder ``presets`` beside this file."""

from __future__ import annotations

import difflib
from functools import cache
from importlib import resources
from typing import Any

from pydantic import ValidationError

from vaelab.config import yaml_text
from vaelab.config.schema import TrainConfig
from vaelab.errors import ConfigError


@cache
def preset_names() -> tuple[str, ...]:
    """Names of all presets, sorted."""
    folder = resources.files("vaelab.config") / "presets"
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


def preset_text(name: str) -> str:
    """The YAML file of a preset, comments included. Raises ConfigError with the nearest names."""
    if name not in preset_names():
        raise unknown_preset(name)
    return (resources.files("vaelab.config") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")


OWN_WEIGHTS = "vaelab:"
"""Before the name of weights that come with a preset, in ``model.pretrained``."""


def own_weights(source: str) -> str:
    """The folder of weights that come with vaelab for ``vaelab:NAME``; any other source as it is."""
    if not source.startswith(OWN_WEIGHTS):
        return source
    return str(resources.files("vaelab.config") / "presets" / "weights" / source.removeprefix(OWN_WEIGHTS))


def load_preset(name: str) -> dict[str, Any]:
    """The options that the preset sets, by section; a preset that starts from another (``base``) includes it."""
    settings = yaml_text.parse(preset_text(name), f"preset {name}")
    base = settings.pop("base", None)
    merged = {} if base is None else load_preset(base)
    for key, value in settings.items():
        merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
    return {"name": name, **merged, **({"name": name} if base is not None else {})}


def preset(name: str) -> TrainConfig:
    """The settings of a preset. Raises ConfigError with the nearest names for an unknown one."""
    try:
        return TrainConfig.model_validate(load_preset(name))
    except ValidationError as error:
        raise ConfigError(f"preset {name}: {error}") from None


def presets() -> dict[str, TrainConfig]:
    """All presets by name."""
    return {name: preset(name) for name in preset_names()}


def unknown_preset(name: str) -> ConfigError:
    """The error for a name that is no preset."""
    near = difflib.get_close_matches(name, preset_names(), n=2, cutoff=0.5)
    advice = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(preset_names())}"
    return ConfigError(f"there is no preset or file {name}; {advice}")
