"""Curves of a training run, healthy or with one fault, that the generators print in their trainer's format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass
class Curves:
    """Terms of one run, each (rows,).

    progress: 0 to 1. gan: True where the GAN is on. rec: goes from 1 to ``floor``; a generator multiplies it by its own
    first value. kl: share of the settled KL. usage: share of the codebook in use. real, fake: mean logits of a
    discriminator whose loss is hinge.
    """

    progress: Array
    gan: npt.NDArray[np.bool_]
    rec: Array
    perceptual: Array
    kl: Array
    usage: Array
    real: Array
    fake: Array
    noise: np.random.Generator = field(repr=False)

    @property
    def hinge(self) -> Array:
        """0.5 (mean relu(1 - real) + mean relu(1 + fake)) of logits with a spread of one."""
        return 0.5 * (_relu_of_normal(1 - self.real) + _relu_of_normal(1 + self.fake))

    @property
    def halves(self) -> tuple[Array, Array]:
        """The hinge losses of real and of fake, not halved."""
        return _relu_of_normal(1 - self.real), _relu_of_normal(1 + self.fake)

    def jitter(self, size: float) -> Array:
        """Noise around 1 with standard deviation ``size``."""
        return 1 + size * self.noise.standard_normal(len(self.progress))


def curves(kind: str, rows: int, seed: int, gan_at: float = 0.4, floor: float = 0.15) -> Curves:
    """Curves of ``kind``: healthy, dwins, collapse, stuck, blowup or nan.

    gan_at: progress at which the GAN starts, above 1 for none. floor: where the reconstruction settles, as a share of
    its first value.
    """
    noise = np.random.default_rng(seed)
    progress = np.arange(rows) / max(rows - 1, 1)
    gan = progress >= gan_at
    since = np.clip((progress - gan_at) / max(1 - gan_at, 1e-9), 0, 1)
    rec = floor + (1 - floor) * np.exp(-9 * progress)
    perceptual = floor + 0.15 + (0.85 - floor) * np.exp(-6 * progress)
    kl = 1 - np.exp(-12 * progress)
    usage = 0.3 + 0.6 * (1 - np.exp(-6 * progress))
    gap = 0.5 * (1 - np.exp(-4 * since)) * gan
    if kind == "dwins":
        gap = 5.0 * (1 - np.exp(-3 * since)) * gan
        rec = rec * (1 + 1.5 * since)
        perceptual = perceptual * (1 + 0.8 * since)
    elif kind == "collapse":
        kl = np.exp(-14 * progress)
        usage = 0.02 + 0.3 * np.exp(-14 * progress)
        rec = 0.85 + 0.15 * np.exp(-9 * progress)
        perceptual = 0.9 + 0.1 * np.exp(-6 * progress)
    elif kind == "stuck":
        rec, perceptual = np.ones(rows), np.ones(rows)
    elif kind == "blowup":
        late = np.clip((progress - 0.7) / 0.3, 0, 1)
        rec = rec * np.exp(3 * late)
        perceptual = perceptual * np.exp(1.5 * late)
    found = Curves(progress, gan, rec, perceptual, kl, usage, np.zeros(rows), np.zeros(rows), noise)
    found.rec = found.rec * found.jitter(0.03)
    found.perceptual = found.perceptual * found.jitter(0.02)
    found.kl = found.kl * found.jitter(0.02)
    found.real = 0.5 * gap + 0.05 * noise.standard_normal(rows)
    found.fake = -0.5 * gap + 0.05 * noise.standard_normal(rows)
    if kind == "nan":
        for values in (found.rec, found.perceptual, found.kl, found.fake):
            values[progress >= 0.8] = np.nan
    return found


def printed(row: Mapping[str, float], formats: Mapping[str, str]) -> dict[str, str]:
    """The text of each column of ``formats`` that the row has."""
    return {name: format(row[name], formats[name]) for name in formats if name in row}


def as_read(rows: Sequence[Mapping[str, str]]) -> list[dict[str, float]]:
    """What a faithful reader finds in the printed texts."""
    return [{name: float(text) for name, text in row.items()} for row in rows]


def _relu_of_normal(mean: Array) -> Array:
    """Mean of relu over a normal distribution with that mean and a spread of one (logistic approximation of its tail)."""
    tail = 1 / (1 + np.exp(-1.702 * mean))
    density = np.exp(-0.5 * mean**2) / np.sqrt(2 * np.pi)
    return np.asarray(mean * tail + density)


def tqdm_number(value: float) -> str:
    """As tqdm prints a number in its postfix: three digits, or all of them where that is shorter."""
    short = f"{value:.3g}".replace("e+0", "e+").replace("e-0", "e-")
    return short if len(short) < len(str(value)) else str(value)


def tqdm_bar(title: str, at: int, total: int, postfix: Mapping[str, str], width: int | None = None) -> str:
    """One state of a tqdm bar, cut at ``width`` columns as tqdm does with ``ncols``."""
    seconds = at * 0.83
    left, right = (
        f"{title}: {100 * at / total:3.0f}%|",
        (
            f"| {at}/{total} [{_clock(seconds)}<{_clock((total - at) * 0.83)},  1.21it/s"
            + "".join(f", {name}={text}" for name, text in postfix.items())
            + "]"
        ),
    )
    room = 10 if width is None else max(1, width - len(left) - len(right))
    filled = at * room // total
    line = left + "█" * filled + " " * (room - filled) + right
    return line[:width]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:d}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
