"""MONAI's AutoencoderKL and VQGAN tutorials: a tqdm bar each epoch, of means since the epoch began."""

from __future__ import annotations

from dialect_generators.curves import curves, tqdm_bar, tqdm_number

SUFFIX = ".log"
DIALECT = "monai"
FAULTS = ("dwins", "blowup", "nan")
ROLES = {"recons_loss": "rec_loss", "gen_loss": "g_loss", "disc_loss": "disc_loss"}
BATCHES = 32
SHOWN = (8, 16, 24, 32)


def records(kind: str = "healthy", rows: int = 200, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed, gan_at=0.15)
    # least squares: D answers 0.5 + half the gap for real, 0.5 - half of it for fake
    real, fake = 0.5 + 0.1 * c.real, 0.5 + 0.1 * c.fake
    made = []
    for i in range(rows):
        epoch, at = divmod(i, len(SHOWN))
        on = c.gan[(i // len(SHOWN)) * len(SHOWN)]
        generator = ((fake[i] - 1) ** 2 + 0.02) if on else 0
        discriminator = 0.5 * (fake[i] ** 2 + (1 - real[i]) ** 2) if on else 0
        made.append(
            {
                "step": str(epoch * BATCHES + SHOWN[at]),
                "recons_loss": tqdm_number(0.2 * c.rec[i]),
                "gen_loss": tqdm_number(generator),
                "disc_loss": tqdm_number(discriminator),
            }
        )
    return made


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    text = ""
    for i, row in enumerate(records(kind, rows, seed)):
        epoch, at = divmod(i, len(SHOWN))
        postfix = {m: row[m] for m in ROLES}
        text += "\r" + tqdm_bar(f"Epoch {epoch}", SHOWN[at], BATCHES, postfix, width=110)
        text += "\n" if at == len(SHOWN) - 1 else ""
    return text
