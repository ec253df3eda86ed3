"""audiocraft's EnCodec solver: ``name value | name value`` lines of flashy, losses combined by balancing gradients.

Read: facebookresearch/audiocraft at 896ec7c, ``audiocraft/solvers/compression.py``, ``solvers/base.py``, ``adversarial/losses.py``,
``losses/balancer.py``, ``losses/specloss.py``, ``losses/sisnr.py``, ``quantization/vq.py``, ``config/solver/compression/default.yaml``;
facebookresearch/flashy at 3881ba4, ``flashy/logging.py``. A line is the mean since the line before; a ``Summary`` line that of the epoch.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, Signature

_ADVERSARIES = ("msstftd", "msd", "mpd")

DIALECTS = (
    Dialect(
        id="audiocraft",
        title="audiocraft EnCodec (flashy)",
        source="facebookresearch/audiocraft at 896ec7c",
        reading_only=True,
        recognised_by=tuple(
            Signature(frozenset({f"adv_{name}", f"feat_{name}", f"d_{name}"}), 0.95) for name in _ADVERSARIES
        ),
        columns={
            "g_loss": "total_loss",
            "msspec": "rec_loss",
            "d_loss": "disc_loss",
            "adv": "g_loss",
            "feat": "feature_matching_loss",
            "penalty": "quant_loss",
            "ratio2": "grad_norm",
        }
        | {f"adv_{name}": "g_loss" for name in _ADVERSARIES}
        | {f"feat_{name}": "feature_matching_loss" for name in _ADVERSARIES},
        rec_kind="spectral",
        kl_reduction="none",
        disc_loss_family="hinge",
        disc_loss_scale=2.0,
        input_range=None,
        extra_terms={"feature_matching_loss": "feature_matching_weight", "quant_loss": "commit_weight"},
        formulas={
            "total_loss": "printed as g_loss: each loss times (its share of the weights / the running norm of its gradient), summed. The factors"
            " change while training, so its level says nothing and no sum of printed columns gives it",
            "rec_loss": "printed as msspec: L1 of mel spectra plus squared error of log-mel spectra over five windows, in validation too",
            "g_loss": "printed as adv_<discriminator> and adv (their sum): -mean D(recon), mean over the scales, without weight",
            "disc_loss": "printed as d_loss: mean relu(1 - D(x)) + mean relu(1 + D(recon)), mean over the scales, summed over the"
            " discriminators, not halved: chance is 2.0 with one discriminator; averaged over the batches in which it was trained",
            "quant_loss": "printed as penalty: the commitment loss, back-propagated outside the balancer with weight 1",
            "grad_norm": "printed as ratio2: norm of the model's gradient before the step; ratio1 is that of the penalty alone",
        },
        defaults={"disc_start": 0},
    ),
)
