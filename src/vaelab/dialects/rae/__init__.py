"""RAE's decoder (stage 1), read from bytetriper/RAE at a4d18c4: src/train_stage1.py, src/disc/gan_loss.py, configs/stage1/training.

The encoder is a frozen foundation model: there is no KL, and the latent does not move.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, KnownFault, Signature

DIALECTS = (
    Dialect(
        id="rae",
        title="RAE train_stage1.py",
        recognised_by=(
            Signature(frozenset({"loss/recon", "loss/lpips", "loss/total"}), 0.95),
            Signature(frozenset({"epoch/loss_recon", "epoch/loss_lpips"}), 0.95),
        ),
        source="bytetriper/RAE at a4d18c4: src/train_stage1.py, src/disc/gan_loss.py",
        columns={
            "loss/total": "total_loss",
            "loss/recon": "rec_loss",
            "loss/lpips": "perceptual_loss",
            "loss/gan": "g_loss",
            "loss/disc": "disc_loss",
            "lr/generator": "lr",
            "lr/discriminator": "disc_lr",
            "disc/logits_real": "logits_real",
            "disc/logits_fake": "logits_fake",
            "disc/accuracy": "disc_accuracy",
            "disc/weight": "adaptive_ratio",
            "epoch/loss_total": "epoch/total_loss",
            "epoch/loss_recon": "epoch/rec_loss",
            "epoch/loss_lpips": "epoch/perceptual_loss",
            "epoch/loss_gan": "epoch/g_loss",
            "epoch/loss_disc": "epoch/disc_loss",
            "epoch/disc_logits_real": "epoch/logits_real",
            "epoch/disc_logits_fake": "epoch/logits_fake",
            "epoch/disc_accuracy": "epoch/disc_accuracy",
        },
        rec_kind="l1",
        nll_reduction="mean",
        kl_reduction="none",
        disc_loss_family="hinge",
        input_range=(0.0, 1.0),
        disc_warms_up=True,
        formulas={
            "rec_loss": "mean |x - recon| of pictures in [0, 1]",
            "perceptual_loss": "LPIPS before its weight; 0 before lpips_start",
            "total_loss": "rec_loss + perceptual_weight * perceptual_loss + disc_weight * adaptive_ratio * g_loss",
            "g_loss": "-mean D(augmented recon); 0 before disc_start",
            "adaptive_ratio": "printed as disc/weight: clamp(|d rec/d W_last| / (|d g_loss/d W_last| + epsilon), 0,"
            " max_d_weight); unlike elsewhere disc_weight (0.75) is not in it",
            "disc_loss": "0.5 * (mean relu(1 - D(x)) + mean relu(1 + D(recon))): printed from disc_upd_start on, two epochs"
            " before the generator sees it",
            "disc_accuracy": "share of logits where real is above fake: 0.5 is chance",
            "lr": "printed with 4 decimals: 2e-4 reads 0.0002, the warm-up's first steps 0.0000",
        },
        known_faults=(
            KnownFault("G1", "disc_start, disc_upd_start and lpips_start are epochs, not steps"),
            KnownFault("F3", "LPIPS normalises with the epsilon outside the root: NaN gradient on all-zero features"),
        ),
        defaults={"disc_weight": 0.75, "perceptual_weight": 1.0, "lr": 2e-4},
    ),
)
