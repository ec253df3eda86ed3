"""The change that goes with a rollback: that of the likeliest cause, applied to the settings the run goes on with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vaelab.causes import CAUSES
from vaelab.causes.changes import Value
from vaelab.config import TrainConfig
from vaelab.own_settings import OPTIONS

IN_FLIGHT = {
    "kl_weight", "pixelloss_weight", "perceptual_weight", "disc_weight", "disc_factor", "disc_start", "lr", "disc_lr", "clip_grad",
    "warmup_steps",
}  # fmt: skip
"""Canonical settings that a running trainer can take: all others need a new start."""


def changed_options(
    before: TrainConfig, after: TrainConfig, already: dict[str, dict[str, float]]
) -> dict[str, dict[str, float]]:
    """``already`` and the options in which ``after`` differs, by section: what a resumed run must set again."""
    result = {section: dict(options) for section, options in already.items()}
    for section in ("loss", "optim"):
        old, new = getattr(before, section), getattr(after, section)
        for name in type(new).model_fields:
            if getattr(new, name) != getattr(old, name):
                result.setdefault(section, {})[name] = getattr(new, name)
    return result


def prescribe(config: TrainConfig, cause: str | None, values: Mapping[str, Value]) -> tuple[TrainConfig, str]:
    """``(config with the change, what it is in words)`` for the likeliest cause.

    values: canonical setting -> value, where the diagnosis computed one from the run's own numbers. A cause without a change that a
    running trainer can take, or whose change is made already, halves the learning rate; the words say so.
    """
    changed, said = config, []
    for change in CAUSES[cause].change if cause in CAUSES else ():
        if change.key not in IN_FLIGHT:
            continue
        section, option = OPTIONS[change.key].partition("=")[0].split(".")
        now = getattr(getattr(changed, section), option)
        value = values.get(change.key) if callable(getattr(change, "value", None)) else change.resolve(now)
        # a perceptual network or a discriminator that was not built cannot be switched on
        if value is None or value == now or (change.key == "perceptual_weight" and not now):
            continue
        changed = _with(changed, section, option, value)
        said.append(f"{section}.{option} {_text(now)} -> {_text(value)}")
    if said:
        return changed, ", ".join(said)
    rate = config.optim.lr
    why = f"{cause} names no other change that a running trainer can take" if cause else "no cause is known"
    return _with(config, "optim", "lr", rate / 2), f"optim.lr {rate:g} -> {rate / 2:g}, because {why}"


def _with(config: TrainConfig, section: str, option: str, value: Any) -> TrainConfig:
    settings = config.model_dump()
    settings[section][option] = value
    return TrainConfig.model_validate(settings)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
