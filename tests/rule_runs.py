"""Runs on which a rule must fire: how they are registered, and those of data, quality and the KL weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synthetic_runs import Draft, decay, healthy, lognormal

ROWS = 300


@dataclass
class Case:
    """A run on which the rule must fire; ``evidence``: name -> (value, relative tolerance)."""

    build: Callable[[], Draft]
    severity: str
    evidence: dict[str, tuple[float, float]]


CASES: dict[str, Case] = {}


def fires(
    code: str, severity: str, evidence: dict[str, tuple[float, float]] | None = None
) -> Callable[[Callable[[], Draft]], Callable[[], Draft]]:
    def register(build: Callable[[], Draft]) -> Callable[[], Draft]:
        assert code not in CASES
        CASES[code] = Case(build, severity, evidence or {})
        return build

    return register


def noise(scale: float = 0.05, rows: int = ROWS, seed: int = 0) -> np.ndarray:
    return lognormal(np.random.default_rng(seed), scale, rows)


def vae(system: str = "pyramid_flow", **rest: object) -> Draft:
    return healthy(system, 0, gan_at=None, **rest)  # type: ignore[arg-type]


def with_rec(out: Draft, rec: np.ndarray) -> Draft:
    """Another rec_loss, with nll and total rebuilt."""
    out.columns["rec_loss"] = rec
    if "perceptual_loss" in out.columns:
        nll = 10 * rec + out.columns["perceptual_loss"]
    else:
        nll = {"radiodiff": 65536, "ldm": 196608}[out.trainer] * rec
    out.columns["nll_loss"] = nll
    out.columns["total_loss"] = nll + out.config["kl_weight"] * out.columns["kl_loss"]
    return out


def jumps_up(level: float, scatter: float) -> Draft:
    """rec_loss falls from 1 to 0.05 and jumps to ``level`` at row 200, with row-to-row noise of 10% before it."""
    rec = decay(ROWS, 1.0, 0.05, 20) * noise(0.1)
    rec[200:] = level * lognormal(np.random.default_rng(3), scatter, 100)
    return with_rec(vae(warm_up=0.0), rec)


@fires("REC115", "critical", {"held-out / training, first": (1.0, 0.15), "now": (4.6, 0.15)})
def _() -> Draft:
    out = with_rec(vae(warm_up=0.0), decay(ROWS, 0.4, 0.005, 4) * noise())
    held_out = np.full(ROWS, np.nan)
    held_out[29::30] = out.columns["rec_loss"][29::30] * np.linspace(1.0, 5.0, 10)
    out.columns["val/rec_loss"] = held_out
    return out


@fires("REC144", "critical", {"training / held-out, least": (4.0, 0.2), "now": (4.0, 0.2)})
def _() -> Draft:
    out = with_rec(vae(warm_up=0.0), decay(ROWS, 8.0, 3.2, 4) * noise())
    held_out = np.full(ROWS, np.nan)
    held_out[29::30] = 0.8
    out.columns["val/rec_loss"] = held_out
    return out


@fires("REC116", "critical", {"after the jump": (0.9, 0.15)})
def _() -> Draft:
    return jumps_up(0.9, 0.1)


@fires("REC117", "critical", {})
def _() -> Draft:
    out = vae()
    held_out = np.full(ROWS, np.nan)
    held_out[59::60] = [0.5, 0.7, 0.02, -0.3, -0.1]
    out.columns["val/explained_variance"] = held_out
    return out


@fires("REC139", "warn", {"val_ema/grid_peak": (3.0, 0.0)})
def _() -> Draft:
    out = vae()
    late = np.arange(ROWS) % 60 == 59
    for name, value in (("val/explained_variance", 0.9), ("val_ema/grid_peak", 3.0), ("val_ema/grid_level", 2.8)):
        out.columns[name] = np.where(late, value, np.nan)
    return out


def _() -> Draft:
    out = vae()
    out.columns["val/psnr"] = np.where(np.arange(ROWS) % 60 == 59, np.linspace(12, 19, ROWS), np.nan)
    out.measured = {"baseline.constant.psnr": 14.0, "baseline.blurred.psnr": 21.0}
    return out


@fires("DAT708", "critical", {"rec_loss now / first": (0.0005, 0.1)})
def _() -> Draft:
    out = vae(warm_up=0.0)
    out.columns["perceptual_loss"] = decay(ROWS, 0.4, 0.0004, 30) * noise(seed=1)
    return with_rec(out, decay(ROWS, 1.0, 0.0005, 30) * noise(0.02))


def _() -> Draft:
    return jumps_up(0.9, 0.01)


@fires("DAT710", "warn", {"largest / rows": (50, 0.2)})
def _() -> Draft:
    out = vae()
    means = np.full(ROWS, np.nan)
    means[49::50] = [float(np.median(part)) for part in np.split(out.columns["rec_loss"], 6)]
    means[199] *= 50
    out.columns["epoch/rec_loss"] = means
    return out


@fires("KL214", "critical", {"active share": (0.5, 0.01)})
def _() -> Draft:
    out = vae()
    out.columns["latent_active_share"] = np.full(ROWS, 0.5)
    return out


@fires("ADV318", "critical", {"declared": (2000, 0), "rows off after it": (50, 0.02)})
def _() -> Draft:
    out = healthy("pyramid_flow")
    out.config["disc_start"] = 2000
    return out


@fires("OPT409", "critical", {"rec_loss peak / first": (4, 0.2), "first lr": (1e-3, 0)})
def _() -> Draft:
    rec = 0.012 * noise(0.02)
    rec[2] *= 4
    out = with_rec(vae(warm_up=0.0), rec)
    out.columns["lr"] = np.full(ROWS, 1e-3)
    return out


@fires("NUM509", "critical", {"rows": (100, 0)})
def _() -> Draft:
    out = vae()
    norm = noise(0.2)
    norm[200:] = np.inf
    out.columns["grad_norm"] = norm
    out.logged["grad_norm"] = np.ones(ROWS, bool)
    return out
