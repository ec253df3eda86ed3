"""RAE train_stage1.py: one line each 100 steps, one line an epoch with its means."""

from __future__ import annotations

from datetime import datetime, timedelta

from dialect_generators.curves import curves

SUFFIX = ".log"
DIALECT = "rae"
FAULTS = ("dwins", "blowup")
ROLES = {
    "loss/total": "total_loss",
    "loss/recon": "rec_loss",
    "loss/lpips": "perceptual_loss",
    "loss/gan": "g_loss",
    "loss/disc": "disc_loss",
    "lr/generator": "lr",
    "lr/discriminator": "disc_lr",
    "disc/logits_real": "logits_real",
    "disc/logits_fake": "logits_fake",
}
EVERY = 100
EPOCH = 2000


def records(kind: str = "healthy", rows: int = 200, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed)
    trained = c.progress >= 0.3
    made = []
    for i in range(rows):
        rec, lpips = 0.2 * c.rec[i], 0.6 * c.perceptual[i]
        gan = -c.fake[i] if c.gan[i] else 0.0
        weight = 0.5 if c.gan[i] else 0.0
        row = {
            "loss/total": rec + lpips + 0.75 * weight * gan,
            "loss/recon": rec,
            "loss/lpips": lpips,
            "loss/gan": gan,
            "lr/generator": 2e-4,
        }
        if trained[i]:
            row |= {
                "loss/disc": c.hinge[i],
                "disc/logits_real": c.real[i],
                "disc/logits_fake": c.fake[i],
                "lr/discriminator": 2e-4,
                "disc/accuracy": 0.98 if kind == "dwins" and c.gan[i] else 0.62,
                "disc/weight": weight,
            }
        made.append({"step": str(i * EVERY)} | {m: f"{v:.4f}" for m, v in row.items()})
    return made


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    begun = datetime(2026, 1, 20, 9)
    lines = []
    made = records(kind, rows, seed)
    for i, row in enumerate(made):
        step = int(row["step"])
        when = begun + timedelta(seconds=50 * i)
        said = ", ".join(f"{m}: {text}" for m, text in row.items() if m != "step")
        lines.append(f"[\033[34m{when}\033[0m] [Epoch {step // EPOCH} | Step {step}] {said}")
        if (step + EVERY) % EPOCH == 0:
            means = ", ".join(f"epoch/loss_{m}: {row['loss/' + m]}" for m in ("total", "recon", "lpips", "gan"))
            lines.append(f"[\033[34m{when}\033[0m] [Epoch {step // EPOCH}] {means}")
    return "\n".join(lines) + "\n"
