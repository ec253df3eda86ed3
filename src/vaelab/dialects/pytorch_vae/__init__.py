"""PyTorch-VAE, read from AntixK/PyTorch-VAE at a6896b9: experiment.py, models/*.py, configs/*.yaml.

Twenty models share one trainer. Lightning logs them under the names their ``loss_function`` returns.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, KnownFault, Signature

_SOURCE = "AntixK/PyTorch-VAE at a6896b9: experiment.py, models/*.py"
_COLUMNS = {"loss": "total_loss", "reconstruction_loss": "rec_loss", "kld": "kl_loss", "vq_loss": "quant_loss"}
_VALIDATION = KnownFault(
    "G4",
    "validation takes the KL with weight 1, training with kld_weight (0.00025): loss and val_loss are not comparable, and the"
    " checkpoint with the smallest val_loss is the one with the smallest KL",
)

DIALECTS = (
    Dialect(
        id="pytorch_vae",
        title="PyTorch-VAE (Lightning)",
        recognised_by=(
            Signature(
                frozenset({"loss", "reconstruction_loss", "kld"}), 0.75, frozenset({"tc_loss", "dip_loss", "kl_loss"})
            ),
        ),
        source=_SOURCE,
        columns=_COLUMNS,
        nll_reduction="mean",
        kl_reduction="sum-per-sample",
        total_includes_gan=False,
        input_range=(0.0, 1.0),
        formulas={
            "rec_loss": "mean (x - recon)^2 in most models; 1 - MS-SSIM in MSSIMVAE, log-cosh in LogCoshVAE",
            "kl_loss": "printed as KLD: sum over the latent, mean over the batch, with a minus sign in every model but BetaVAE:"
            " -30 is a KL of 30",
            "total_loss": "rec_loss + kld_weight * KL (BetaVAE: times beta, or gamma * |KL - C|)",
        },
        known_faults=(
            _VALIDATION,
            KnownFault("A1", "pictures are in [0, 1], the decoder ends in Tanh: half of its range is never asked for"),
        ),
        defaults={"kl_weight": 0.00025, "lr": 0.005},
    ),
    Dialect(
        id="pytorch_vae_vq",
        title="PyTorch-VAE VQVAE (Lightning)",
        recognised_by=(Signature(frozenset({"reconstruction_loss", "vq_loss", "loss"}), 0.75, frozenset({"kld"})),),
        source=_SOURCE,
        columns=_COLUMNS,
        rec_kind="mse",
        nll_reduction="mean",
        kl_reduction="none",
        total_includes_gan=False,
        input_range=(0.0, 1.0),
        formulas={
            "rec_loss": "mean (x - recon)^2",
            "quant_loss": "printed as VQ_Loss: beta (0.25) * commitment + codebook term",
            "total_loss": "rec_loss + quant_loss",
        },
    ),
    Dialect(
        id="pytorch_vae_sum",
        title="PyTorch-VAE DIP-VAE and BetaTC-VAE (Lightning)",
        recognised_by=(
            Signature(frozenset({"reconstruction_loss", "kld", "dip_loss"}), 0.9),
            Signature(frozenset({"reconstruction_loss", "kld", "tc_loss", "mi_loss"}), 0.9),
        ),
        source=_SOURCE,
        columns=_COLUMNS,
        rec_kind="mse-sum",
        nll_reduction="unknown",
        kl_reduction="unknown",
        total_includes_gan=False,
        input_range=(0.0, 1.0),
        formulas={
            "rec_loss": "(x - recon)^2 summed over all pixels of the whole batch: it grows with the batch size",
            "kl_loss": "DIP-VAE: sum over latent and batch, printed with a minus sign; BetaTC-VAE: the dimension-wise KL, may"
            " be negative",
            "total_loss": "DIP-VAE: rec_loss + kld_weight * KL + DIP_Loss; BetaTC-VAE: rec_loss / batch + alpha * MI_Loss +"
            " beta * TC_Loss + anneal * gamma * KLD",
        },
        known_faults=(_VALIDATION,),
    ),
)
