"""OmniTokenizer's first stage under Lightning: the CSVLogger's table."""

from __future__ import annotations

import csv
import io

from dialect_generators.curves import curves

SUFFIX = ".csv"
DIALECT = "omnitokenizer"
FAULTS = ("collapse", "blowup")
ROLES = {
    "train/recon_loss_step": "rec_loss",
    "train/perceptual_loss_step": "perceptual_loss",
    "train/aeloss_step": "g_loss_weighted",
    "train/commitment_loss_step": "quant_loss",
    "train/usage_step": "cluster_usage",
    "train/discloss_step": "disc_loss",
}
EVERY = 50


def records(kind: str = "healthy", rows: int = 200, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed, gan_at=0.0)
    made = []
    for i in range(rows):
        row = {
            "train/image_gan_feat_loss_step": 0.4 * c.jitter(0.05)[i],
            "train/perceptual_loss_step": 2.2 * c.perceptual[i],
            "train/g_image_loss_step": -c.fake[i],
            "train/recon_loss_step": 0.9 * c.rec[i],
            "train/aeloss_step": -0.01 * c.fake[i],
            "train/commitment_loss_step": 0.05 * c.jitter(0.05)[i],
            "train/perplexity_step": 8192 * c.usage[i] ** 2,
            "train/usage_step": c.usage[i],
            "train/logits_image_real_step": c.real[i],
            "train/logits_image_fake_step": c.fake[i],
            "train/d_image_loss_step": c.hinge[i],
            "train/discloss_step": 0.01 * c.hinge[i],
        }
        made.append({"step": str((i + 1) * EVERY - 1)} | {m: repr(float(v)) for m, v in row.items()})
    return made


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    made = records(kind, rows, seed)
    names = [m for m in made[0] if m != "step"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["epoch", "step", *names])
    writer.writerows([i // 100, row["step"], *(row[m] for m in names)] for i, row in enumerate(made))
    return text.getvalue()
