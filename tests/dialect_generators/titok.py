"""TiTok stage 2: the history that 1d-tokenizer gives to W&B, as JSON lines."""

from __future__ import annotations

import json

from dialect_generators.curves import curves

SUFFIX = ".jsonl"
DIALECT = "titok"
FAULTS = ("dwins", "blowup")
ROLES = {
    "train/total_loss": "total_loss",
    "train/reconstruction_loss": "rec_loss",
    "train/perceptual_loss": "perceptual_loss",
    "train/quantizer_loss": "quant_loss",
    "train/weighted_gan_loss": "g_loss_weighted",
    "train/gan_loss": "g_loss",
    "train/discriminator_factor": "disc_factor",
    "train/d_weight": "d_weight",
    "train/discriminator_loss": "disc_loss",
    "train/logits_real": "logits_real",
}
EVERY = 50


def records(kind: str = "healthy", rows: int = 200, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed)
    made = []
    for i in range(rows):
        on = bool(c.gan[i])
        gan = -float(c.fake[i]) if on else 0.0
        row = {
            "lr": 1e-4,
            "lr/generator": 1e-4,
            "samples/sec/gpu": 121.0,
            "time/data_time": 0.0031,
            "time/batch_time": 0.26,
            "train/reconstruction_loss": 0.08 * float(c.rec[i]),
            "train/perceptual_loss": 0.35 * float(c.perceptual[i]),
            "train/quantizer_loss": 0.0,
            "train/weighted_gan_loss": 0.01 * gan,
            "train/discriminator_factor": float(on),
            "train/commitment_loss": 0.0,
            "train/codebook_loss": 0.011,
            "train/d_weight": 0.01,
            "train/gan_loss": gan,
        }
        row["train/total_loss"] = (
            row["train/reconstruction_loss"] + row["train/perceptual_loss"] + row["train/weighted_gan_loss"]
        )
        if on:
            lecam = 0.001 * 0.2
            row |= {
                "train/discriminator_loss": float(c.hinge[i]) + lecam,
                "train/logits_real": float(c.real[i]),
                "train/logits_fake": float(c.fake[i]),
                "train/lecam_loss": lecam,
            }
        if (i + 1) * EVERY % 1000 == 0:
            row |= {"grad_norm/latent_tokens": 3.1e-6, "grad_norm/decoder.mask_token": 2.2e-5}
        made.append({"step": str((i + 1) * EVERY)} | {m: repr(v) for m, v in row.items()})
    return made


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    lines = []
    for row in records(kind, rows, seed):
        values = {m: float(text) for m, text in row.items() if m != "step"}
        lines.append(json.dumps({"_step": int(row["step"]), "_timestamp": 1.7e9 + int(row["step"])} | values))
    return "\n".join(lines) + "\n"
