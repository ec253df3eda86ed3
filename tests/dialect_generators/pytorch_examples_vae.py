"""PyTorch's VAE example: the position counts pictures, and two lines close an epoch."""

from __future__ import annotations

from dialect_generators.curves import curves

SUFFIX = ".log"
DIALECT = "pytorch_examples_vae"
FAULTS = ("nan",)
ROLES = {"Loss": "total_loss"}
PICTURES = 60000
BATCH = 128
EVERY = 50


def records(kind: str = "healthy", rows: int = 100, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed, gan_at=2, floor=0.19)
    made = []
    for i in range(rows):
        epoch, at = divmod(i, len(_batches()))
        step = epoch * -(-PICTURES // BATCH) + _batches()[at]
        made.append({"step": str(step), "Loss": f"{557.0 * c.rec[i]:.6f}"})
    return made


def log(kind: str = "healthy", rows: int = 100, seed: int = 0) -> str:
    lines = []
    made = records(kind, rows, seed)
    for i, row in enumerate(made):
        epoch, at = divmod(i, len(_batches()))
        batch = _batches()[at]
        share = 100.0 * batch / -(-PICTURES // BATCH)
        lines.append(f"Train Epoch: {epoch + 1} [{batch * BATCH}/{PICTURES} ({share:.0f}%)]\tLoss: {row['Loss']}")
        if at == len(_batches()) - 1:
            lines.append(f"====> Epoch: {epoch + 1} Average loss: {float(row['Loss']) * 1.01:.4f}")
            lines.append(f"====> Test set loss: {float(row['Loss']) * 0.99:.4f}")
    return "\n".join(lines) + "\n"


def _batches() -> range:
    return range(0, -(-PICTURES // BATCH), EVERY)
