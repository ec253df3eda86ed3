"""Known faults of RadioDiff."""

from __future__ import annotations

from vaelab.dialects.bug import Bug
from vaelab.dialects.conditions import BEFORE_START, GAN, RESUMED, SEVERAL_GPUS, given, is_set, says
from vaelab.dialects.shared_faults import RATIO

RD = ("radiodiff",)
_NOT_TWO = says(
    "gradient_accumulate_every is not 2", lambda plan: plan.options.whole("trainer.gradient_accumulate_every", 1) != 2
)
_RADIO = is_set("data.name", "radio")

BUGS = (
    Bug(
        "RD-1",
        RD,
        "critical",
        "with several GPUs no gradient is synchronised: training_step is called on model.module, past DDP",
        "train_vae.py:218-219",
        "train on one GPU",
        SEVERAL_GPUS,
    ),
    Bug(
        "RD-2",
        RD,
        "warn",
        "clip_grad_norm_ runs after both optimizers' steps: nothing is clipped",
        "train_vae.py:229,238,251",
        "move it before the steps, with a limit of about 200,000: a sum over 65,536 pixels has such norms",
    ),
    Bug(
        "RD-3",
        RD,
        "critical",
        "gradient_accumulate_every is the number of optimizers: 1 fails when it logs, more than 2 fails in the third pass; 2 halves both losses",
        "train_vae.py:219,223,265",
        "keep 2",
        _NOT_TWO,
        ("trainer.gradient_accumulate_every",),
        ("trainer.gradient_accumulate_every: 2",),
        "LNT403",
    ),
    Bug(
        "RD-4",
        RD,
        "warn",
        "a run cannot be resumed: resume_milestone stays 0 and checkpoints begin with model-1.pt",
        "train_vae.py:90",
        "set resume_milestone in the code",
        RESUMED,
    ),
    Bug(
        "RD-5",
        RD,
        "info",
        "three loss modules are built, with a VGG16 each, and copied into the EMA: a checkpoint of a 220 MB model takes more than 1.3 GB",
        "denoising_diffusion_pytorch/encoder_decoder.py:910-912; denoising_diffusion_pytorch/ema.py:56,66",
        "plan the disk space",
    ),
    Bug(
        "RD-6",
        RD,
        "warn",
        "min_lr is a factor of lr: with the shipped 5e-6 and 5e-7 the rate falls to 2.5e-12, not to 5e-7",
        "train_vae.py:133",
        "write the share of lr that shall be left, such as 0.1",
        given("trainer.min_lr")
        & says("min_lr is below 1 percent", lambda plan: (plan.options.number("trainer.min_lr", 1) or 0) < 0.01),
        ("trainer.min_lr",),
        ("trainer.min_lr: 0.1",),
    ),
    Bug(
        "RD-7",
        RD,
        "info",
        "each step runs the autoencoder twice, with another posterior sample, and LPIPS again for the discriminator",
        "denoising_diffusion_pytorch/loss.py:49-62",
        "expect about half the speed",
    ),
    Bug(
        "RD-8",
        RD,
        "info",
        "before disc_start d_weight and two extra backward passes are computed for a factor of 0, and only weight decay acts on the discriminator",
        "denoising_diffusion_pytorch/loss.py:75-77",
        "do not read d_weight before disc_start",
        GAN & BEFORE_START,
        ("model.lossconfig.disc_start",),
    ),
    Bug(
        "RD-9",
        RD,
        "warn",
        "map 600 is in training and in validation, and data options are not read: the folder of RadioMapSeer is written into the code",
        "lib/loaders.py:83-91,992-1000,1057-1058",
        "edit the folder in lib/loaders.py, and end training at map 599",
        _RADIO,
        ("data.name", "model.ddconfig.resolution"),
    ),
    Bug(
        "RD-10",
        RD,
        "info",
        "amp does nothing, the EMA exists on the first process only, and the model is put back into train mode only after the first samples",
        "train_vae.py:62-90,294",
        "use fp16 or nothing in place of amp",
    ),
)

# code of a fault that many trainers share -> where it is in this one
COPIES: dict[str, dict[str, str]] = {
    "radiodiff": {
        "PF-6": "train_vae.py:294 (from the first sampling on)",
        "LPIPS-NaN": "taming/modules/losses/lpips.py, normalize_tensor",
        "TT-2": "denoising_diffusion_pytorch/loss.py:75-77",
        "TT-4": RATIO,
    },
}
