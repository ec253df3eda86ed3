"""The change that goes with a rollback: which setting, by how much, for which cause."""

from __future__ import annotations

from vaelab.config import TrainConfig

# First letters of a cause's id (see ``vaelab explain C2``) -> (section, option, factor). The longest match counts.
CHANGES: dict[str, tuple[str, str, float]] = {
    "C": ("loss", "kl_weight", 0.1),
    "D": ("loss", "disc_weight", 0.5),
    "": ("optim", "lr", 0.5),
}


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


def prescribe(config: TrainConfig, cause: str | None) -> tuple[TrainConfig, str]:
    """``(config with the change, what it is in words)`` for the most likely cause.

    Latent causes divide kl_weight by ten, adversarial ones halve the GAN's weight, all others halve the learning rate.
    """
    match = max((key for key in CHANGES if (cause or "").startswith(key)), key=len)
    section, option, factor = CHANGES[match]
    if getattr(getattr(config, section), option) == 0:
        section, option, factor = CHANGES[""]
    part = getattr(config, section)
    before = getattr(part, option)
    after = before * factor
    changed = config.model_copy(update={section: part.model_copy(update={option: after})})
    return changed, f"{section}.{option} {before:g} -> {after:g}"
