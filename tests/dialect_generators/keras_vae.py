"""Keras' VAE example under Keras 3, written to a file: metrics in the order of the alphabet, colours and all."""

from __future__ import annotations

from dialect_generators.curves import curves

SUFFIX = ".log"
DIALECT = ""
FAULTS = ("collapse",)
ROLES = {"loss": "total_loss", "reconstruction_loss": "rec_loss", "kl_loss": "kl_loss"}
BATCHES = 547


def records(kind: str = "healthy", rows: int = 40, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed, gan_at=2, floor=0.6)
    made = []
    for i in range(rows):
        rec, kl = 245 * c.rec[i], 2.2 + 4.2 * c.kl[i] if kind != "collapse" else 2.3 * c.kl[i]
        row = {"kl_loss": kl, "loss": rec + kl, "reconstruction_loss": rec}
        made.append({"step": str((i + 1) * BATCHES)} | {m: _number(v) for m, v in row.items()})
    return made


def log(kind: str = "healthy", rows: int = 40, seed: int = 0) -> str:
    lines = []
    for i, row in enumerate(records(kind, rows, seed), start=1):
        metrics = "".join(f" - {m}: {text}" for m, text in row.items() if m != "step")
        lines.append(f"Epoch {i}/{rows}")
        lines.append(
            f"\x1b[1m{BATCHES}/{BATCHES}\x1b[0m \x1b[32m{'━' * 20}\x1b[0m\x1b[37m\x1b[0m \x1b[1m5s\x1b[0m 9ms/step{metrics}"
        )
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"
