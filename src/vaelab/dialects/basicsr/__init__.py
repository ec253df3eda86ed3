"""VQGANs trained with BasicSR: CodeFormer, VQFR, and the toolbox itself.

Read from sczhou/CodeFormer at b33cc7d (basicsr/models/vqgan_model.py, codeformer_joint_model.py, losses/losses.py, utils/logger.py) and
TencentARC/VQFR at 239c77a (vqfr/models/vqgan_model.py, vqfrv1_model.py, vqfrv2_model.py, losses/losses.py). Every printed
loss has its weight inside. TensorBoard of VQFR and of BasicSR puts ``losses/`` before names that begin with ``l_``.
"""

from __future__ import annotations

from collections.abc import Mapping

from vaelab.dialects.types import Dialect, Signature


def _with_prefix(columns: Mapping[str, str]) -> dict[str, str]:
    return {**columns, **{f"losses/{name}": metric for name, metric in columns.items() if name.startswith("l_")}}


def _told_by(*names: str, confidence: float, without: tuple[str, ...] = ()) -> tuple[Signature, Signature]:
    """The same columns as the console and as TensorBoard name them."""
    tagged = (f"losses/{name}" if name.startswith("l_") else name for name in names)
    return tuple(Signature(frozenset(n), confidence, frozenset(without)) for n in (names, tagged))  # type: ignore[return-value]


_COLUMNS = {
    "l_g_pix": "rec_loss",
    "l_g_percep": "perceptual_loss",
    "l_g_style": "style_loss",
    "l_g_gan": "g_loss_weighted",
    "l_codebook": "quant_loss",
    "l_d_real": "disc_loss_real",
    "l_d_fake": "disc_loss_fake",
    "out_d_real": "logits_real",
    "out_d_fake": "logits_fake",
    "time_(data)": "step_time",
}
_SHARED = {
    "rec_loss": "printed as l_g_pix: mean |x - recon| times its loss_weight",
    "perceptual_loss": "printed as l_g_percep: times its loss_weight",
    "lr": "printed in brackets: generator, discriminator",
}
_CODEFORMER = _SHARED | {
    "g_loss_weighted": "printed as l_g_gan: d_weight * -mean D(recon)",
    "d_weight": "scale * clamp(|d rec/d W_last| / (|d g_loss/d W_last| + 1e-4), 0, 1): the clamp is 1, not 1e4",
    "disc_loss_real": "printed as l_d_real: mean relu(1 - D(x)), not halved: chance is 1",
    "disc_loss_fake": "printed as l_d_fake: mean relu(1 + D(recon)), not halved: chance is 1",
}

