"""explainingai's train_vqvae.py: one line an epoch, and D Loss without a colon."""

from __future__ import annotations

from dialect_generators.curves import curves

SUFFIX = ".log"
DIALECT = "explainingai"
FAULTS = ("blowup",)
ROLES = {
    "Recon Loss": "rec_loss",
    "Perceptual Loss": "perceptual_loss",
    "Codebook": "quant_loss",
    "G Loss": "g_loss_weighted",
    "D Loss": "disc_loss",
}


def records(kind: str = "healthy", rows: int = 30, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed, gan_at=0.1)
    made = []
    for i in range(rows):
        row = {
            "Recon Loss": 0.09 * c.rec[i],
            "Perceptual Loss": 0.25 * c.perceptual[i],
            "Codebook": 0.012 * c.jitter(0.05)[i],
        }
        if c.gan[i]:
            real, fake = 0.5 + 0.1 * c.real[i], 0.5 + 0.1 * c.fake[i]
            row |= {"G Loss": 0.5 * (1 - fake) ** 2, "D Loss": 0.25 * (fake**2 + (1 - real) ** 2)}
        made.append({"step": str(i + 1)} | {m: f"{v:.4f}" for m, v in row.items()})
    return made


def log(kind: str = "healthy", rows: int = 30, seed: int = 0) -> str:
    lines = []
    for row in records(kind, rows, seed):
        line = (
            f"Finished epoch: {row['step']} | Recon Loss : {row['Recon Loss']} | Perceptual Loss : "
            f"{row['Perceptual Loss']} | Codebook : {row['Codebook']}"
        )
        if "G Loss" in row:
            line += f" | G Loss : {row['G Loss']} | D Loss {row['D Loss']}"
        lines.append(line)
    return "\n".join([*lines, "Done Training..."]) + "\n"
