"""MAISI's VAE notebook: ``Epoch 0 train_vae_loss 0.81: {...}.``, and the same for validation every tenth epoch."""

from __future__ import annotations

from dialect_generators.curves import curves

SUFFIX = ".log"
DIALECT = "maisi"
FAULTS = ("blowup",)
ROLES = {
    "train_vae_loss": "total_loss",
    "recons_loss": "rec_loss",
    "kl_loss": "kl_loss",
    "p_loss": "perceptual_loss",
}


def records(kind: str = "healthy", rows: int = 100, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed, gan_at=0)
    made = []
    for i in range(rows):
        rec, kl, p = 0.35 * float(c.rec[i]), 10000 + 9000 * float(c.kl[i]), 1.55 * float(c.perceptual[i])
        row = {"train_vae_loss": rec + 1e-7 * kl + 0.3 * p, "recons_loss": rec, "kl_loss": kl, "p_loss": p}
        made.append({"step": str(i)} | {m: repr(v) for m, v in row.items()})
    return made


def log(kind: str = "healthy", rows: int = 100, seed: int = 0) -> str:
    lines = ["model_dir: ./models/", "batch_size: 1", "kl_weight: 1e-07", "perceptual_weight: 0.3", "adv_weight: 0.1"]
    for i, row in enumerate(records(kind, rows, seed)):
        losses = {m: float(row[m]) for m in ("recons_loss", "kl_loss", "p_loss")}
        lines.append("lr: [0.0001]")
        lines.append(f"Epoch {i} train_vae_loss {row['train_vae_loss']}: {losses}.")
        lines.append("Save trained autoencoder to ./models/autoencoder.pt")
        if i % 10 == 0:
            lines.append(
                f"Epoch {i} val_vae_loss {0.9 * float(row['train_vae_loss'])}: { {m: 0.9 * v for m, v in losses.items()} }."
            )
    return "\n".join(lines) + "\n"
