"""audiocraft's EnCodec solver: flashy's coloured lines, a summary of each epoch, and the validation between."""

from __future__ import annotations

import numpy as np

from dialect_generators.curves_b import Series, broken, curves, hinge_halves

SUFFIX = ".log"
DIALECT = "audiocraft"
FAULTS = ("dwins", "nan")
COLUMNS = {
    "d_loss": "disc_loss", "adv_msstftd": "g_loss", "feat_msstftd": "feature_matching_loss", "msspec": "rec_loss",
    "penalty": "quant_loss", "g_loss": "total_loss", "ratio2": "grad_norm",
}  # fmt: skip
PER_EPOCH = 2000
LINES = 9
BOLD, RESET = "\x1b[1m", "\x1b[0m"


def shown(name: str, value: float) -> float:
    """Three digits after the point."""
    return float(f"{value:.3f}")


def series(kind: str = "healthy", rows: int = 200, seed: int = 0) -> Series:
    c = curves(kind, rows, seed)
    real, fake = hinge_halves(c)
    adv, feat, l1, msspec = c.gap / 2, 0.3 + 0.7 * c.gap * c.noise(0.05), 0.09 * c.fit, 3.1 * c.fit
    i = np.arange(len(c.t))
    columns = {
        "step": (i // LINES * PER_EPOCH + (i % LINES + 1) * PER_EPOCH / 10).astype(float),
        "bandwidth": np.full(len(c.t), 3.0),
        "d_loss": real + fake,
        "d_msstftd": real + fake,
        "adv_msstftd": adv,
        "feat_msstftd": feat,
        "l1": l1,
        "msspec": msspec,
        "penalty": 0.02 + 0.01 * c.t * c.noise(0.05),
        "ratio1": 0.02 * c.noise(0.2),
        "g_loss": (5.5 * msspec + 3 * l1 + 4 * adv + 2 * feat) * c.noise(0.03),
        "ratio2": 0.8 * c.noise(0.2),
        "mel": 1.9 * c.fit,
        "sisnr": -8 + 15 * c.fit,
        "adv": adv,
        "feat": feat,
    }
    return broken(kind, columns, c)


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    columns = series(kind, rows, seed)
    names = [name for name in columns if name != "step"]
    held_out = [n for n in names if n not in ("d_loss", "d_msstftd", "penalty", "ratio1", "g_loss", "ratio2")]
    lines = []

    def say(text: str) -> None:
        hour, minute = divmod(5 * len(lines) + 605, 60)
        stamp = f"[\x1b[36m09-{21 + hour // 24:02d} {hour % 24:02d}:{minute:02d}:11{RESET}]"
        lines.append(f"{stamp}[\x1b[34mflashy.solver{RESET}][\x1b[32mINFO{RESET}] - {text}{RESET}")

    def values(row: int, which: list[str], factor: float, equals: str) -> str:
        return " | ".join(f"{n}{equals}{columns[n][row] * factor:.3f}" for n in which)

    for i in range(rows):
        epoch, within = i // LINES + 1, i % LINES + 1
        say(
            f"Train | Epoch {epoch} | {within * PER_EPOCH // 10}/{PER_EPOCH} | 3.53 it/sec | {values(i, names, 1, ' ')}"
        )
        if within == LINES:
            say(f"{BOLD}Train Summary | Epoch {epoch} | {values(i, names, 1, '=')}{RESET}")
            say(f"Valid | Epoch {epoch} | 78/156 | 6.02 it/sec | {values(i, held_out, 1.02, ' ')}")
            say(f"{BOLD}Valid Summary | Epoch {epoch} | {values(i, held_out, 1.02, '=')}{RESET}")
    return "\n".join(lines) + "\n"
