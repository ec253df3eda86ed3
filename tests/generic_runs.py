"""Runs on which the rules that need no trainer must fire: any metric with a direction, quantisers, tiny gradients."""

from __future__ import annotations

import numpy as np

from rule_runs import ROWS, fires, noise
from synthetic_runs import Draft, decay, draft
from vaelab.catalog.roles import Role

ROW = np.arange(ROWS)


def plain(**columns: np.ndarray) -> Draft:
    """A run of a trainer nobody knows: a reconstruction that falls as it should, and other columns."""
    return draft({"rec_loss": decay(ROWS, 1.0, 0.05, 6) * noise(), **columns})


@fires("MET1001", "warn", {"error now / best": (3, 0.15)})
def _() -> Draft:
    worse = np.where(ROW < 150, 1.0, np.exp((ROW - 150) / 120))
    return plain(perceptual_loss=0.2 * worse * noise(0.05, seed=1))


@fires("MET1002", "critical", {"error after / before": (6.7, 0.05)})
def _() -> Draft:
    return plain(ssim=np.where(ROW < 200, 0.94, 0.6) + np.random.default_rng(2).normal(0, 0.002, ROWS))


@fires("MET1003", "warn", {"first rows": (1.05, 0.02), "now": (1.05, 0.02)})
def _() -> Draft:
    return plain(alignment_loss=1.05 * noise(0.005, seed=3))


@fires("MET1007", "warn", {"first step at 0": (2000, 0.02)})
def _() -> Draft:
    out = plain(GAN_Loss=np.where((ROW > 50) & (ROW < 200), 0.9 * noise(seed=9), 0.0))
    out.roles["GAN_Loss"] = Role(standing="ambiguous", could_be=("generator_adversarial", "discriminator"))
    return out


@fires("MET1008", "warn", {"rows without it": (ROWS - 200, 0)})
def _() -> Draft:
    out = plain(kl_loss=1200 * noise(seed=10))
    out.columns["rec_loss"] = np.where(ROW < 200, out.columns["rec_loss"], np.nan)
    return out


@fires("MET1005", "info", {"spikes": (8, 0)})
def _() -> Draft:
    lpips = 0.3 * noise(0.03, seed=5)
    lpips[60:284:28] *= 5
    return plain(perceptual_loss=lpips)


@fires("MET1006", "warn", {"largest of the first rows": (2.1, 0.1)})
def _() -> Draft:
    return plain(disc_loss=2 * np.exp(np.maximum(ROW - 150, 0) / 9) * noise(0.02, seed=8))


@fires("KL215", "critical", {"now / early": (5780, 0.1)})
def _() -> Draft:
    vq = 0.02 * np.exp(np.linspace(0, 9, ROWS)) * noise(seed=6)
    return plain(quant_loss=vq, total_loss=vq + 0.5)


@fires("OPT410", "warn", {"gradient norm": (1e-8, 0.1)})
def _() -> Draft:
    return plain(grad_norm=1e-8 * noise(0.2, seed=7))


@fires("SCH607", "critical", {"weight before": (1e-6, 0.01), "weight after": (1e-3, 0.01)})
def _() -> Draft:
    late = ROW >= 150
    out = plain(kl_loss=np.where(late, 100, 3000) * noise(seed=11), kl_weight=np.where(late, 1e-3, 1e-6))
    out.columns["rec_loss"] = out.columns["rec_loss"] * np.where(late, 5, 1)
    return out


@fires("MET1009", "warn", {"after the first rows": (0.3, 0.05), "now": (0.3, 0.05)})
def _() -> Draft:
    return draft({"rec_loss": (0.3 + 0.7 * np.exp(-ROW / 3)) * noise(0.03, seed=12)})


@fires("OPT411", "critical", {"lr": (1e-9, 0), "sum of lr over the steps": (3e-6, 0.05)})
def _() -> Draft:
    return draft({"rec_loss": np.linspace(0.5, 0.47, ROWS) * noise(0.02, seed=13), "lr": np.full(ROWS, 1e-9)})


@fires("OPT412", "critical", {"end of the warm-up / planned steps": (0.49, 0.02), "peak lr": (1e-4, 0.01)})
def _() -> Draft:
    out = plain(lr=1e-4 * np.minimum(1, (ROW + 1) / (ROWS / 2)))
    out.config["total_steps"] = 10 * ROWS
    return out


@fires("MET1010", "critical", {"largest / first": (400, 0.1), "largest / now": (611, 0.1)})
def _() -> Draft:
    hit = 1 + 3000 * np.exp(-np.abs(ROW - 8) / 3)
    return draft(
        {
            "rec_loss": (0.4 + 0.2 * np.exp(-ROW / 50)) * noise() * np.where((ROW > 4) & (ROW < 12), 400, 1),
            "kl_loss": 20 * noise(seed=17) * hit,
        }
    )


@fires("MET1011", "warn", {"scatter now": (0.5, 0.25)})
def _() -> Draft:
    wild = np.random.default_rng(18).normal(0, 1, ROWS) * np.where(ROW < 150, 0.02, 0.5)
    return draft({"rec_loss": decay(ROWS, 1.0, 0.05, 20) * np.exp(wild)})


@fires("REC142", "warn", {"jump": (3, 0.3)})
def _() -> Draft:
    return draft({"rec_loss": decay(ROWS, 1.0, 0.05, 20) * noise(seed=19) * np.where(ROW < 200, 1, 3)})


@fires("RES804", "warn", {"first row": (1, 0.1)})
def _() -> Draft:
    return draft({"rec_loss": (0.05 + 0.95 * np.exp(-np.where(ROW < 180, ROW, ROW - 180) / 12)) * noise(seed=20)})


@fires("MET1012", "warn", {"times its earlier levels": (5.5, 0.15)})
def _() -> Draft:
    out = plain(kl_loss=900 * np.exp(np.maximum(ROW - 150, 0) / 30) * noise(seed=21))
    out.columns["rec_loss"] = out.columns["rec_loss"] * np.where(ROW < 220, 1, 4)
    return out
