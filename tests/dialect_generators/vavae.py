"""VA-VAE under Lightning 2: the CSVLogger's table, one row a logged batch."""

from __future__ import annotations

import csv
import io

from dialect_generators.curves import curves

SUFFIX = ".csv"
DIALECT = "vavae"
FAULTS = ("dwins", "blowup", "nan")
ROLES = {
    "train/total_loss": "total_loss",
    "train/rec_loss": "rec_loss",
    "train/nll_loss": "nll_loss",
    "train/kl_loss": "kl_loss",
    "train/g_loss": "g_loss",
    "train/d_weight": "d_weight",
    "train/disc_factor": "disc_factor",
    "train/vf_loss": "alignment_loss",
    "train/disc_loss": "disc_loss",
}
EVERY = 50
PIXELS = 3 * 256 * 256


def records(kind: str = "healthy", rows: int = 200, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed)
    rec = 0.7 * c.rec
    nll = PIXELS * rec
    kl = 20000 * c.kl + 500
    align = (0.55 + 0.5 * (c.rec - 0.15)) * c.jitter(0.01)
    align_weight = 3000 * c.jitter(0.1)
    d_weight = 9000 * c.jitter(0.15)
    factor = 1.0 * c.gan
    total = nll + 1e-6 * kl - d_weight * factor * c.fake + align_weight * align
    disc = factor * c.hinge
    values = {
        "aeloss_step": total,
        "discloss_step": disc,
        "train/d_weight": d_weight,
        "train/disc_factor": factor,
        "train/disc_loss": disc,
        "train/g_loss": -c.fake,
        "train/kl_loss": kl,
        "train/logits_fake": c.fake,
        "train/logits_real": c.real,
        "train/logvar": 0 * c.progress,
        "train/nll_loss": nll,
        "train/rec_loss": rec,
        "train/total_loss": total,
        "train/vf_loss": align,
        "train/vf_weight": align_weight,
    }
    return [{"step": str((i + 1) * EVERY - 1)} | {m: repr(float(v[i])) for m, v in values.items()} for i in range(rows)]


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    made = records(kind, rows, seed)
    names = [m for m in made[0] if m != "step"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([names[0], names[1], "epoch", "step", *names[2:]])
    for i, row in enumerate(made):
        writer.writerow([row[names[0]], row[names[1]], i // 100, row["step"], *(row[m] for m in names[2:])])
    return text.getvalue()
