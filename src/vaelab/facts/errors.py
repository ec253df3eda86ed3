"""Errors: what a column with a direction says of how bad the run is, on one scale, and how a change of it is given."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vaelab.catalog.roles import Role, RoleName
from vaelab.run import FloatArray

TOP = math.log(1e12)
DB = 10 / math.log(10)
DIRECTED: tuple[RoleName, ...] = ("reconstruction", "perceptual", "alignment", "total", "quality", "codebook_usage")
"""Roles whose value says by itself whether the run became better. A KL, a quantiser's loss, feature matching and every
adversarial term may go either way in a healthy run."""


@dataclass(frozen=True)
class Shift:
    """A change for the worse (of a fall: for the better) between ``before_step`` and ``step``, from the change detector.

    row: of the run, of ``step``. before, after: levels in the column's own unit. ratio: of the errors, after / before. certainty: 1 - the
    chance that the noise does this. back_step: first step at which it is half undone, None if it lasts.
    """

    step: int
    before_step: int
    row: int
    before: float
    after: float
    ratio: float
    certainty: float
    back_step: int | None

    @property
    def lasting(self) -> bool:
        return self.back_step is None


@dataclass(frozen=True)
class Growth:
    """A lasting rise by orders of magnitude: ``ratio`` is the size now over ``before``, the largest size in the first fifth of
    the rows that are not 0 (the untrained networks, or a GAN that starts later). ``step``: from here on 10 times it and more."""

    step: int
    before: float
    ratio: float


def log_errors(role: Role, values: FloatArray) -> FloatArray | None:
    """Natural log of the error that ``values`` (n,) stand for: higher is worse; None where they have no scale."""
    if role.name not in DIRECTED or role.better not in ("down", "up") or not len(values):
        return None
    if role.better == "down":
        return np.log(values) if values.min() > 0 else None
    if role.kind in ("psnr", "snr") or (role.name == "quality" and values.max() > 1):
        return -values / DB
    if role.name == "quality":
        return np.log(np.maximum(1 - values, 1e-4))
    return -np.log(np.maximum(values, 1e-12)) if values.min() >= 0 < values.max() else None


def times(log_ratio: float) -> float:
    """The ratio itself, at most a million millions either way."""
    return math.exp(min(max(log_ratio, -TOP), TOP))
