"""Small runs under the column names of several trainers, and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from synthetic_runs import decay, lognormal
from vaelab.diagnosis import Diagnosis, diagnose
from vaelab.readers import read

ROWS = 200
ROW = np.arange(ROWS)
NAMES: dict[str, dict[str, str]] = {
    "canonical": {
        "rec": "rec_loss", "per": "perceptual_loss", "kl": "kl_loss", "disc": "disc_loss", "real": "logits_real", "fake": "logits_fake",
        "lr": "lr", "total": "total_loss", "val": "val/rec_loss", "psnr": "psnr",
        "klw": "kl_weight", "g": "g_loss", "dw": "d_weight", "gn": "grad_norm",
    },
    "lightning": {
        "rec": "train/recon_loss", "per": "train/lpips_loss", "kl": "train/kld", "disc": "train/d_loss", "real": "train/real_logits",
        "fake": "train/fake_logits", "lr": "learning_rate", "total": "train/loss", "val": "val/recon_loss", "psnr": "psnr",
        "klw": "train/kl_weight", "g": "train/g_loss", "dw": "train/d_weight", "gn": "train/grad_norm",
    },
    "basicsr": {
        "rec": "l_g_pix", "per": "l_g_percep", "kl": "l_kl", "disc": "l_d_total", "real": "out_d_real", "fake": "out_d_fake",
        "lr": "lr", "total": "l_g_total", "val": "val_l_pix", "psnr": "psnr",
        "klw": "kl_beta", "g": "l_g_gan", "dw": "adaptive_weight", "gn": "grad_norm",
    },
    "plain": {
        "rec": "mse_loss", "per": "vgg_loss", "kl": "kl_divergence", "disc": "discriminator_loss", "real": "logits/real",
        "fake": "logits/fake", "lr": "lr", "total": "loss", "val": "test_mse", "psnr": "PSNR",
        "klw": "beta", "g": "adversarial_loss", "dw": "d_weight", "gn": "gradient_norm",
    },
}  # fmt: skip
every_trainer = pytest.mark.parametrize("trainer", list(NAMES))


def noise(scale: float = 0.05, seed: int = 0) -> np.ndarray:
    return lognormal(np.random.default_rng(seed), scale, ROWS)


def falls(start: float = 1.0, end: float = 0.05, pace: float = 6, seed: int = 0) -> np.ndarray:
    return decay(ROWS, start, end, pace) * noise(seed=seed)


class Log:
    """Columns written as a CSV file under the names of one trainer, and what is said of it."""

    def __init__(self, folder: Path, trainer: str) -> None:
        self.path, self.names = folder / "log.csv", NAMES[trainer]

    def judged(self, formats: dict[str, str] | None = None, **columns: Sequence[float]) -> Diagnosis:
        """NaN is an empty cell; a column without a format is written with six digits."""
        lines = [",".join(["step", *(self.names[c] for c in columns)])]
        for i in range(ROWS):
            cells = [
                ("" if math.isnan(v[i]) else (formats or {}).get(c, "{:.6g}").format(v[i])) for c, v in columns.items()
            ]
            lines.append(",".join([str(10 * i), *cells]))
        self.path.write_text("\n".join(lines) + "\n")
        return diagnose(read(self.path))


def said(diagnosis: Diagnosis) -> str:
    return "\n".join(
        [diagnosis.headline, *(f.message for f in diagnosis.findings), *(s.text for s in diagnosis.statements),
         *(n.text for n in diagnosis.next), *(q.answer for q in diagnosis.questions), *diagnosis.positive, *diagnosis.expectations,
         *(f"{m.trend}; {m.text}" for m in diagnosis.metrics)]
    )  # fmt: skip


def codes(diagnosis: Diagnosis) -> dict[str, str]:
    return {f.code: f.severity for f in reversed(diagnosis.findings)}
