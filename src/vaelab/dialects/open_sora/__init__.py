"""Open-Sora's video autoencoders: ``scripts/vae/train.py``, and ``scripts/train_vae.py`` of version 1.2."""

from __future__ import annotations

from vaelab.dialects.shared import HINGE
from vaelab.dialects.types import Dialect, Signature

DIALECTS = (
    Dialect(
        id="open_sora",
        title="Open-Sora (scripts/vae/train.py)",
        recognised_by=(
            Signature(frozenset({"nll_rec", "nll_per"}), 0.95),
            Signature(frozenset({"loss_.nll_rec", "loss_.nll_per"}), 0.95),
        ),
        source="hpcaitech/Open-Sora at 7ad6a96",
        setting_names={"perceptual_loss_weight": "perceptual_weight"},
        columns={"loss": "loss_summed_over_gpus"},
        rec_kind="l1-sum",
        nll_reduction="sum-per-frame",
        kl_reduction="weighted",
        disc_loss_family="hinge",
        precision=0.002,
        formulas={
            "rec_loss": "nll_rec: |x - recon| summed over one frame's pixels",
            "perceptual_loss": "nll_per: pixels x mean LPIPS, not yet multiplied by its weight",
            "nll_loss": "nll_rec + perceptual_loss_weight * nll_per (computed in bf16: good to about 1%)",
            "kl_loss": "already multiplied by its weight",
            "total_loss": "nll + kl + gen_w; the tag loss of TensorBoard and W&B is its sum over all GPUs, and no log says"
            " how many there are",
            "g_loss_weighted": "gen_w: d_weight * disc_factor * gen",
            "g_loss": "gen: -mean D(recon)",
            "disc_loss": HINGE,
        },
    ),
    Dialect(
        id="open_sora_v1",
        title="Open-Sora 1.2 (scripts/train_vae.py)",
        recognised_by=(Signature(frozenset({"z_nll_loss", "nll_loss", "kl_loss"}), 0.95),),
        source="hpcaitech/Open-Sora, version 1.2",
        columns={"loss": "training_loss", "adversarial_loss": "g_loss_weighted"},
        nll_reduction="sum-per-frame",
        kl_reduction="weighted",
        disc_loss_family="hinge",
        formulas={
            "nll_loss": "(|x - recon| + perceptual_loss_weight * LPIPS) / exp(logvar) + logvar, summed over one frame's"
            " pixels",
            "kl_loss": "already multiplied by kl_loss_weight",
            "g_loss_weighted": "printed as adversarial_loss: -mean D(recon) with its adaptive weight",
            "total_loss": "printed as loss: the sum of the terms that the config switches on (nll_loss + kl_loss with"
            " use_real_rec_loss; with use_z_rec_loss z_nll_loss, the distance between the latents of the image VAE and"
            " their reconstruction; image_identity_loss) and adversarial_loss, mean over the GPUs. The log does not say"
            " which: it is read as training_loss, and the sum is not checked",
            "disc_loss": HINGE,
        },
    ),
)
