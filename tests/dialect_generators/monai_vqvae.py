"""MONAI's VQVAE tutorials: the printed quantization_loss is the last batch's over the number of batches."""

from __future__ import annotations

from dialect_generators.curves import curves, tqdm_bar, tqdm_number

SUFFIX = ".log"
DIALECT = "monai_vqvae"
FAULTS = ("blowup",)
ROLES = {"recons_loss": "rec_loss"}
BATCHES = 25
SHOWN = (5, 15, 25)


def records(kind: str = "healthy", rows: int = 200, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed, gan_at=2)
    made = []
    for i in range(rows):
        epoch, at = divmod(i, len(SHOWN))
        made.append(
            {
                "step": str(epoch * BATCHES + SHOWN[at]),
                "recons_loss": tqdm_number(0.096 * c.rec[i]),
                "quantization_loss": tqdm_number(3.5e-4 * c.jitter(0.1)[i] / SHOWN[at]),
            }
        )
    return made


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    text = ""
    for i, row in enumerate(records(kind, rows, seed)):
        epoch, at = divmod(i, len(SHOWN))
        postfix = {m: text for m, text in row.items() if m != "step"}
        text += "\r" + tqdm_bar(f"Epoch {epoch}", SHOWN[at], BATCHES, postfix, width=110)
        text += "\n" if at == len(SHOWN) - 1 else ""
    return text
