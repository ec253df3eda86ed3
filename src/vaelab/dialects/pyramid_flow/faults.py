"""Known faults of Pyramid-Flow."""

from __future__ import annotations

from vaelab.dialects.bug import Bug
from vaelab.dialects.conditions import (
    BEFORE_START,
    GAN,
    ONE_GPU,
    RESUMED,
    SEVERAL_GPUS,
    given,
    open_question,
    says,
    switched_on,
)
from vaelab.dialects.shared_faults import RATIO

PF = ("pyramid_flow",)
NO_FLAG = says("--add_discriminator is missing", lambda plan: plan.gan.built is False)
LATE = says(
    "disc_start is beyond the last step",
    lambda plan: (
        None if plan.gan.start is None or plan.schedule.updates is None else plan.gan.start >= plan.schedule.updates
    ),
)
NO_PERCEPTUAL = says("perceptual_weight is 0", lambda plan: plan.loss.perceptual_weight == 0)
NO_WARMUP_EPOCHS = says("warmup_epochs is 0", lambda plan: plan.options.whole("warmup_epochs", 5) == 0)

BUGS = (
    Bug(
        "PF-1",
        PF,
        "critical",
        "the discriminator is never synchronised: one DDP forward, two backwards, and DDP reduces gradients in the first only; each GPU trains one of its own, and rank 0's is saved",
        "trainer_misc/vae_ddp_trainer.py:89,112; video_vae/causal_video_vae_wrapper.py:120-135",
        "train the GAN on one GPU, or wrap the discriminator in a DDP of its own",
        GAN & SEVERAL_GPUS,
        ("add_discriminator",),
    ),
    Bug(
        "PF-2",
        PF,
        "critical",
        "the discriminator gets no gradient before disc_start, and DDP is built with find_unused_parameters=False: it stops at iteration 2; the empty meters disc_lr and disc_min_lr divide by zero at the first print",
        "train/train_video_vae.py:257; trainer_misc/vae_ddp_trainer.py:43-45",
        "start the GAN at once in a stage of its own: first a run without --add_discriminator, then a second one with it and --disc_start 0",
        GAN & BEFORE_START,
        ("disc_start", "add_discriminator"),
        ("--add_discriminator --disc_start 0   in a second run; this one without a GAN",),
    ),
    Bug(
        "PF-3",
        PF,
        "critical",
        "the shipped recipe never trains a GAN: --disc_start 250000 of 200,000 steps, without --add_discriminator; stage 2 counts from 0 again",
        "scripts/train_causal_video_vae.sh; video_vae/modeling_loss.py:78-79,142",
        "finish this stage without a GAN, then start a second one with --add_discriminator --disc_start 0",
        LATE | NO_FLAG,
        ("disc_start",),
        ("--add_discriminator --disc_start 0   in a second run; this one without a GAN",),
        "LNT101",
    ),
    Bug(
        "PF-4",
        PF,
        "warn",
        "--opt_betas is parsed and dropped: AdamW runs with (0.9, 0.999)",
        "train/train_video_vae.py:80; trainer_misc/utils.py:226-227",
        "set opt_beta1 and opt_beta2 in the code, or accept (0.9, 0.999)",
        given("opt_betas"),
        ("opt_betas",),
        (),
        "LNT201",
    ),
    Bug(
        "PF-5",
        PF,
        "warn",
        "dead options: --ema_update --ema_decay --warmup_lr --weight_decay_end --eval --disable_eval --dist_eval; the warm-up starts at a rate of 0",
        "train/train_video_vae.py:44-45,92-97; trainer_misc/utils.py:117,126",
        "remove them",
        given("ema_update", "ema_decay", "warmup_lr", "weight_decay_end", "eval", "disable_eval", "dist_eval"),
        ("ema_update", "ema_decay", "warmup_lr", "weight_decay_end"),
        (),
        "LNT201",
    ),
    Bug(
        "PF-5b",
        PF,
        "critical",
        "--warmup_steps with --warmup_epochs 0 fails the assertion on the schedule's length",
        "trainer_misc/utils.py:117,126",
        "give --warmup_epochs 1",
        NO_WARMUP_EPOCHS & given("warmup_steps"),
        ("warmup_steps",),
        ("--warmup_epochs 1",),
        "LNT107",
    ),
    Bug(
        "PF-7",
        PF,
        "critical",
        "--perceptual_weight 0 ends with UnboundLocalError in the first step",
        "video_vae/modeling_loss.py:122-126,167",
        "use a small weight such as 1e-9",
        NO_PERCEPTUAL,
        ("perceptual_weight",),
        ("--perceptual_weight 1e-9",),
    ),
    Bug(
        "PF-8",
        PF,
        "info",
        "each resume moves the step counter by one, the discriminator's loss scaler is not saved, and the sampler starts again",
        "trainer_misc/utils.py:430,456",
        "count the steps of a resumed run yourself",
        RESUMED,
    ),
    Bug(
        "PF-9",
        PF,
        "info",
        "enable_gradient_checkpointing() raises NameError",
        "video_vae/modeling_causal_vae.py:179-181",
        "do not call it",
        open_question("the code calls enable_gradient_checkpointing()"),
    ),
    Bug(
        "PF-10",
        PF,
        "warn",
        "context parallelism cuts the gradient where a clip is cut: the halo's gradient is dropped, not sent back",
        "video_vae/context_parallel_ops.py:103,117-119,153-155",
        "train without --use_context_parallel, on shorter clips",
        switched_on("use_context_parallel"),
        ("use_context_parallel",),
    ),
    Bug(
        "PF-11",
        PF,
        "info",
        "each video is decoded whole before frames are chosen; files that fail are replaced in an unbounded recursion; rates are floored (47.95 fps becomes step 1)",
        "dataset/dataset_cls.py:232-249",
        "cut the videos into short files, and remove the damaged ones",
        says("videos are trained on", lambda plan: "video_anno" in plan.options),
        ("video_anno",),
    ),
    Bug(
        "PF-12",
        PF,
        "info",
        "the process group waits 365 days: when one rank stops at a NaN, the others hang unless torchrun ends them",
        "trainer_misc/utils.py:105",
        "start with torchrun, and watch the log",
        SEVERAL_GPUS,
    ),
    Bug(
        "PF-13",
        PF,
        "warn",
        "whole GPUs get images only (at least one), and wait for the video GPUs in every step; on one GPU no video is trained on",
        "train/train_video_vae.py:217-223",
        "mix on many GPUs, or train on videos only",
        switched_on("use_image_video_mixed_training") & (ONE_GPU | SEVERAL_GPUS),
        ("use_image_video_mixed_training", "image_mix_ratio"),
    ),
)

# code of a fault that many trainers share -> where it is in this one
COPIES: dict[str, dict[str, str]] = {
    "pyramid_flow": {
        "PF-6": "trainer_misc/vae_ddp_trainer.py:36; video_vae/modeling_lpips.py:62",
        "LPIPS-NaN": "video_vae/modeling_lpips.py:107-109",
        "TT-4": RATIO,
    },
}
