"""PyTorch-VAE's VanillaVAE: Lightning's metrics as a table, with the KL printed under a minus sign."""

from __future__ import annotations

import csv
import io

from dialect_generators.curves import curves

SUFFIX = ".csv"
DIALECT = "pytorch_vae"
FAULTS = ("collapse", "nan")
ROLES = {"loss": "total_loss", "Reconstruction_Loss": "rec_loss", "KLD": "kl_loss"}
EVERY = 50


def records(kind: str = "healthy", rows: int = 200, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed, gan_at=2, floor=0.2)
    made = []
    for i in range(rows):
        # the mean picture of the faces has an error of about 0.07
        rec, kl = 0.09 * c.rec[i], 38 * c.kl[i]
        row = {"loss": rec + 0.00025 * kl, "Reconstruction_Loss": rec, "KLD": -kl}
        made.append({"step": str((i + 1) * EVERY - 1)} | {m: repr(float(v)) for m, v in row.items()})
    return made


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(ROLES)
    writer.writerow([*names, "epoch", "step", "val_loss", "val_Reconstruction_Loss", "val_KLD"])
    for i, row in enumerate(records(kind, rows, seed)):
        epoch = i // 50
        writer.writerow([*(row[m] for m in names), epoch, row["step"], "", "", ""])
        if i % 50 == 49:
            rec, kl = float(row["Reconstruction_Loss"]) * 1.02, float(row["KLD"]) * 1.01
            writer.writerow(["", "", "", epoch, row["step"], repr(rec - kl), repr(rec), repr(kl)])
    return text.getvalue()
