"""REPA-E train_repae.py: a tqdm bar whose names are in the order of the alphabet."""

from __future__ import annotations

from dialect_generators.curves import curves, tqdm_bar, tqdm_number

SUFFIX = ".log"
DIALECT = "repae"
FAULTS = ("blowup", "nan")
ROLES = {
    "vae_loss": "total_loss",
    "reconstruction_loss": "rec_loss",
    "perceptual_loss": "perceptual_loss",
    "weighted_gan_loss": "g_loss_weighted",
    "gan_loss": "g_loss",
    "vae_align_loss": "alignment_loss",
    "d_loss": "disc_loss",
    "grad_norm_vae": "grad_norm",
    "grad_norm_disc": "disc_grad_norm",
}
EVERY = 100


def records(kind: str = "healthy", rows: int = 200, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed, gan_at=0.0, floor=0.9)
    align = -0.35 - 0.25 * c.kl
    made = []
    for i in range(rows):
        row = {
            "d_loss": c.hinge[i],
            "d_weight": 0.1,
            "denoising_loss": 0.9 - 0.1 * c.progress[i],
            "discriminator_factor": 1.0,
            "epoch": i // 50,
            "gan_loss": -c.fake[i],
            "grad_norm_disc": 0.4 * c.jitter(0.1)[i],
            "grad_norm_sit": 0.3,
            "grad_norm_vae": 0.6 * c.jitter(0.1)[i],
            "kl_loss": 0.03 * c.rec[i],
            "lecam_loss": 0.0,
            "logits_fake": c.fake[i],
            "logits_real": c.real[i],
            "perceptual_loss": 0.13 * c.perceptual[i],
            "proj_loss": align[i] - 0.05,
            "reconstruction_loss": 0.07 * c.rec[i],
            "vae_align_loss": align[i],
            "weighted_gan_loss": -0.1 * c.fake[i],
        }
        row["sit_loss"] = row["denoising_loss"] + 0.5 * row["proj_loss"]
        row["vae_loss"] = (
            row["reconstruction_loss"] + row["perceptual_loss"] + row["kl_loss"] + row["weighted_gan_loss"]
            + 1.5 * row["vae_align_loss"]
        )  # fmt: skip
        made.append({"step": str((i + 1) * EVERY)} | {m: tqdm_number(row[m]) for m in sorted(row)})
    return made


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    bars = []
    for row in records(kind, rows, seed):
        postfix = {m: text for m, text in row.items() if m != "step"}
        bars.append(tqdm_bar("Steps", int(row["step"]), 400000, postfix))
    return "\r".join(bars) + "\n"
