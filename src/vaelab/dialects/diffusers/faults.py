"""Known faults of diffusers' two scripts."""

from __future__ import annotations

from vaelab.dialects.bug import Bug
from vaelab.dialects.conditions import GAN, PERCEPTUAL, REDUCED, SEVERAL_GPUS, given, says, switched_on

DF = ("diffusers",)
DV = ("diffusers_vq",)
_NO_VALIDATION_IMAGE = says("--validation_image is missing", lambda plan: "validation_image" not in plan.options)

BUGS = (
    Bug(
        "DF-1",
        DF,
        "critical",
        "LPIPS is computed under no_grad: it is logged, added, and trains nothing",
        "examples/research_projects/autoencoderkl/train_autoencoderkl.py:909-910",
        "remove the no_grad",
        PERCEPTUAL,
        ("perceptual_scale",),
    ),
    Bug(
        "DF-2",
        DF,
        "critical",
        "--resume_from_checkpoint always fails: the path is given to load_state_dict",
        "train_autoencoderkl.py:675-677",
        "do not use it",
        given("resume_from_checkpoint"),
        ("resume_from_checkpoint",),
    ),
    Bug(
        "DF-3",
        DF,
        "critical",
        "with several GPUs the VAE's gradients are not synchronised: it is called through unwrap_model",
        "train_autoencoderkl.py:895-897",
        "train on one GPU",
        SEVERAL_GPUS,
    ),
    Bug(
        "DF-4",
        DF,
        "critical",
        "mixed precision casts the weights: with small rates AdamW moves nothing in bf16, and fp16 fails in the scaler",
        "train_autoencoderkl.py:721,820-824",
        "--mixed_precision no",
        REDUCED,
        ("mixed_precision",),
        ("--mixed_precision no",),
    ),
    Bug(
        "DF-5",
        DF,
        "critical",
        "each network's loss fills the other's gradients: the discriminator's step does not detach, and nobody clears them",
        "train_autoencoderkl.py:953",
        "detach the reconstructions and zero both gradients before each backward",
        GAN,
    ),
    Bug(
        "DF-6",
        DF,
        "critical",
        "validation without --validation_image fails at step 1; with TensorBoard it stacks five dimensions",
        "train_autoencoderkl.py:117,1044-1049",
        "give --validation_image and --report_to wandb",
        _NO_VALIDATION_IMAGE,
        ("report_to",),
        ("--validation_image FILE.png --report_to wandb",),
    ),
    Bug(
        "DF-7",
        DF,
        "info",
        "the EMA moves on the discriminator's steps too",
        "train_autoencoderkl.py:980-990",
        "use the square root of the decay that you mean",
        switched_on("use_ema"),
        ("use_ema",),
    ),
    Bug(
        "DF-8",
        DV,
        "warn",
        "--scale_lr is computed and not used; with a seed every rank sees the same batches; the perceptual network collects gradients; a sigmoid stands before the hinge loss",
        "examples/vqgan/train_vqgan.py:650,705-709,726,832-835",
        "train on one GPU, and write the rate that is meant",
        options=("scale_lr", "seed"),
    ),
)

# code of a fault that many trainers share -> where it is in this one
COPIES: dict[str, dict[str, str]] = {}
