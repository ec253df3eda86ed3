"""Scripts that call magvit2-pytorch's trainer."""

from __future__ import annotations

from typing import Any

from vaelab.config.foreign.source import SettingsSource
from vaelab.dialects.options import Options, call_options
from vaelab.dialects.plan import Gan, Loss, Optim, Plan

ID, TITLE, TRAINER = "magvit2", "magvit2-pytorch (VideoTokenizerTrainer)", "VideoTokenizerTrainer"


def certainty(text: str, parsed: Any) -> float:
    """Python that builds the trainer."""
    return float(parsed is None and "magvit2_pytorch" in text and TRAINER in text)


def plans(text: str, parsed: Any, path: str) -> list[Plan]:
    """The one training of the file."""
    options = call_options(text, TRAINER)
    return [] if options is None else [_plan(options)]


def _plan(o: Options) -> Plan:
    return Plan(
        ID,
        TITLE,
        o,
        {"lr": "learning_rate", "updates": "num_train_steps"},
        gan=Gan(built=True, asked=True, start=0),
        loss=Loss("mean", 1.0, 0.1),
        optim=Optim(
            rate=o.number("learning_rate"),
            gpus=None,
            accumulate=o.whole("grad_accum_every", 1),
            clip=o.number("max_grad_norm"),
        ),
    )


SETTINGS = (SettingsSource(ID, TITLE, "lucidrains/magvit2-pytorch at a00519f", certainty, plans),)
