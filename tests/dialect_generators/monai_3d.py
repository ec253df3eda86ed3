"""MONAI's 3D AutoencoderKL notebook as it was saved: one bar an epoch, cut at 70 columns in the middle of names and numbers.

What stands whole is the reconstruction; a number that ends where the line is cut may have lost digits.
"""

from __future__ import annotations

from dialect_generators.curves import curves, tqdm_bar, tqdm_number

SUFFIX = ".log"
DIALECT = ""
FAULTS = ("blowup",)
ROLES = {"recons_loss": "rec_loss"}
BATCHES = 194


def records(kind: str = "healthy", rows: int = 100, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed, gan_at=0)
    return [{"step": str((i + 1) * BATCHES), "recons_loss": tqdm_number(0.078 * c.rec[i])} for i in range(rows)]


def log(kind: str = "healthy", rows: int = 100, seed: int = 0) -> str:
    made = records(kind, rows, seed)
    others = {"gen_loss": "0.31", "disc_loss": "0.243"}
    return "".join(
        tqdm_bar(f"Epoch {i}", BATCHES, BATCHES, {"recons_loss": row["recons_loss"]} | others, width=70) + "\n"
        for i, row in enumerate(made)
    )
