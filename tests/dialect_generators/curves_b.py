"""Shapes that the generators of room B share: a fit that falls, a discriminator's outputs, a codebook in use, with a planted fault."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Series = dict[str, Array]

FAULT_AT = 0.4


@dataclass(frozen=True)
class Curves:
    """One value a row, without units.

    t: 0 to 1. fit: 1 at the start, about 0.3 at the end of a healthy run; what a reconstruction loss is multiplied by. gap: of the
    discriminator's mean outputs on real and reconstructed samples, on a scale where 0.3 is healthy and 3 is lost. used: share of the
    codebook in use. grown: 1, or what a term that runs away is multiplied by. late: rows after the fault begins.
    """

    t: Array
    fit: Array
    gap: Array
    used: Array
    grown: Array
    late: npt.NDArray[np.bool_]
    rng: np.random.Generator

    def noise(self, size: float) -> Array:
        """Factors around 1 with the relative deviation ``size``."""
        return np.exp(size * self.rng.standard_normal(len(self.t)))


def curves(kind: str, rows: int, seed: int) -> Curves:
    """Shapes of a run of this kind: healthy, dwins, collapse, blowup or nan (``broken`` puts the NaN in)."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, rows)
    since = np.clip((t - FAULT_AT) / (1 - FAULT_AT), 0, 1)
    fit = 0.28 + 0.72 * np.exp(-6 * t)
    gap, used, grown = 0.3 + 0.1 * t, 0.55 + 0.35 * (1 - np.exp(-5 * t)), np.ones(rows)
    if kind == "dwins":
        gap, fit = gap + 3.2 * np.minimum(1, 2.5 * since), fit * (1 + 0.9 * since)
    elif kind == "collapse":
        used, fit = np.maximum(used * np.exp(-5 * since), 0.004), fit * (1 + 0.8 * since)
    elif kind == "blowup":
        grown, fit = np.exp(12 * since), fit * (1 + 1.5 * since)
    elif kind not in ("healthy", "nan"):
        raise ValueError(f"no fault '{kind}' is known here: healthy, dwins, collapse, blowup, nan")
    fit = fit * np.exp(0.03 * rng.standard_normal(rows))
    return Curves(t, fit, gap * np.exp(0.1 * rng.standard_normal(rows)), used, grown, t >= FAULT_AT, rng)


def broken(kind: str, series: Series, c: Curves) -> Series:
    """``series`` with everything that is computed from the network NaN after the fault, if the kind is ``nan``."""
    if kind != "nan":
        return series
    given = ("step", "lr", "learning_rate", "time", "memory", "batch", "beta_factor", "bandwidth", "data_std")
    return {n: v if any(word in n for word in given) else np.where(c.late, np.nan, v) for n, v in series.items()}


def hinge(margin: Array) -> Array:
    """Mean relu(1 - x) over outputs that are normally distributed around ``margin`` with deviation 0.5."""
    z = (1 - margin) / 0.5
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    below = np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in z])
    return (1 - margin) * below + 0.5 * density


def hinge_halves(c: Curves) -> tuple[Array, Array]:
    """Both halves of a hinge discriminator's loss: 1 and 1 for outputs at 0."""
    return hinge(c.gap / 2), hinge(c.gap / 2)


def squared_halves(c: Curves) -> tuple[Array, Array]:
    """Both halves of a least-squares discriminator's loss: 0.25 and 0.25 at chance."""
    half = 0.25 * np.exp(-c.gap)
    return half * c.noise(0.05), half * c.noise(0.05)
