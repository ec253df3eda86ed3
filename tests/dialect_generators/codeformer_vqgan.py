"""CodeFormer's stage 1 VQGAN."""

from __future__ import annotations

from dialect_generators.basicsr_lines import message_log
from dialect_generators.curves import curves

SUFFIX = ".log"
DIALECT = "codeformer_vqgan"
FAULTS = ("dwins", "blowup", "nan")
ROLES = {
    "l_g_pix": "rec_loss",
    "l_g_percep": "perceptual_loss",
    "l_g_gan": "g_loss_weighted",
    "l_codebook": "quant_loss",
    "l_d_real": "disc_loss_real",
    "l_d_fake": "disc_loss_fake",
    "out_d_real": "logits_real",
    "out_d_fake": "logits_fake",
}
EVERY = 500


def records(kind: str = "healthy", rows: int = 200, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed, gan_at=0.3)
    real, fake = c.halves
    made = []
    for i in range(rows):
        row = {"l_g_pix": 0.25 * c.rec[i], "l_g_percep": 0.6 * c.perceptual[i]}
        if c.gan[i]:
            row["l_g_gan"] = -0.8 * 0.3 * c.fake[i]
        row["l_codebook"] = 0.02 * c.jitter(0.05)[i]
        if c.gan[i]:
            row |= {"l_d_real": real[i], "out_d_real": c.real[i], "l_d_fake": fake[i], "out_d_fake": c.fake[i]}
        made.append({"step": str((i + 1) * EVERY)} | {m: f"{v:.4e}" for m, v in row.items()})
    return made


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    return message_log("VQGAN-512-ds32", records(kind, rows, seed), ("7.000e-05", "7.000e-05"), 1600000)
