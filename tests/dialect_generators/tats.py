"""TATS and medicaldiffusion under Lightning 1.6: the bar, three digits a number."""

from __future__ import annotations

from dialect_generators.curves import curves, tqdm_bar, tqdm_number

SUFFIX = ".log"
DIALECT = "tats"
FAULTS = ("collapse", "dwins", "nan")
ROLES = {
    "train/perceptual_loss_step": "perceptual_loss",
    "train/recon_loss_step": "rec_loss",
    "train/aeloss_step": "g_loss_weighted",
    "train/commitment_loss_step": "quant_loss",
    "train/perplexity_step": "perplexity",
    "train/discloss_step": "disc_loss",
}
BATCHES = 500
EVERY = 50


def records(kind: str = "healthy", rows: int = 200, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed)
    perplexity = 2000 * c.usage if kind != "collapse" else 2000 * c.usage**2 + 1
    made = []
    for i in range(rows):
        rec, per, vq = 2.0 * c.rec[i], 2.4 * c.perceptual[i], 0.02 * c.jitter(0.1)[i]
        adversarial = -2 * c.fake[i] if c.gan[i] else 0.0
        disc = 2 * c.hinge[i] if c.gan[i] else 0.0
        row = {
            # Lightning adds up what both optimizers minimise
            "loss": (rec + per + vq + adversarial + disc) / 2,
            "v_num": 0,
            "train/perceptual_loss_step": per,
            "train/recon_loss_step": rec,
            "train/aeloss_step": adversarial,
            "train/commitment_loss_step": vq,
            "train/perplexity_step": perplexity[i],
            "train/discloss_step": disc,
        }
        made.append({"step": str(i * EVERY)} | {m: tqdm_number(v) for m, v in row.items()})
    return made


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    text = ""
    for row in records(kind, rows, seed):
        epoch, at = divmod(int(row["step"]), BATCHES)
        postfix = {m: text for m, text in row.items() if m != "step"}
        text += "\r" + tqdm_bar(f"Epoch {epoch}", at, BATCHES, postfix)
    return text + "\n"
