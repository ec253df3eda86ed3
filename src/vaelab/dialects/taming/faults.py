"""Known faults of taming-transformers."""

from __future__ import annotations

from vaelab.dialects.bug import Bug
from vaelab.dialects.shared_faults import LIGHTNING_TRAINS, RATIO

TT = ("taming",)

BUGS = (
    Bug(
        "TT-3",
        TT,
        "info",
        "VectorQuantizer2 multiplies the codebook term by beta, not the commitment term (legacy=True, kept for compatibility)",
        "taming/modules/vqvae/quantize.py:218-221",
        "pass legacy=False for the paper's loss",
    ),
)

# code of a fault that many trainers share -> where it is in this one
COPIES: dict[str, dict[str, str]] = {
    "taming": {
        "PF-6": LIGHTNING_TRAINS,
        "LPIPS-NaN": "taming/modules/losses/lpips.py, normalize_tensor",
        "TT-1": "taming/models/vqgan.py:83-102; taming/modules/losses/vqperceptual.py:78-87",
        "TT-2": "taming/modules/losses/vqperceptual.py:129-130",
        "TT-4": RATIO,
        "LDM-4": "main.py (scale_lr)",
    },
}
