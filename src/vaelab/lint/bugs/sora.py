"""WF-VAE, Open-Sora-Plan (an older copy of it) and Open-Sora."""

from __future__ import annotations

from vaelab.lint.bugs.types import Bug
from vaelab.lint.conditions import (
    BEFORE_START,
    EMA,
    GAN,
    ONE_GPU,
    REDUCED,
    RESUMED,
    SEVERAL_GPUS,
    given,
    is_set,
    open_question,
    says,
)

WF_ONLY = ("wf_vae",)
OS = ("open_sora",)
WF = ("wf_vae", "open_sora_plan")
_VALIDATES = given("eval_video_path")
_NOT_FP16 = says("fp16 is not used", lambda plan: plan.optim.precision != "fp16")
_NO_UNUSED = says("--find_unused_parameters is missing", lambda plan: not plan.options.flag("find_unused_parameters"))
_DEAD_WF = given("max_steps", "load_disc_from_checkpoint", "not_resume_training_process")
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
        "WF-1",
        WF,
        "warn",
        "validation feeds pixels in [0, 1] to a model trained on [-1, 1]: PSNR and LPIPS of the log are off",
        "causalvideovae/dataset/video_dataset.py:86-93,194-200",
        "evaluate checkpoints apart",
        _VALIDATES,
        ("eval_video_path",),
    ),
    Bug(
        "WF-2",
        WF,
        "info",
        "the column flickering is a difference of colour channels, not of frames",
        "train_ddp.py:146-171",
        "ignore it",
        _VALIDATES,
        ("eval_video_path",),
    ),
    Bug(
        "WF-3",
        WF_ONLY,
        "warn",
        "--clip_grad_norm is never read: no gradient is clipped",
        "train_ddp.py:496,588",
        "add clip_grad_norm_ after unscale_, before step",
        given("clip_grad_norm"),
        ("clip_grad_norm",),
        (),
        "LNT201",
    ),
    Bug(
        "WF-4",
        WF,
        "critical",
        "a resume loses the EMA (saved, never loaded), and begins with epoch 0 again",
        "train_ddp.py:375-378,415,558",
        "load the EMA by hand, and do not compare its scores across a resume",
        RESUMED & EMA | given("resume_from_checkpoint"),
        ("resume_from_checkpoint", "ema"),
    ),
    Bug(
        "WF-5",
        WF,
        "info",
        "the sampler's position counts prefetched batches, so a resume skips data",
        "causalvideovae/dataset/ddp_sampler.py",
        "expect it",
        RESUMED,
    ),
    Bug(
        "WF-6",
        WF,
        "info",
        "after a validation, the first at step 1, the model stays in eval mode until the epoch ends",
        "train_ddp.py:416,510",
        "call set_train after each validation",
        _VALIDATES,
        ("eval_video_path",),
    ),
    Bug(
        "WF-7",
        WF,
        "info",
        "--max_steps only sizes the bar; --load_disc_from_checkpoint and --not_resume_training_process are not read",
        "train_ddp.py:390-400",
        "stop the run yourself",
        _DEAD_WF,
        ("max_steps", "load_disc_from_checkpoint", "not_resume_training_process"),
        (),
        "LNT201",
    ),
    Bug(
        "WF-8",
        WF,
        "critical",
        "disc_start above 0 needs --find_unused_parameters: the discriminator runs under DDP and is no part of the loss",
        "causalvideovae/model/losses/perceptual_loss.py:166",
        "--disc_start 0, or add --find_unused_parameters",
        BEFORE_START & _NO_UNUSED & (ONE_GPU | SEVERAL_GPUS),
        ("disc_start",),
        ("--find_unused_parameters",),
    ),
    Bug(
        "WF-9",
        WF,
        "info",
        "gradients of the discriminator are computed and exchanged in the generator's step, then thrown away",
        "train_ddp.py:430-470",
        "expect slower steps",
        GAN,
    ),
    Bug(
        "WF-10",
        WF,
        "warn",
        "a GradScaler is on in bf16 and fp32 too: a gradient of NaN skips the step in silence, for ever",
        "train_ddp.py:338",
        "watch the loss for NaN; GradScaler(enabled=fp16)",
        _NOT_FP16,
        ("mix_precision",),
    ),
    Bug(
        "WF-11",
        WF,
        "info",
        "all ranks have one seed (the same noise and frame offsets), and the list of files is cached in the data folder as idx.pkl for ever",
        "train_ddp.py:285; causalvideovae/dataset/video_dataset.py",
        "delete idx.pkl when files change; add the rank to the seed",
        SEVERAL_GPUS | given("video_path"),
        ("video_path", "seed"),
    ),
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
