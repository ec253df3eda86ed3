"""l-DeTok main_reconstruction.py: MetricLogger lines behind a glog prefix."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from dialect_generators.curves import curves

SUFFIX = ".txt"
DIALECT = "detok"
FAULTS = ("dwins", "blowup")
ROLES = {
    "reconstruction_loss": "rec_loss",
    "perceptual_loss": "perceptual_loss",
    "kl_loss": "kl_loss",
    "weighted_gan_loss": "g_loss_weighted",
    "gan_loss": "g_loss",
    "discriminator_factor": "disc_factor",
    "psnr": "psnr",
    "grad_norm": "grad_norm",
    "lr": "lr",
    "discriminator_loss": "disc_loss",
}
EVERY = 100
EPOCH = 1251


def records(kind: str = "healthy", rows: int = 200, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed)
    per_epoch = len(_printed_iterations())
    made = []
    for i in range(rows):
        epoch, at = divmod(i, per_epoch)
        # the GAN starts with an epoch
        on = bool(c.gan[min(epoch * per_epoch, rows - 1)])
        gan = -float(c.fake[i]) if on else 0.0
        rec = 0.06 * float(c.rec[i])
        row = {
            "reconstruction_loss": rec,
            "perceptual_loss": 0.8 * float(c.perceptual[i]),
            "kl_loss": 0.004 * float(c.kl[i]),
            "weighted_gan_loss": 0.1 * gan,
            "discriminator_factor": float(on),
            "d_weight": 0.1,
            "gan_loss": gan,
            "psnr": -10 * float(np.log10(rec)),
        }
        if on:
            row |= {
                "discriminator_loss": float(c.hinge[i]),
                "logits_real": float(c.real[i]),
                "logits_fake": float(c.fake[i]),
            }
        loss = sum(v for m, v in row.items() if "loss" in m)
        row = {"loss": loss, "grad_norm": 0.5, "discriminator_grad_norm": 0.4 if on else 0.0} | row
        step = epoch * EPOCH + _printed_iterations()[at]
        made.append({"step": str(step), "lr": "0.000100"} | {m: f"{v:.4f}" for m, v in row.items()})
    return made


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    begun = datetime(2026, 2, 23, 9)
    lines = []
    for i, row in enumerate(records(kind, rows, seed)):
        epoch, at = divmod(int(row["step"]), EPOCH)
        when = (begun + timedelta(seconds=30 * i)).strftime("%Y%m%d %H:%M:%S")
        meters = [f"lr: {row['lr']}", "samples/s/gpu: 233.10"]
        meters += [f"{m}: {text} ({text})" for m, text in row.items() if m not in ("step", "lr")]
        lines.append(
            f"I{when} DeTok logger.py:199] Epoch: [{epoch}]  [{at:4d}/{EPOCH}]  eta: 0:05:10  elapsed: 0:01:10  "
            + "  ".join(meters)
            + "  time: 0.2745  data: 0.0003  max mem: 40213"
        )
        if at == EPOCH - 1:
            lines.append(f"I{when} DeTok logger.py:224] Epoch: [{epoch}] Total time: 0:05:43 (0.274500 s / it)")
    return "\n".join(lines) + "\n"


def _printed_iterations() -> list[int]:
    return [*range(0, EPOCH, EVERY), EPOCH - 1]
