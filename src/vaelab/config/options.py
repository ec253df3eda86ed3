"""All options of the settings as one table, and finding an option by the name that a person types."""

from __future__ import annotations

import difflib
import types
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeGuard

from pydantic.fields import FieldInfo

from vaelab import dialects
from vaelab.config.schema import Section, TrainConfig
from vaelab.errors import ConfigError


@dataclass(frozen=True)
class Option:
    """One option. ``section`` is empty for name and description; ``type`` and ``default`` are written for people."""

    section: str
    name: str
    type: str
    default: str
    description: str
    annotation: Any

    @property
    def key(self) -> str:
        """``loss.kl_weight``"""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def is_text(self) -> bool:
        """Whether its value is any text (a path, a name)."""
        return self.annotation in (str, str | None)

    @property
    def is_switch(self) -> bool:
        """Whether it is true or false."""
        return self.annotation is bool

    @property
    def is_table(self) -> bool:
        """Whether it holds options of its own that only their reader knows."""
        return typing.get_origin(self.annotation) is dict


def _is_section(annotation: Any) -> TypeGuard[type[Section]]:
    # list[str] counts as a type in Python 3.10
    return typing.get_origin(annotation) is None and isinstance(annotation, type) and issubclass(annotation, Section)


def _options(model: type[Section], section: str = "") -> dict[str, Option]:
    found: dict[str, Option] = {}
    for name, info in model.model_fields.items():
        annotation = info.annotation
        if _is_section(annotation):
            found.update(_options(annotation, name))
        else:
            default = _default(info)
            option = Option(section, name, _type(info), default, info.description or "", annotation)
            found[option.key] = option
    return found


def _type(info: FieldInfo) -> str:
    """``number >= 0``, ``l1 | mse``, ``two whole numbers``"""
    text, bounds = _annotation(info.annotation), _bounds(info)
    text, nothing = (text.removesuffix(" or null"), " or null") if text.endswith(" or null") else (text, "")
    return f"{text} {bounds}{nothing}" if bounds else text + nothing


def _bounds(info: FieldInfo) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    return " and ".join(
        f"{sign} {getattr(part, name):g}"
        for part in info.metadata
        for name, sign in signs.items()
        if getattr(part, name, None) is not None
    )


def _annotation(annotation: Any) -> str:
    words = {bool: "true | false", int: "whole number", float: "number", str: "text", type(None): "null"}
    if annotation in words:
        return words[annotation]
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return f"{_annotation(parts[0])} {' '.join(_bounds(part) for part in parts[1:])}"
    if origin is Literal:
        return " | ".join(str(part) for part in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_annotation(part) for part in parts)
    if origin is tuple:
        word = _annotation(parts[0])
        return f"[{word}, {word}]"
    if origin is list:
        return f"[{_annotation(parts[0])}, ...]"
    return "table"


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True)
    if isinstance(value, tuple):
        value = list(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | dict):
        return str(value).replace("'", "")
    return f"{value:g}" if isinstance(value, float) else str(value)


OPTIONS: dict[str, Option] = _options(TrainConfig)

# names that other trainers use for something that is called otherwise here
_ELSEWHERE = {
    "total_steps": "run.steps",
    "epochs": "run.steps",
    "max_frames": "data.frames",
    "sample_num_frames": "data.frames",
    "num_workers": "data.workers",
    "image_mix_ratio": "data.image_share",
    "gradient_accumulate_every": "optim.accumulate",
    "accumulate_grad_batches": "optim.accumulate",
    "gradient_accumulation_steps": "optim.accumulate",
    "learn_logvar": "loss.logvar",
    "add_discriminator": "loss.disc",
    "disc_type": "loss.disc",
    "disc_num_layers": "loss.disc_layers",
    "n_layers": "loss.disc_layers",
    "ndf": "loss.disc_channels",
    "opt_betas": "optim.betas",
    "print_freq": "run.log_every",
    "log_freq": "run.log_every",
    "fp16": "optim.precision",
    "bf16": "optim.precision",
    "model_dtype": "optim.precision",
    "mixed_precision": "optim.precision",
    "loss_type": "loss.pixel_loss",
    "rec_loss": "loss.pixel_loss",
    "lpips_ckpt": "loss.perceptual_weights",
    "sample_fps": "data.fps",
    "ema": "optim.ema_decay",
}


def groups() -> dict[str, str]:
    """The sections of the settings, each with the sentence that says what it is about."""
    sections = {name: info.annotation for name, info in TrainConfig.model_fields.items()}
    return {
        name: (section.__doc__ or "").replace("``", "") for name, section in sections.items() if _is_section(section)
    }


def options_table() -> list[tuple[str, str, str, str, str]]:
    """``(section, name, type, default, description)`` of every option, in the order of the schema."""
    return [(o.section, o.name, o.type, o.default, o.description) for o in OPTIONS.values()]


def find_option(name: str) -> tuple[Option, tuple[str, ...]]:
    """The option that ``loss.kl_weight`` or ``kl_weight`` names, and the keys inside it (``data.options.scenes``).

    Raises ConfigError with the nearest names.
    """
    parts = tuple(name.split("."))
    for key, option in OPTIONS.items():
        path = tuple(key.split("."))
        bare = (option.name,) if sum(o.name == option.name for o in OPTIONS.values()) == 1 else path
        for spelling in (path, bare):
            rest = parts[len(spelling) :]
            if parts[: len(spelling)] == spelling and all(parts) and (not rest or option.is_table):
                return option, rest
    raise unknown_option(name, "")


def unknown_option(name: str, where: str) -> ConfigError:
    """The error for a name that is no option: where it belongs, or the nearest names."""
    last = name.rsplit(".", 1)[-1]
    known = {option.name: option.key for option in OPTIONS.values()}
    prefix = f"{where}: " if where else ""
    if name in {option.section for option in OPTIONS.values() if option.section}:
        names = ", ".join(o.name for o in OPTIONS.values() if o.section == name)
        return ConfigError(f"{prefix}{name} is a section, not an option; its options are {names}")
    if "." in name and any(
        option.is_table is False and name.startswith(f"{option.key}.") for option in OPTIONS.values()
    ):
        return ConfigError(f"{prefix}{name.rsplit('.', 1)[0]} holds one value, nothing inside it can be set")
    if last in known:
        return ConfigError(f"{prefix}there is no option {name}; {last} belongs to another section: {known[last]}")
    plain = last.lower().lstrip("-").replace("-", "_")
    canonical = next(iter(dialects.canonical_config({plain: 1})), plain)
    if canonical in known or plain in _ELSEWHERE or canonical in _ELSEWHERE:
        here = known.get(canonical) or _ELSEWHERE.get(plain) or _ELSEWHERE[canonical]
        return ConfigError(f"{prefix}there is no option {name}; here it is called {here}")
    near = difflib.get_close_matches(plain, known, n=3, cutoff=0.6)
    advice = (
        f"the nearest are {', '.join(known[n] for n in near)}"
        if near
        else "vaelab train --help lists the groups of options"
    )
    return ConfigError(f"{prefix}there is no option {name}; {advice}")
