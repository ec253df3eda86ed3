"""Known faults of WF-VAE and of Open-Sora-Plan, an older copy of it."""

from __future__ import annotations

from vaelab.dialects.bug import Bug
from vaelab.dialects.conditions import BEFORE_START, EMA, GAN, ONE_GPU, RESUMED, SEVERAL_GPUS, given, says
from vaelab.dialects.shared_faults import COPY_OF_TAMING

WF_ONLY = ("wf_vae",)
WF = ("wf_vae", "open_sora_plan")
_VALIDATES = given("eval_video_path")
_NOT_FP16 = says("fp16 is not used", lambda plan: plan.optim.precision != "fp16")
_NO_UNUSED = says("--find_unused_parameters is missing", lambda plan: not plan.options.flag("find_unused_parameters"))
_DEAD_WF = given("max_steps", "load_disc_from_checkpoint", "not_resume_training_process")

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
        ("--find_unused_parameters   or --disc_start 0",),
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
)

# code of a fault that many trainers share -> where it is in this one
COPIES: dict[str, dict[str, str]] = {
    "wf_vae": {"LPIPS-NaN": "causalvideovae/model/losses/lpips.py, normalize_tensor"},
    "open_sora_plan": {"LPIPS-NaN": COPY_OF_TAMING},
}
