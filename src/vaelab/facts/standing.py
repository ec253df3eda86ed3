"""What a column is, for facts and rules: the role that reading gave it, else what the catalogue's name says."""

from __future__ import annotations

from vaelab.catalog import METRICS
from vaelab.catalog.roles import UNKNOWN, Better, Role, RoleName, Split
from vaelab.run import Column

_NAMED: dict[str, RoleName] = {
    **dict.fromkeys(("rec_loss", "rec_mse", "nll_loss", "wavelet_loss"), "reconstruction"),
    "perceptual_loss": "perceptual",
    "total_loss": "total",
    "kl_loss": "kl",
    "quant_loss": "quantiser",
    **dict.fromkeys(("entropy_loss", "codebook_entropy", "sample_entropy"), "entropy"),
    **dict.fromkeys(("perplexity", "cluster_usage"), "codebook_usage"),
    **dict.fromkeys(("g_loss", "g_loss_weighted"), "generator_adversarial"),
    **dict.fromkeys(("disc_loss", "non_saturated_d_loss"), "discriminator"),
    "disc_loss_real": "discriminator_real",
    "disc_loss_fake": "discriminator_fake",
    "logits_real": "logits_real",
    "logits_fake": "logits_fake",
    "feature_matching_loss": "feature_matching",
    "alignment_loss": "alignment",
    **dict.fromkeys(("lr", "disc_lr"), "learning_rate"),
    **dict.fromkeys(("grad_norm", "disc_grad_norm"), "gradient_norm"),
    **dict.fromkeys(("psnr", "ssim", "lpips", "rfid", "rfvd", "flickering", "explained_variance"), "quality"),
}
_SPLITS: dict[str, Split] = {"val": "val", "val_ema": "ema", "test": "test", "epoch": "epoch"}
SURE = ("given", "known", "inferred")
"""Standings on which a verdict may rest; an ambiguous column is never judged above *watch*."""


def role_of(column: Column) -> Role:
    """The role of ``column``; ``UNKNOWN`` where neither its reader nor the catalogue knows it."""
    if column.role.standing != "unknown":
        return column.role
    split, _, base = column.name.rpartition("/")
    name = _NAMED.get(base)
    if name is None or (split and split not in _SPLITS):
        return UNKNOWN
    metric = METRICS.get(base)
    direction = metric.direction if metric is not None else "none"
    better: Better = "down" if name in ("alignment", "total") else direction
    return Role(
        name, split=_SPLITS.get(split, "train"), better=better, standing="known", reason="named by the catalogue"
    )


_TITLES = {
    "total": "the total loss",
    "perceptual": "the perceptual loss",
    "alignment": "the alignment loss",
    "quality": "a quality score",
    "kl": "the KL",
    "quantiser": "the quantiser's loss",
    "codebook_usage": "the use of the codebook",
    "discriminator": "the discriminator's loss",
    "generator_adversarial": "the generator's GAN loss",
}


def how_read(column: Column, role: Role) -> str:
    """``l_g_pix is read as the reconstruction``: for a sentence, where that is a conclusion and not known; else empty."""
    if role.standing not in ("inferred", "ambiguous"):
        return ""
    what = _TITLES.get(role.name, f"the {role.name.replace('_', ' ')}")
    return f"{column.original} {'is read as' if role.standing == 'inferred' else 'is perhaps'} {what}"


def read_as(column: Column, role: Role) -> str:
    """The column's name for a sentence, with how it was read in brackets where that is a conclusion."""
    said = how_read(column, role)
    return f"{column.original} ({said.removeprefix(column.original + ' is ')})" if said else column.name
