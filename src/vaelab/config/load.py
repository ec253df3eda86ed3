"""From a preset or a YAML file and ``key=value`` changes to checked settings, and back to YAML."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vaelab.config import yaml_text
from vaelab.config.options import OPTIONS, find_option, unknown_option
from vaelab.config.presets import load_preset, preset_names, unknown_preset
from vaelab.config.problems import sentences
from vaelab.config.schema import TrainConfig
from vaelab.errors import ConfigError
from vaelab.files import read_text

SECTIONS = tuple(dict.fromkeys(option.section for option in OPTIONS.values() if option.section))


def load_config(source: str, overrides: Sequence[str] = ()) -> TrainConfig:
    """The settings of ``source`` (a preset's name or a YAML file) with ``overrides`` (``loss.kl_weight=1e-6``) applied.

    A file may start from a preset with ``base: NAME``. Names without a section (``kl_weight=1e-6``) are allowed where only
    one section has them. Raises ConfigError: unknown preset, file, option or value.
    """
    settings = _read(source)
    for override in overrides:
        _apply(settings, override)
    return checked(settings, source)


def checked(settings: Mapping[str, Any], where: str) -> TrainConfig:
    """``settings`` as a TrainConfig. Raises ConfigError that names each wrong option, its value and what is allowed."""
    for key, option in OPTIONS.items():
        value = (settings.get(option.section) or {}).get(option.name) if option.section else settings.get(key)
        if isinstance(value, bool) and not option.is_switch:  # pydantic would read true as 1
            raise ConfigError(f"{where}: {key} = {str(value).lower()} is not possible; allowed is: {option.type}")
    try:
        return TrainConfig.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(f"{where}: {sentences(error)}") from None


def dump_config(config: TrainConfig) -> str:
    """All settings as YAML, defaults included; ``load_config`` gives the same settings back."""
    return yaml_text.write(config.model_dump())


def _read(source: str) -> dict[str, Any]:
    if source in preset_names():
        return load_preset(source)
    path = Path(source)
    looks_like_file = path.suffix in (".yaml", ".yml") or "/" in source or "\\" in source
    if not looks_like_file and not path.is_file():
        raise unknown_preset(source)
    settings = yaml_text.parse(_text(path), source)
    if not isinstance(settings, dict):
        found = "nothing" if settings is None else f"one {type(settings).__name__}"
        raise ConfigError(f"{source} holds {found}; settings are written as sections: {', '.join(SECTIONS)}")
    settings = {str(key): value for key, value in settings.items()}
    base = settings.pop("base", None)
    _check_names(settings, source)
    return settings if base is None else _merged(_base(base, source), settings)


def _text(path: Path) -> str:
    try:
        return read_text(path, "utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"{path} does not exist; give a YAML file or one of the presets {', '.join(preset_names())}"
        ) from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"{path} cannot be read: {reason}") from None


def _base(name: Any, source: str) -> dict[str, Any]:
    if name in preset_names():
        return load_preset(str(name))
    raise ConfigError(f"{source}: base must be a preset; {unknown_preset(str(name))}")


def _check_names(settings: Mapping[str, Any], source: str) -> None:
    """Refuse unknown names before anything is merged, with the place where a misplaced one belongs."""
    for key, value in settings.items():
        if key in SECTIONS:
            if not isinstance(value, dict):
                raise ConfigError(f"{source}: {key} is a section: write its options below it, one a line")
            for name in value:
                if f"{key}.{name}" not in OPTIONS:
                    raise unknown_option(f"{key}.{name}", source)
        elif key not in OPTIONS:
            raise unknown_option(key, source)


def _merged(base: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Options of ``settings`` over those of ``base``; a free table (``data.options``) is replaced as a whole."""
    for key, value in settings.items():
        base[key] = {**base.get(key, {}), **value} if key in SECTIONS else value
    return base


def _apply(settings: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"{override!r} is not a change of an option: write name=value, for example kl_weight=1e-6")
    option, rest = find_option(name.strip())
    value = yaml_text.parse(text, f"the value of {name.strip()}")
    if option.is_text and not isinstance(value, str | None):
        value = text.strip()  # name=2026 is text where text is asked for
    target = settings.setdefault(option.section, {}) if option.section else settings
    if rest:
        target[option.name] = table = copy.deepcopy(target.get(option.name) or {})
        for key in rest[:-1]:
            inner = table.get(key)
            table[key] = table = inner if isinstance(inner, dict) else {}
        table[rest[-1]] = value
    else:
        target[option.name] = value
