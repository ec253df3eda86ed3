"""Known faults of magvit2-pytorch."""

from __future__ import annotations

from vaelab.dialects.bug import Bug
from vaelab.dialects.conditions import GAN, PERCEPTUAL, SEVERAL_GPUS, open_question

MV = ("magvit2",)

BUGS = (
    Bug(
        "MV-1",
        MV,
        "warn",
        "the discriminator is stepped twice an iteration, and its scheduler never",
        "magvit2_pytorch/trainer.py:438,442",
        "remove the second step",
        GAN,
    ),
    Bug(
        "MV-2",
        MV,
        "critical",
        "the multiscale generator loss maximises the mean pixel value: its logits are the reconstruction",
        "magvit2_pytorch/magvit2_pytorch.py:1856",
        "multiscale_discrs=()",
        open_question("the tokenizer has multiscale discriminators"),
    ),
    Bug(
        "MV-3",
        MV,
        "warn",
        "the perceptual loss of equal pictures is not 0: VGG's dropout is on, and its inputs are not normalised",
        "magvit2_pytorch/magvit2_pytorch.py:1803-1808",
        "put the VGG into eval mode",
        PERCEPTUAL,
    ),
    Bug(
        "MV-4",
        MV,
        "critical",
        "all ranks but the first end with an error: the EMA exists on the first only",
        "magvit2_pytorch/trainer.py:108-113,239",
        "train on one GPU",
        SEVERAL_GPUS,
    ),
    Bug(
        "MV-5",
        MV,
        "info",
        "the discriminator's step takes a new batch with a full graph; clips are always the first frames, the last two are dropped; GIFs fail",
        "magvit2_pytorch/magvit2_pytorch.py:1712,1741; magvit2_pytorch/data.py:183,191,255-262",
        "cut the videos yourself",
    ),
)

# code of a fault that many trainers share -> where it is in this one
COPIES: dict[str, dict[str, str]] = {}
