"""Known faults of vqgan-training."""

from __future__ import annotations

from vaelab.dialects.bug import Bug
from vaelab.dialects.conditions import SEVERAL_GPUS, given, open_question, says, switched_on

CS = ("vqgan_training",)
_NO_LECAM = says("--use_lecam is missing", lambda plan: not plan.options.flag("use_lecam"))

BUGS = (
    Bug(
        "CS-1",
        CS,
        "critical",
        "with several GPUs the VAE is not synchronised: it is called on vae.module; rank 0's is saved",
        "vae_trainer.py:538,624",
        "train on one GPU",
        SEVERAL_GPUS,
    ),
    Bug(
        "CS-2",
        CS,
        "critical",
        "lecam_loss_item is logged with --do_ganloss but defined only with --use_lecam: it ends with NameError",
        "vae_trainer.py:649-655,740,792",
        "add --use_lecam",
        switched_on("do_ganloss") & _NO_LECAM,
        ("do_ganloss",),
        ("--use_lecam",),
    ),
    Bug(
        "CS-3",
        CS,
        "warn",
        "the pixel loss is multiplied by 0: only LPIPS and the GAN train",
        "vae_trainer.py:179-209,680",
        "pass do_recon=True and remove the factor",
    ),
    Bug(
        "CS-4",
        CS,
        "warn",
        "--dataset_url is overwritten by a path in the code; the seed is the same on all ranks; only weights are saved",
        "vae_trainer.py:386-387,542-559",
        "edit the path in the code",
        given("dataset_url", "test_dataset_url"),
        ("dataset_url", "test_dataset_url"),
        (),
        "LNT201",
    ),
    Bug(
        "CS-5",
        CS,
        "warn",
        "utils.py uses os without importing it",
        "utils.py:29",
        "import os",
        open_question("the weights of LPIPS are not downloaded yet"),
    ),
)

# code of a fault that many trainers share -> where it is in this one
COPIES: dict[str, dict[str, str]] = {
    "vqgan_training": {"PF-6": "vae_trainer.py (never calls eval)", "LPIPS-NaN": "utils.py:134-136"},
}
