"""LlamaGen's image tokenizer, read from FoundationVision/LlamaGen at ce98ec4: tokenizer/tokenizer_image/vq_train.py, vq_loss.py, vq_model.py.

A record has three lines: the generator's and the discriminator's without a step, then ``(step=0000100) Train Loss``.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, KnownFault, Signature

DIALECTS = (
    Dialect(
        id="llamagen",
        title="LlamaGen vq_train.py",
        recognised_by=(
            Signature(frozenset({"generator_adv_loss", "discriminator_adv_loss"}), 0.95),
            Signature(frozenset({"generator_adv_loss", "disc_adaptive_weight"}), 0.95),
            Signature(frozenset({"vq_loss", "commit_loss", "disc_adaptive_weight"}), 0.95),
        ),
        source="FoundationVision/LlamaGen at ce98ec4: tokenizer/tokenizer_image/vq_train.py, vq_loss.py, vq_model.py",
        columns={
            "loss": "training_loss",
            "vq_loss": "quant_loss",
            "commit_loss": "commit_loss",
            "codebook_usage": "cluster_usage",
            "generator_adv_loss": "g_loss_weighted",
            "discriminator_adv_loss": "disc_loss",
            "disc_adaptive_weight": "d_weight",
            "disc_weight": "disc_factor",
        },
        rec_kind="mse",
        nll_reduction="mean",
        kl_reduction="none",
        disc_loss_family="hinge",
        disc_loss_scale=0.5,
        fixed_d_weight=True,
        d_weight_logged_before_start=True,
        formulas={
            "rec_loss": "reconstruction_weight * mean (x - recon)^2, or mean |x - recon| with --reconstruction-loss l1",
            "perceptual_loss": "already multiplied by perceptual_weight",
            "quant_loss": "printed as vq_loss: mean (z_q - sg[z])^2, without a weight: --codebook-weight is not used",
            "commit_loss": "commit_loss_beta * mean (sg[z_q] - z)^2",
            "entropy_loss": "entropy_loss_ratio * entropy term, 0 by default",
            "cluster_usage": "printed as codebook_usage: share of the codes among the last 65,536 tokens of one GPU",
            "g_loss_weighted": "printed as generator_adv_loss: disc_weight * -mean D(recon), 0 before disc_start",
            "d_weight": "printed as disc_adaptive_weight: always 1, the adaptive weight is switched off in the code",
            "disc_factor": "printed as disc_weight: 0 before disc_start, then --disc-weight (0.5)",
            "disc_loss": "printed as discriminator_adv_loss: disc_weight * 0.5 * (mean relu(1 - D(x)) + mean relu(1 +"
            " D(recon))), so chance is disc_weight (0.5)",
            "training_loss": "printed as Train Loss: generator's total + discriminator's loss, mean over log_every steps"
            " and GPUs; the other columns are those of one step on one GPU",
        },
        known_faults=(
            KnownFault("E7", "--codebook-weight is read by no term of the loss; --weight-decay is not given to Adam"),
            KnownFault(
                "D10", "--disc-loss non-saturating gives the logits as the target: its loss is not a likelihood"
            ),
            KnownFault(
                "H7",
                "a resumed run starts at the last full epoch before the checkpoint: its step counter goes back, although the"
                " weights do not",
            ),
        ),
        defaults={
            "disc_start": 20000,
            "disc_weight": 0.5,
            "perceptual_weight": 1.0,
            "pixelloss_weight": 1.0,
            "lr": 1e-4,
            "clip_grad": 1.0,
        },
    ),
)
