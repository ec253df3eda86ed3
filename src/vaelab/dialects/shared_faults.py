"""Faults that trainers copied from one another. Each trainer's folder says under ``COPIES`` where they are in its code."""

from __future__ import annotations

from vaelab.dialects.bug import Bug
from vaelab.dialects.conditions import BEFORE_START, GAN, PERCEPTUAL, given, open_question

LIGHTNING_TRAINS = "Lightning calls train() of the whole module"
COPY_OF_TAMING = "normalize_tensor of LPIPS (taming-transformers' copy)"
RATIO = "calculate_adaptive_weight of the loss"

BUGS = (
    Bug(
        "PF-6",
        (),
        "info",
        "LPIPS runs in train mode: model.train() undoes its eval(), and dropout of half of its differences makes the value noisy (not biased)",
        {},
        "call loss.perceptual_loss.eval() after each train()",
        PERCEPTUAL,
    ),
    Bug(
        "LPIPS-NaN",
        (),
        "info",
        "LPIPS divides by sqrt(sum x^2) with the epsilon outside the root: features whose squares vanish give a gradient of NaN",
        {},
        "put the epsilon inside the root",
        PERCEPTUAL & open_question("a flat picture or half precision makes features vanish"),
    ),
    Bug(
        "TT-1",
        (),
        "info",
        "the discriminator's step runs the autoencoder and LPIPS a second time",
        {},
        "expect about half the speed",
        GAN,
    ),
    Bug(
        "TT-2",
        (),
        "warn",
        "the discriminator starts untrained: before disc_start its loss is multiplied by 0",
        {},
        "expect a dip at disc_start, and judge the GAN some thousand steps later",
        GAN & BEFORE_START,
        (
            "model.params.lossconfig.params.disc_start",
            "model.params.loss_config.params.disc_start",
            "model.lossconfig.disc_start",
        ),
    ),
    Bug(
        "TT-4",
        (),
        "info",
        "d_weight is a ratio of two norms of single batches, without smoothing: it can jump between 0 and 1e4",
        {},
        "judge its median over many steps, not single values",
        GAN,
    ),
    Bug(
        "LDM-4",
        (),
        "info",
        "the rate is base_learning_rate x batch x GPUs x accumulation: it changes with the machine",
        {},
        "write down the product, or start with --scale_lr False",
        given("model.base_learning_rate"),
        ("model.base_learning_rate",),
    ),
)
