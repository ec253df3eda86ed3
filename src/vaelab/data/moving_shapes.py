"""Generated clips: textured discs, squares and triangles that move, turn and bounce over a moving background.

For tests and for trials without data. Item ``i`` is a function of (seed, ``i``, held out or not) alone, and it is equal
at every epoch. Positions and sizes are shares of the frame, so a clip shows the same scene at any resolution.
"""

from __future__ import annotations

import numpy as np

from vaelab.config.schema import DataConfig
from vaelab.errors import ConfigError

_MARGIN = 1e-6
# Keeps these random streams apart from those of the order and the crops, which come from the same seed.
_STREAM = 101


class MovingShapes:
    """``config.length`` clips for training, or ``config.val_samples`` others."""

    def __init__(self, config: DataConfig, seed: int, held_out: bool) -> None:
        self._config = config
        self._key = (seed, _STREAM, int(held_out))
        self._part = "held-out" if held_out else "train"

    def __len__(self) -> int:
        return self._config.val_samples if self._part == "held-out" else self._config.length

    def name(self, index: int) -> str:
        """Such as ``moving-shapes-train-17``."""
        return f"moving-shapes-{self._part}-{index}"

    def sample(self, index: int, rng: np.random.Generator, frames: int) -> np.ndarray:
        """Pixels uint8 (frames, H, W, C). Nothing is drawn from ``rng``; fewer frames are the beginning of the clip."""
        scene = np.random.default_rng((*self._key, index))
        return draw_scene(scene, frames, self._config.resolution, self._config.channels)


def open_source(config: DataConfig, seed: int, held_out: bool) -> MovingShapes:
    """The generator as a source: held-out clips come from other random numbers than those for training.

    Raises:
        ConfigError: ``data.options`` is set; there are none.
    """
    if config.options:
        raise ConfigError(
            f"data.source=moving-shapes has no options: remove data.options ({', '.join(config.options)})."
        )
    return MovingShapes(config, seed, held_out)


def draw_scene(rng: np.random.Generator, frames: int, resolution: tuple[int, int], channels: int) -> np.ndarray:
    """A clip uint8 (frames, H, W, channels) of 3 to 6 shapes, drawn back to front with antialiased borders."""
    height, width = resolution
    short = min(height, width)
    # pixel centres, in units of the shorter side
    y = ((np.arange(height, dtype=np.float32) + 0.5) / short)[None, :, None]
    x = ((np.arange(width, dtype=np.float32) + 0.5) / short)[None, None, :]
    time = np.arange(frames, dtype=np.float32)[:, None, None]
    clip = _background(rng, y, x, time, channels)
    for _ in range(int(rng.integers(3, 7))):
        radius = rng.uniform(0.08, 0.22)
        turn = rng.uniform(0, 2 * np.pi) + rng.uniform(-0.12, 0.12) * time
        dy = y - _bounce(rng, time, radius, height / short)
        dx = x - _bounce(rng, time, radius, width / short)
        u, v = np.cos(turn) * dx + np.sin(turn) * dy, np.cos(turn) * dy - np.sin(turn) * dx
        cover = np.clip(0.5 - _distance(int(rng.integers(3)), u, v, radius) * short, 0, 1)
        seen = cover > 0
        clip[:, seen] += cover[seen] * (_texture(rng, u[seen], v[seen], radius, channels) - clip[:, seen])
    return np.ascontiguousarray(np.rint(np.clip(clip, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 3, 0))


def _background(rng: np.random.Generator, y: np.ndarray, x: np.ndarray, time: np.ndarray, channels: int) -> np.ndarray:
    """A gradient between two colours plus three slowly moving waves, (C, T, H, W): numpy is slow on a short last axis."""
    first, second = rng.uniform(0.1, 0.9, (2, channels, 1, 1, 1)).astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    along = 0.5 + 0.5 * np.tanh(2 * (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5)))
    picture = first + (second - first) * along + np.zeros((len(time), 1, 1), np.float32)
    for _ in range(3):
        frequency, direction, phase = rng.uniform(8, 40), rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)
        shift = rng.uniform(-0.4, 0.4) * time
        wave = np.sin(frequency * (np.cos(direction) * x + np.sin(direction) * y) + phase + shift)
        picture += wave * rng.uniform(-0.06, 0.06, (channels, 1, 1, 1)).astype(np.float32)
    return np.asarray(picture, dtype=np.float32)


def _bounce(rng: np.random.Generator, time: np.ndarray, radius: float, extent: float) -> np.ndarray:
    """Coordinate of a centre that moves at constant speed between ``radius`` and ``extent - radius``."""
    room = max(extent - 2 * radius, _MARGIN)
    sign = 1 if rng.random() < 0.5 else -1
    travelled = rng.uniform(0, 2 * room) + sign * rng.uniform(0.005, 0.04) * time
    return radius + room - np.abs(travelled % (2 * room) - room)


def _distance(kind: int, u: np.ndarray, v: np.ndarray, radius: float) -> np.ndarray:
    """How far a point is outside a disc (0), a square (1) or a triangle (2); negative inside."""
    if kind == 0:
        return np.sqrt(u * u + v * v) - radius
    if kind == 1:
        return np.maximum(np.abs(u), np.abs(v)) - 0.8 * radius
    return np.maximum(np.abs(u) * 0.866 + v * 0.5, -v) - 0.6 * radius


def _texture(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, radius: float, channels: int) -> np.ndarray:
    """Colours of a shape: plain, a gradient, stripes or checks that move and turn with it, (C, N) of N points."""
    first, second = rng.uniform(0, 1, (2, channels, 1)).astype(np.float32)
    kind, fineness = int(rng.integers(4)), rng.uniform(4, 10) / radius
    if kind == 0:
        return first
    if kind == 1:
        mix = 0.5 + 0.5 * u / radius
    elif kind == 2:
        mix = 0.5 + 0.5 * np.tanh(3 * np.sin(fineness * u))
    else:
        mix = 0.5 + 0.5 * np.tanh(5 * np.sin(0.6 * fineness * u) * np.sin(0.6 * fineness * v))
    return np.asarray(first + (second - first) * mix, dtype=np.float32)
