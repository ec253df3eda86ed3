"""AcademiCodec's EnCodec: log.txt with a minute as prefix, records in angle brackets, ``iter`` within the epoch, two summaries an epoch."""

from __future__ import annotations

import numpy as np

from dialect_generators.curves_b import Series, broken, curves, hinge_halves

SUFFIX = ".txt"
DIALECT = "academicodec"
FAULTS = ("dwins", "nan")
COLUMNS = {
    "total_loss_g": "total_loss", "adv_g_loss": "g_loss", "feat_loss": "feature_matching_loss", "rec_loss": "rec_loss",
    "commit_loss": "quant_loss", "loss_d": "disc_loss",
}  # fmt: skip
ROWS_PER_EPOCH, EVERY, START = 50, 10, 500


def shown(name: str, value: float) -> float:
    """Four digits after the point."""
    return float(f"{value:.4f}")


def series(kind: str = "healthy", rows: int = 200, seed: int = 0) -> Series:
    c = curves(kind, rows, seed)
    real, fake = hinge_halves(c)
    step = EVERY * (np.arange(len(c.t), dtype=np.float64) + 1)
    on = step >= START
    rec, commit = 45 * c.fit, 0.0012 * c.noise(0.05)
    adv, feat = 1 + np.where(on, c.gap / 2, 0.02), 0.6 + 0.3 * c.gap * c.noise(0.05)
    columns = {
        "step": step,
        "total_loss_g": rec + on * (adv + feat) + 1000 * commit,
        "adv_g_loss": adv,
        "feat_loss": feat,
        "rec_loss": rec,
        "commit_loss": commit,
        "loss_d": on * (real + fake),
        "d_weight": np.ones(len(c.t)),
    }
    return broken(kind, columns, c)


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    columns = series(kind, rows, seed)
    names = [n for n in columns if n not in ("step", "d_weight")]
    summary = {"total_loss_g": "total_loss_g", "recon_loss": "rec_loss", "adversarial_loss": "adv_g_loss",
               "feature_loss": "feat_loss", "commit_loss": "commit_loss"}  # fmt: skip
    lines = ["2024-03-01-10-00: Training set", "2024-03-01-10-00: valid set"]
    for i in range(rows):
        epoch, within = divmod(i, ROWS_PER_EPOCH)
        stamp = f"2024-03-{1 + i // 720:02d}-{(10 + i // 30) % 24:02d}-{2 * i % 60:02d}: "
        values = ", ".join(f"{n}:{columns[n][i]:.4f}" for n in names)
        lines.append(f"{stamp}<epoch:{epoch:d}, iter:{(within + 1) * EVERY:d}, {values}, d_weight: 1.0000>")
        if within == ROWS_PER_EPOCH - 1:
            part = slice(i - within, i + 1)
            means = {n: float(np.mean(columns[c][part])) for n, c in summary.items()}
            lines.append(f"{stamp}<epoch:{epoch:d}, <{', '.join(f'{n}_train:{v:.4f}' for n, v in means.items())}>")
            held_out = ", ".join(f"{n}_valid:{1.03 * v:.4f}" for n, v in means.items())
            lines.append(
                f"{stamp}<epoch:{epoch:d}, {held_out}, valid_loss_d:{columns['loss_d'][i]:.4f}, best_epoch:{epoch:d}>"
            )
    return "\n".join(lines) + "\n"
