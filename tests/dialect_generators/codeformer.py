"""CodeFormer's stage 3: the decoder is fixed, the encoder and the code predictor are trained."""

from __future__ import annotations

from dialect_generators.basicsr_lines import message_log
from dialect_generators.curves import curves

SUFFIX = ".log"
DIALECT = "codeformer"
FAULTS = ("dwins",)
ROLES = {
    "l_feat_encoder": "alignment_loss",
    "l_g_pix": "rec_loss",
    "l_g_percep": "perceptual_loss",
    "d_weight": "d_weight",
    "l_g_gan": "g_loss_weighted",
    "l_d_real": "disc_loss_real",
    "out_d_fake": "logits_fake",
}
EVERY = 100


def records(kind: str = "healthy", rows: int = 200, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed, gan_at=0.25, floor=0.5)
    real, fake = c.halves
    made = []
    for i in range(rows):
        row = {
            "l_feat_encoder": 0.056 * c.rec[i],
            "cross_entropy_loss": 3.1 * (0.7 + 0.3 * c.perceptual[i]),
            "l_g_pix": 0.19 * c.rec[i],
            "l_g_percep": 0.6 * c.perceptual[i],
        }
        if c.gan[i]:
            row |= {"d_weight": 0.1, "l_g_gan": -0.1 * c.fake[i]}
            row |= {"l_d_real": real[i], "out_d_real": c.real[i], "l_d_fake": fake[i], "out_d_fake": c.fake[i]}
        made.append({"step": str((i + 1) * EVERY)} | {m: f"{v:.4e}" for m, v in row.items()})
    return made


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    return message_log("CodeFormer_stage3", records(kind, rows, seed), ("5.000e-05", "5.000e-05"), 150000)
