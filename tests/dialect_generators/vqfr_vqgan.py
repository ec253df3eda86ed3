"""VQFR's VQGAN: a softplus GAN with R1, and its own names."""

from __future__ import annotations

import numpy as np

from dialect_generators.basicsr_lines import message_log
from dialect_generators.curves import curves

SUFFIX = ".log"
DIALECT = "vqfr_vqgan"
FAULTS = ("dwins", "blowup")
ROLES = {
    "l_rec": "rec_loss",
    "l_g_percep": "perceptual_loss",
    "l_codebook": "quant_loss",
    "l_g_gan": "g_loss_weighted",
    "l_total_g": "total_loss",
    "l_d": "disc_loss",
    "real_score": "logits_real",
    "fake_score": "logits_fake",
}
EVERY = 500


def records(kind: str = "healthy", rows: int = 200, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed, gan_at=0.4)
    made = []
    for i in range(rows):
        step = (i + 1) * EVERY
        row = {
            "l_rec": 0.3 * c.rec[i],
            "l_g_percep": 0.6 * c.perceptual[i],
            # the codebook is estimated, and not yet trained, in the first 10,000 steps
            "l_codebook": 0.03 * c.jitter(0.05)[i] if step > 10000 else 0.0,
        }
        if c.gan[i]:
            row["l_g_gan"] = float(np.log1p(np.exp(-c.fake[i])))
        row["l_total_g"] = sum(row.values())
        if c.gan[i]:
            row["l_d"] = float(np.log1p(np.exp(-c.real[i])) + np.log1p(np.exp(c.fake[i])))
            row |= {"real_score": c.real[i], "fake_score": c.fake[i]}
        made.append({"step": str(step)} | {m: f"{v:.4e}" for m, v in row.items()})
    return made


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    return message_log("train_vqgan_v1_B16_800K", records(kind, rows, seed), ("1.000e-04", "1.000e-04"), 800000)
