"""Every known trainer by its id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vaelab.own_settings import own_conventions
from vaelab.trainers import compvis, diffusers, own, pyramid_flow, radiodiff, tokenizers, video
from vaelab.trainers.types import Trainer

_FAMILIES = (pyramid_flow, radiodiff, compvis, tokenizers, video, diffusers, own)
TRAINERS: dict[str, Trainer] = {trainer.id: trainer for family in _FAMILIES for trainer in family.TRAINERS}


def conventions(trainer: str, config: Mapping[str, Any]) -> Trainer:
    """Conventions of ``trainer`` (an id; others give ``unknown``) under ``config``, declared values by canonical names.

    Those of ``vaelab train``, and of a loop of one's own, follow the settings; what is not declared stays unknown.
    """
    known = TRAINERS.get(trainer, TRAINERS["unknown"])
    if known.id not in ("vaelab", "unknown"):
        return known
    return replace(known, **own_conventions(config))
