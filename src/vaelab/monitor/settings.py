"""Settings of a run in whatever form a trainer holds them -> a flat mapping of plain values that vaelab understands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaelab.dialects import canonical_config
from vaelab.errors import ConfigError
from vaelab.files import read_text
from vaelab.own_settings import is_own
from vaelab.readers.base import flatten
from vaelab.readers.config_text import parse_config_text


def plain_settings(config: Any) -> dict[str, Any]:
    """Settings under their own flat names (``loss.kl_weight``); only those that vaelab knows, so that no secret is kept.

    config: a mapping (nested or flat, OmegaConf too), an argparse namespace, a dataclass or a pydantic model, or the path
    of a YAML or JSON file. Raises ConfigError if it is none of these, or the file cannot be read.
    """
    flat = flatten(_mapping(config))
    if not is_own(flat):
        flat = {key: value for key, value in flat.items() if canonical_config({key: value})}
    return {key: _plain(value) for key, value in flat.items()}


def _mapping(config: Any) -> dict[str, Any]:
    if config is None:
        return {}
    if isinstance(config, str | Path):
        return _file(Path(config))
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return dataclasses.asdict(config)
    if hasattr(config, "model_dump"):
        return dict(config.model_dump())
    if not isinstance(config, Mapping) and hasattr(config, "__dict__") and not callable(config):
        config = vars(config)
    if isinstance(config, Mapping):
        return {str(key): _mapping(value) if _nested(value) else value for key, value in config.items()}
    raise ConfigError(
        f"the config of a Monitor is a mapping, a namespace, a dataclass or the path of a YAML file, not a"
        f" {type(config).__name__}."
    )


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping) or (dataclasses.is_dataclass(value) and not isinstance(value, type))


def _file(path: Path) -> dict[str, Any]:
    try:
        found = parse_config_text(read_text(path, errors="replace"))
    except OSError as error:
        raise ConfigError(f"the config {path} cannot be read: {error.strerror or error}.") from None
    if not found:
        raise ConfigError(f"the config {path} holds no settings: a YAML or JSON file of 'name: value' lines is needed.")
    return found


def _plain(value: Any) -> Any:
    """``value`` as JSON can hold it."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)
