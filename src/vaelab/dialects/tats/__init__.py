"""TATS and its family: medicaldiffusion and OmniTokenizer.

Read from songweige/TATS at 03bbce1 (tats/tats_vqgan.py), FirasGit/medicaldiffusion at da3d92a (vq_gan_3d/model/vqgan.py, a copy of it with
hydra settings) and FoundationVision/OmniTokenizer at 701b619 (OmniTokenizer/omnitokenizer.py, modules/codebook.py,
scripts/recons/train.sh). Each has an image and a video critic.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, KnownFault, Signature

_COLUMNS = {
    "loss": "training_loss",
    "recon_loss": "rec_loss",
    "aeloss": "g_loss_weighted",
    "discloss": "disc_loss",
    "commitment_loss": "quant_loss",
    "usage": "cluster_usage",
}

_FORMULAS = {
    "rec_loss": "printed as recon_loss: l1_weight (4) * mean |x - recon|",
    "perceptual_loss": "LPIPS of one random frame, already multiplied by perceptual_weight",
    "g_loss_weighted": "printed as aeloss: disc_factor * (image_gan_weight * g_image_loss + video_gan_weight *"
    " g_video_loss), so 0 before discriminator_iter_start; not the autoencoder's loss",
    "g_image_loss": "-mean D(frame of the reconstruction)",
    "g_video_loss": "-mean D(reconstructed clip)",
    "quant_loss": "printed as commitment_loss: 0.25 * mean (z - sg[z_q])^2; the codebook itself follows by moving means",
    "image_gan_feat_loss": "L1 between the critic's features, before disc_factor and gan_feat_weight",
    "video_gan_feat_loss": "as image_gan_feat_loss, of the video critic",
    "training_loss": "Lightning's bar shows loss: a running mean over both optimizers' steps, not the total",
    "total_loss": "not printed: recon_loss + commitment_loss + aeloss + perceptual_loss + disc_factor * gan_feat_weight *"
    " (image_gan_feat_loss + video_gan_feat_loss)",
    "perplexity": "of one batch's codes: n_codes (2,048) at most",
}

DIALECTS = (
    Dialect(
        id="tats",
        title="TATS / medicaldiffusion VQGAN (Lightning)",
        recognised_by=(
            Signature(
                frozenset({"aeloss", "recon_loss", "commitment_loss", "perplexity"}),
                0.95,
                frozenset({"usage", "quant_loss"}),
            ),
            Signature(frozenset({"g_image_loss", "g_video_loss"}), 0.93, frozenset({"usage", "kl_loss"})),
        ),
        source="songweige/TATS at 03bbce1: tats/tats_vqgan.py; FirasGit/medicaldiffusion at da3d92a: vq_gan_3d/model/vqgan.py",
        columns=_COLUMNS,
        rec_kind="l1",
        nll_reduction="mean",
        kl_reduction="none",
        disc_loss_family="hinge",
        disc_loss_scale=2.0,
        input_range=None,
        formulas=_FORMULAS
        | {
            "disc_loss": "printed as discloss: disc_factor * (image_gan_weight * d_image_loss + video_gan_weight *"
            " d_video_loss), each 0.5 * (mean relu(1 - D(x)) + mean relu(1 + D(recon))): chance is 2.0 with both weights 1",
        },
        known_faults=(
            KnownFault(
                "G1",
                "discriminator_iter_start is compared with Lightning's global_step: batches under 1.5 (TATS), two per batch"
                " under 1.6 (medicaldiffusion)",
            ),
            KnownFault("F1", "medicaldiffusion trains with precision 16 by default"),
            KnownFault("E9", "the learning rate is scaled by GPUs/8 * batch/4 * accumulation"),
        ),
        defaults={"disc_start": 50000, "lr": 3e-4, "clip_grad": 1.0},
    ),
    Dialect(
        id="omnitokenizer",
        title="OmniTokenizer (Lightning)",
        recognised_by=(
            Signature(frozenset({"aeloss", "recon_loss", "commitment_loss", "usage"}), 0.96),
            Signature(frozenset({"aeloss", "recon_loss", "kl_loss"}), 0.93, frozenset({"rec_loss", "nll_loss"})),
            Signature(frozenset({"g_image_loss", "kl_loss"}), 0.93),
        ),
        source="FoundationVision/OmniTokenizer at 701b619: OmniTokenizer/omnitokenizer.py",
        columns=_COLUMNS,
        rec_kind="l1",
        nll_reduction="mean",
        kl_reduction="weighted",
        input_range=None,
        formulas=_FORMULAS
        | {
            "rec_loss": "printed as recon_loss: l1_weight (4) * mean |x - recon|; or (x - recon)^2, with a Laplacian term",
            "kl_loss": "already multiplied by kl_weight; takes the place of commitment_loss in the total",
            "cluster_usage": "printed as usage: share of the codes that are used more often than by chance",
            "disc_loss": "printed as discloss: disc_factor * (image_gan_weight * d_image_loss + video_gan_weight *"
            " d_video_loss): chance is the sum of the two weights (0.01 in the published stages)",
            "video_perceptual_loss": "always 0: the term is commented out",
        },
        known_faults=(
            KnownFault(
                "D4",
                "--disloss_check_thres skips the discriminator's step while its loss is below the threshold: with weights of"
                " 0.01 that is the rule, not the exception",
            ),
        ),
        defaults={"disc_start": 0, "kl_weight": 1e-6},
    ),
)
