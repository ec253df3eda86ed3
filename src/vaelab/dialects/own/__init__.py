"""The trainer of vaelab itself."""

from __future__ import annotations

from vaelab.dialects.types import Dialect, Signature
from vaelab.own_settings import OPTIONS, own_conventions

DIALECTS = (
    Dialect(
        id="vaelab",
        title="vaelab train",
        recognised_by=(
            Signature(frozenset(), 1.0, formats=("vaelab_run", "vaelab_console")),
            Signature(frozenset({"rec_mse", "clip_coefficient"}), 0.99),
            Signature(frozenset({"kl_nats_per_element"}), 0.99),
        ),
        own=True,
        weights_apart=True,
        weighted_terms={f"{name}_loss": f"{name}_weight" for name in ("lcr", "equivariance", "alignment")},
        disc_warms_up=True,
        formulas={
            "rec_loss": "mean of loss.pixel_loss over all values, without its weight",
            "rec_mse": "mean (x - recon)^2 on inputs in [-1, 1], whatever loss.pixel_loss is: PSNR = 10 log10(4 / rec_mse)",
            "perceptual_loss": "mean distance of the perceptual network over frames, without its weight",
            "nll_loss": "n * ((pixelloss_weight * rec_loss + perceptual_weight * perceptual_loss) / exp(logvar) + logvar);"
            " n is 1, C*T*H*W or C*H*W for loss.nll_reduction mean, sum or sum_per_frame; logvar is 0 unless learned",
            "kl_loss": "in the unit of loss.kl_reduction; kl_nats_per_element is the same posterior per latent element",
            "total_loss": "nll_loss + kl_weight * kl_loss + g_loss_weighted (+ lcr_weight * lcr_loss + the same of equivariance and alignment); kl_weight grows over loss.kl_warmup steps",
            "g_loss": "-mean D(recon); mean softplus(-D(recon)) for loss.disc_loss=non-saturating; from disc_start on",
            "g_loss_weighted": "d_weight * disc_factor * g_loss",
            "d_weight": "disc_weight * clamp(|d nll/d W_last| / (|d g_loss/d W_last| + 1e-4), 0, d_weight_max); the printed"
            " value contains disc_weight; disc_weight itself where loss.disc_weight_mode is fixed; 0 before disc_start",
            "d_weight_clamped": "1 on the steps on which that ratio was above d_weight_max",
            "disc_factor": "0 before disc_start, grows over disc_ramp steps; multiplies g_loss only",
            "disc_loss": "loss.disc_factor * 0.5 * (loss of real + loss of fake), hinge or cross-entropy, without LeCam;"
            " from disc_start - disc_warmup on",
            "lecam_loss": "loss.disc_factor * loss.lecam_weight * it is added to disc_loss for the discriminator's update",
            "grad_norm": "norm before clipping",
            "clip_coefficient": "min(1, clip_grad / grad_norm) of this step",
            "clip_share": "share of the steps since the row before that were clipped",
        },
        options=OPTIONS,
        declared=own_conventions,
    ),
)
