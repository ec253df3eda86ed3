"""Known faults of Open-Sora."""

from __future__ import annotations

from vaelab.dialects.bug import Bug
from vaelab.dialects.conditions import GAN, REDUCED, RESUMED, SEVERAL_GPUS, given, is_set, open_question, says

OS = ("open_sora",)
_NO_FACTOR = says(
    "disc_factor is 0 or below",
    lambda plan: any(
        (plan.options.number(f"{s}.disc_factor", 1.0) or 0) <= 0 for s in ("gen_loss_config", "disc_loss_config")
    ),
)
_BATCH_ONE = says(
    "a bucket has a batch size of 1",
    lambda plan: any(
        isinstance(v, tuple | list) and len(v) == 2 and v[1] == 1
        for k, v in plan.options.items()
        if k.startswith("bucket_config.")
    ),
)
_MIXED = given("mixed_strategy")

BUGS = (
    Bug(
        "OS-1",
        OS,
        "warn",
        "losses are added up in bf16: at 20,000 the next number is 128 away",
        "scripts/vae/train.py:401,410; opensora/models/vae/losses.py:110",
        "compute the losses in float32",
        says("bf16 is used", lambda plan: plan.optim.precision == "bf16"),
        ("dtype",),
    ),
    Bug(
        "OS-2",
        OS,
        "info",
        "logging overwrites the losses of image ranks with 0, and TensorBoard's loss is a sum over the GPUs",
        "scripts/vae/train.py:253-262",
        "read nll, not loss",
        SEVERAL_GPUS,
    ),
    Bug(
        "OS-3",
        OS,
        "warn",
        "each checkpoint runs 'sudo drop_cache' and 'chgrp -R share'",
        "scripts/vae/train.py:95,535,559",
        "remove these lines",
        says("checkpoints are saved", lambda plan: (plan.options.number("ckpt_every", 0) or 0) > 0),
        ("ckpt_every",),
    ),
    Bug(
        "OS-4",
        OS,
        "warn",
        "disc_loss_type wgan-gp has no gradient penalty",
        "opensora/models/vae/losses.py:23-25,72-83",
        "disc_loss_type hinge",
        is_set("disc_loss_config.disc_loss_type", "wgan-gp"),
        ("disc_loss_config.disc_loss_type",),
        ('disc_loss_type="hinge"',),
    ),
    Bug(
        "OS-4b",
        OS,
        "critical",
        "disc_factor 0 returns a whole number, on which logging fails",
        "opensora/models/vae/losses.py:221",
        "leave the discriminator out instead",
        GAN & _NO_FACTOR,
        ("disc_loss_config.disc_factor", "gen_loss_config.disc_factor"),
    ),
    Bug(
        "OS-5",
        OS,
        "warn",
        "with a batch size of 1 one damaged file ends the run: the batch is empty",
        "opensora/datasets/dataloader.py:318-321",
        "check the files first, or use a larger batch",
        _BATCH_ONE & open_question("a file cannot be decoded"),
        ("bucket_config",),
    ),
    Bug(
        "OS-6",
        OS,
        "info",
        "every epoch, and every resume, repeats the same decisions between image and video",
        "scripts/vae/train.py:328",
        "add the epoch to the seed",
        _MIXED,
        ("mixed_strategy",),
    ),
    Bug(
        "OS-7",
        OS,
        "info",
        "the float32 weights are not saved: a resume rounds them to bf16 once",
        "opensora/utils/ckpt.py:384",
        "save them (save_master_weights)",
        RESUMED & REDUCED,
    ),
)

# code of a fault that many trainers share -> where it is in this one
COPIES: dict[str, dict[str, str]] = {
    "open_sora": {"LPIPS-NaN": "opensora/models/vae/lpips.py, normalize_tensor"},
}
