"""What the trainers that descend from taming-transformers have in common."""

from __future__ import annotations

from vaelab.lint.bugs.types import Bug
from vaelab.lint.conditions import BEFORE_START, GAN, PERCEPTUAL, open_question

COPIES = ("pyramid_flow", "radiodiff", "taming", "ldm", "sgm", "vidtok", "seed_voken", "vqgan_training")

BUGS = (
    Bug(
        "PF-6",
        COPIES,
        "info",
        "LPIPS runs in train mode: model.train() undoes its eval(), and dropout of half of its differences makes the value noisy (not biased)",
        {
            "pyramid_flow": "trainer_misc/vae_ddp_trainer.py:36; video_vae/modeling_lpips.py:62",
            "radiodiff": "train_vae.py:294 (from the first sampling on)",
            "vqgan_training": "vae_trainer.py (never calls eval)",
            "*": "Lightning calls train() of the whole module",
        },
        "call loss.perceptual_loss.eval() after each train()",
        PERCEPTUAL,
    ),
    Bug(
        "LPIPS-NaN",
        (*COPIES, "open_sora", "wf_vae", "open_sora_plan"),
        "info",
        "LPIPS divides by sqrt(sum x^2) with the epsilon outside the root: features whose squares vanish give a gradient of NaN",
        {
            "pyramid_flow": "video_vae/modeling_lpips.py:107-109",
            "vqgan_training": "utils.py:134-136",
            "*": "lpips.py, normalize_tensor",
        },
        "put the epsilon inside the root",
        PERCEPTUAL & open_question("a flat picture or half precision makes features vanish"),
    ),
    Bug(
        "TT-1",
        ("taming", "ldm"),
        "info",
        "the discriminator's step runs the autoencoder and LPIPS a second time",
        {
            "taming": "taming/models/vqgan.py:83-102; taming/modules/losses/vqperceptual.py:78-87",
            "*": "training_step, once for each optimizer",
        },
        "expect about half the speed",
        GAN,
    ),
    Bug(
        "TT-2",
        ("taming", "ldm", "vidtok", "radiodiff"),
        "warn",
        "the discriminator starts untrained: before disc_start its loss is multiplied by 0",
        {
            "taming": "taming/modules/losses/vqperceptual.py:129-130",
            "radiodiff": "denoising_diffusion_pytorch/loss.py:75-77",
            "*": "adopt_weight of the loss",
        },
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
        ("taming", "ldm", "radiodiff", "vidtok", "sgm", "pyramid_flow"),
        "info",
        "d_weight is a ratio of two norms of single batches, without smoothing: it can jump between 0 and 1e4",
        "calculate_adaptive_weight of the loss",
        "judge its median over many steps, not single values",
        GAN,
    ),
)
