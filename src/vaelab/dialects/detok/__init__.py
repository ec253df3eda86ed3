"""l-DeTok, read from Jiawei-Yang/DeTok at 706f7ac: main_reconstruction.py, utils/losses.py, utils/train_utils.py, utils/builders.py, utils/logger.py.

MetricLogger lines (medians of 20 steps, and the epoch's mean in brackets) behind a glog prefix.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, KnownFault, Signature

DIALECTS = (
    Dialect(
        id="detok",
        title="l-DeTok main_reconstruction.py",
        recognised_by=(
            Signature(frozenset({"weighted_gan_loss", "discriminator_grad_norm"}), 0.97),
            Signature(frozenset({"weighted_gan_loss", "kl_loss", "psnr"}), 0.92),
        ),
        source="Jiawei-Yang/DeTok at 706f7ac: utils/losses.py, utils/train_utils.py, utils/builders.py",
        columns={
            "loss": "training_loss",
            "reconstruction_loss": "rec_loss",
            "weighted_gan_loss": "g_loss_weighted",
            "gan_loss": "g_loss",
            "discriminator_factor": "disc_factor",
            "discriminator_loss": "disc_loss",
            "discriminator_grad_norm": "disc_grad_norm",
            "samples/s/gpu": "samples_per_second",
            "samples_per_sec_per_gpu": "samples_per_second",
        },
        rec_kind="mse",
        nll_reduction="mean",
        kl_reduction="weighted",
        disc_loss_family="hinge",
        input_range=(0.0, 1.0),
        fixed_d_weight=True,
        d_weight_logged_before_start=True,
        formulas={
            "rec_loss": "printed as reconstruction_loss: mean (x - recon)^2 of pictures in [0, 1]",
            "perceptual_loss": "already multiplied by perceptual_weight",
            "kl_loss": "already multiplied by kl_loss_weight: sum over all latent elements, mean over the batch, times 1e-6",
            "training_loss": "printed as loss: the sum of every column with loss in its name, the unweighted gan_loss and"
            " the discriminator_loss among them; not the loss that is trained, which is not printed",
            "g_loss_weighted": "d_weight * discriminator_factor * gan_loss",
            "d_weight": "discriminator_weight (0.1) itself, a constant",
            "disc_loss": "discriminator_factor * 0.5 * (mean relu(1 - D(x)) + mean relu(1 + D(recon))); not printed before"
            " discriminator_start_epoch",
            "psnr": "-10 log10 of the batch's reconstruction_loss: of the noised and masked latent while training",
        },
        known_faults=(
            KnownFault("E7", "--discriminator_weight never reaches the loss: it is always 0.1"),
            KnownFault("G1", "discriminator_start_epoch counts epochs, not steps"),
            KnownFault("F3", "LPIPS normalises with the epsilon outside the root: NaN gradient on all-zero features"),
        ),
        defaults={
            "disc_weight": 0.1,
            "perceptual_weight": 1.0,
            "pixelloss_weight": 1.0,
            "kl_weight": 1e-6,
            "clip_grad": 3.0,
        },
    ),
)