DIALECTS = (
    Dialect(
        id="codeformer_vqgan",
        title="CodeFormer VQGAN, stage 1 (BasicSR)",
        recognised_by=_told_by("l_g_pix", "l_codebook", confidence=0.95),
        source="sczhou/CodeFormer at b33cc7d: basicsr/models/vqgan_model.py, options/VQGAN_512_ds32_nearest_stage1.yml",
        columns=_with_prefix(_COLUMNS),
        rec_kind="l1",
        nll_reduction="mean",
        kl_reduction="none",
        disc_loss_family="hinge",
        clamp=1.0,
        formulas=_CODEFORMER
        | {
            "quant_loss": "printed as l_codebook: mean (sg[z_q] - z)^2 + beta * mean (z_q - sg[z])^2, times its weight",
            "total_loss": "not printed: l_g_pix + l_g_percep + l_g_gan + l_codebook",
        },
        defaults={"disc_start": 30001, "disc_weight": 0.8, "pixelloss_weight": 1.0, "lr": 7e-5},
    ),
    Dialect(
        id="codeformer",
        title="CodeFormer, stages 2 and 3 (BasicSR)",
        recognised_by=_told_by("cross_entropy_loss", "l_feat_encoder", confidence=0.95),
        source="sczhou/CodeFormer at b33cc7d: basicsr/models/codeformer_joint_model.py, options/CodeFormer_stage3.yml",
        columns=_with_prefix(
            _COLUMNS | {"l_feat_encoder": "alignment_loss", "cross_entropy_loss": "code_prediction_loss"}
        ),
        rec_kind="l1",
        nll_reduction="mean",
        kl_reduction="none",
        disc_loss_family="hinge",
        clamp=1.0,
        formulas=_CODEFORMER
        | {
            "alignment_loss": "printed as l_feat_encoder: feat_loss_weight * mean (code - feature of the degraded picture)^2",
            "code_prediction_loss": "printed as cross_entropy_loss: entropy_loss_weight (0.5) * cross-entropy of the code"
            " indices; 0.5 * ln 1024 = 3.47 is knowing nothing",
            "total_loss": "not printed: the sum of the l_g_ columns, l_feat_encoder and cross_entropy_loss",
        },
        defaults={"disc_start": 5001, "disc_weight": 0.1, "pixelloss_weight": 1.0, "lr": 5e-5},
    ),
    Dialect(
        id="vqfr_vqgan",
        title="VQFR VQGAN (BasicSR)",
        recognised_by=_told_by("l_rec", "l_codebook", "l_total_g", confidence=0.95),
        source="TencentARC/VQFR at 239c77a: vqfr/models/vqgan_model.py, options/train/VQGAN",
        columns=_with_prefix(
            _COLUMNS
            | {
                "l_rec": "rec_loss",
                "l_total_g": "total_loss",
                "l_d": "disc_loss",
                "l_d_r1": "gradient_penalty",
                "real_score": "logits_real",
                "fake_score": "logits_fake",
            }
        ),
        rec_kind="l1",
        nll_reduction="mean",
        kl_reduction="none",
        disc_loss_family="vanilla",
        disc_loss_scale=2.0,
        formulas=_SHARED
        | {
            "rec_loss": "printed as l_rec: mean |x - recon| times its loss_weight",
            "quant_loss": "printed as l_codebook: 0 in the first 10,000 steps, where the codebook is still being estimated",
            "g_loss_weighted": "printed as l_g_gan: mean softplus(-D(recon)), weight 1 and not adaptive: chance is ln 2",
            "disc_loss": "printed as l_d: mean softplus(-D(x)) + mean softplus(D(recon)), not halved: chance is 2 ln 2 ="
            " 1.386",
            "gradient_penalty": "printed as l_d_r1: R1 penalty times r1_reg_weight / 2 * net_d_reg_every, every 16 steps",
            "total_loss": "printed as l_total_g: l_rec + l_g_percep + l_g_style + l_codebook + l_g_gan",
        },
        defaults={"disc_start": 50000, "pixelloss_weight": 1.0, "lr": 1e-4},
    ),
    Dialect(
        id="vqfr",
        title="VQFR restoration (BasicSR)",
        recognised_by=(
            *_told_by("l_rec", "l_main_rec", "l_total_g", confidence=0.96),
            *_told_by("l_rec", "l_quant_feature", confidence=0.96),
        ),
        source="TencentARC/VQFR at 239c77a: vqfr/models/vqfrv1_model.py, vqfrv2_model.py",
        columns=_with_prefix(
            {
                "l_total_g": "total_loss",
                "l_main_rec": "rec_loss",
                "l_g_main_percep": "perceptual_loss",
                "l_rec": "texture_rec_loss",
                "l_g_percep": "texture_perceptual_loss",
                "l_latent": "alignment_loss",
                "l_quant_feature": "alignment_loss",
            }
        ),
        rec_kind="l1",
        nll_reduction="mean",
        kl_reduction="none",
        formulas={
            "rec_loss": "printed as l_main_rec: L1 of the main decoder's picture, weight inside (version 1)",
            "texture_rec_loss": "printed as l_rec: L1 of the texture decoder's picture (version 1) or of the only one (2)",
            "alignment_loss": "printed as l_latent or l_quant_feature: distance of the degraded picture's features to the"
            " codes of the clean one",
        },
    ),
    Dialect(
        id="basicsr",
        title="BasicSR GAN training",
        recognised_by=_told_by(
            "l_g_pix", "l_g_gan", "out_d_real", confidence=0.8, without=("l_codebook", "cross_entropy_loss")
        ),
        source="sczhou/CodeFormer at b33cc7d: basicsr/losses/losses.py, utils/logger.py",
        columns=_with_prefix(_COLUMNS),
        kl_reduction="none",
        formulas=_SHARED
        | {
            "rec_loss": "printed as l_g_pix: the pixel loss of the settings (L1, MSE, Charbonnier), times its loss_weight",
            "g_loss_weighted": "printed as l_g_gan: times its loss_weight; hinge, softplus or cross-entropy by the settings",
        },
    ),
)
