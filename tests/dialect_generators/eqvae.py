"""EQ-VAE under Lightning 1.4: a table in which every scale has its own column of the total."""

from __future__ import annotations

import csv
import io

import numpy as np

from dialect_generators.curves import curves

SUFFIX = ".csv"
DIALECT = "eqvae"
FAULTS = ("dwins", "blowup")
ROLES = {
    "train/total_loss": "total_loss",
    "train/rec_loss": "rec_loss",
    "train/kl_loss": "kl_loss",
    "train/d_weight": "d_weight",
    "train/g_loss": "g_loss",
    "train/disc_loss": "disc_loss",
}
EVERY = 50
PIXELS = 3 * 256 * 256


def records(kind: str = "healthy", rows: int = 200, seed: int = 0) -> list[dict[str, str]]:
    # the published recipe tunes a trained VAE: the reconstruction starts near its best
    c = curves(kind, rows, seed, gan_at=0.0, floor=0.6)
    scales = np.random.default_rng(seed + 1)
    made = []
    for i in range(rows):
        mode = "latent" if scales.random() < 0.5 else "image"
        small = mode == "latent" or scales.random() < 0.25
        scale = scales.integers(8, 32) / 32 if small and i else 1
        mode = mode if scale != 1 else "image"
        side = int(256 * scale)
        rec = 0.2 * c.rec[i] * (1.1 if small else 1.0)
        nll, kl, weight = 3 * side * side * rec, 60000.0 * c.rec[i], 7000.0 * scale**2 * c.jitter(0.1)[i]
        total = nll + 1e-6 * kl - weight * c.fake[i]
        row = {
            f"aeloss_scale-{scale}-{mode}_step": total,
            f"discloss_scale-{scale}-{mode}_step": c.hinge[i],
            "train/total_loss": total,
            "train/logvar": 0.0,
            "train/kl_loss": kl,
            "train/nll_loss": nll,
            "train/rec_loss": rec,
            "train/d_weight": weight,
            "train/disc_factor": 1.0,
            "train/g_loss": -c.fake[i],
            "train/disc_loss": c.hinge[i],
            "train/logits_real": c.real[i],
            "train/logits_fake": c.fake[i],
        }
        made.append({"step": str((i + 1) * EVERY - 1)} | {m: repr(float(v)) for m, v in row.items()})
    return made


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    made = records(kind, rows, seed)
    names = list(dict.fromkeys(m for row in made for m in row if m != "step"))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["epoch", "step", *names])
    for i, row in enumerate(made):
        writer.writerow([i // 100, row["step"], *(row.get(m, "") for m in names)])
    return text.getvalue()
