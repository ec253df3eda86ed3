"""Generated radio maps: log-distance path loss, buildings on the direct ray, and correlated shadowing.

    path gain in dB = -PL(1 m) - 10 n log10(d / 1 m) - a b + X

d is the distance in m (at least 1), PL(1 m) = 20 log10(4 pi f / c) = 47.86 dB at 5.9 GHz (free space), n the exponent,
b the metres of the direct ray that lie inside buildings and a their loss. 3GPP TR 38.901, 7.4.3, has 0.5 dB/m for the
inside of a building and a loss for each outer wall; the default, 1 dB/m, stands for both. A count of walls would be noisy
where a ray grazes the steps of a wall on the grid. X is normal with an exponential autocorrelation (Gudmundson 1991).
There is no reflection and no diffraction: for real physics see ``ray_traced``.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from vaelab.config.schema import DataConfig, Section
from vaelab.data.radio_image import FREQUENCY_HZ, gain_to_grey
from vaelab.data.source_options import source_options

_STREAM = 102
_LOSS_AT_1_M = 20 * np.log10(4 * np.pi * FREQUENCY_HZ / 299_792_458)


class PathLossOptions(Section):
    """``data.options`` of this source."""

    size_m: float = Field(256.0, gt=0, description="Length of the longer side of a map, in m.")
    exponent: float = Field(2.2, gt=0, description="n: 2 is free space, 2 to 4 is measured in cities.")
    building_db_per_m: float = Field(1.0, ge=0, description="a: loss of one metre inside buildings, in dB.")
    shadowing_db: float = Field(2.0, ge=0, description="Standard deviation of the shadowing, in dB; 0: none.")
    decorrelation_m: float = Field(25.0, gt=0, description="Distance at which its correlation is 1/e, in m.")
    tx_per_map: int = Field(8, ge=1, description="Transmitters of one city map.")
    speed_m: float = Field(2.0, ge=0, description="Way of the transmitter from one frame to the next, in m.")


class PathLoss:
    """``config.length`` radio maps for training, or ``config.val_samples`` of other cities."""

    def __init__(self, config: DataConfig, options: PathLossOptions, seed: int, held_out: bool) -> None:
        self._config = config
        self._options = options
        self._key = (seed, _STREAM, int(held_out))
        self._part = "held-out" if held_out else "train"

    def __len__(self) -> int:
        return self._config.val_samples if self._part == "held-out" else self._config.length

    def name(self, index: int) -> str:
        """Such as ``path-loss-train-3_1``: city and transmitter."""
        city, tx = divmod(index, self._options.tx_per_map)
        return f"path-loss-{self._part}-{city}_{tx}"

    def sample(self, index: int, rng: np.random.Generator, frames: int) -> np.ndarray:
        """Pixels uint8 (frames, H, W, C) as in ``radio_image``; the transmitter moves. Nothing is drawn from ``rng``."""
        options, (height, width) = self._options, self._config.resolution
        cell = options.size_m / max(height, width)
        city, tx = divmod(index, options.tx_per_map)
        buildings = draw_city(np.random.default_rng((*self._key, 0, city)), (height, width), cell)
        random = np.random.default_rng((*self._key, 1, city, tx))
        shadowing = options.shadowing_db * correlated_field(random, (height, width), options.decorrelation_m / cell)
        places = drive(random, buildings, frames, options.speed_m / cell)
        gain = np.stack([path_gain(buildings, place, cell, options) for place in places]) + shadowing
        return np.repeat(gain_to_grey(gain, buildings)[..., None], self._config.channels, axis=-1)


def open_source(config: DataConfig, seed: int, held_out: bool) -> PathLoss:
    """The generator as a source; cities of held-out maps are never those of training.

    Raises:
        ConfigError: an option of ``data.options`` is unknown or out of its range.
    """
    return PathLoss(config, source_options(config, PathLossOptions), seed, held_out)


def draw_city(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> np.ndarray:
    """Buildings, bool (H, W): blocks between streets of 10 to 24 m in a turned grid, some with a court, some empty."""
    angle = rng.uniform(0, np.pi / 2)
    y, x = np.meshgrid(np.arange(shape[0]) * cell, np.arange(shape[1]) * cell, indexing="ij")
    reach = float(np.hypot(*shape)) * cell
    inside: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for along in (np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x):
        pitch = rng.uniform(30, 90, int(2 * reach / 30) + 2)
        border = np.cumsum(pitch) - reach - rng.uniform(0, 60)
        block = np.clip(np.searchsorted(border, along) - 1, 0, len(border) - 1)
        inside.append((block, along - border[block], pitch[np.minimum(block + 1, len(pitch) - 1)]))
    (column, u, width), (row, v, depth) = inside
    blocks = (int(column.max()) + 1, int(row.max()) + 1)
    built = rng.random(blocks) < 0.8
    setback = rng.uniform(5, 12, (4, *blocks))
    wing = np.where(rng.random(blocks) < 0.4, rng.uniform(8, 14, blocks), np.inf)
    near = setback[:, column, row]
    # distance to the nearest front of the block's building: positive inside
    front = np.minimum(np.minimum(u - near[0], width - near[1] - u), np.minimum(v - near[2], depth - near[3] - v))
    return np.asarray(built[column, row] & (front > 0) & (front < wing[column, row]))


def drive(rng: np.random.Generator, buildings: np.ndarray, frames: int, step: float) -> np.ndarray:
    """Places (frames, 2) of the transmitter, in cells (row, column); it turns where a building or the border stops it."""
    free = np.argwhere(~buildings)
    if not len(free):
        return np.tile(np.array(buildings.shape) / 2, (frames, 1))
    place = free[rng.integers(len(free))].astype(float)
    heading = rng.uniform(0, 2 * np.pi)
    places = [place]
    for _ in range(frames - 1):
        for turn in (0, np.pi / 2, -np.pi / 2, np.pi):
            ahead = place + step * np.array([np.sin(heading + turn), np.cos(heading + turn)])
            row, column = np.rint(ahead).astype(int)
            if 0 <= row < buildings.shape[0] and 0 <= column < buildings.shape[1] and not buildings[row, column]:
                place, heading = ahead, heading + turn
                break
        places.append(place)
    return np.array(places)


def path_gain(buildings: np.ndarray, place: np.ndarray, cell: float, options: PathLossOptions) -> np.ndarray:
    """Path gain in dB (H, W) for a transmitter at ``place`` (row, column), without shadowing."""
    y, x = np.indices(buildings.shape, dtype=np.float32)
    distance = np.hypot(y - place[0], x - place[1])
    distance_loss = 10 * options.exponent * np.log10(np.maximum(distance * cell, 1.0))
    return -_LOSS_AT_1_M - distance_loss - options.building_db_per_m * cell * cells_crossed(buildings, place)


def cells_crossed(buildings: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Length of the straight line from ``place`` to each cell that lies in buildings, in cells, (H, W).

    The map is sampled every half cell along rays of all directions, and the samples are summed along each ray: O(cells)
    in all, where a line for each cell would be O(cells x side).
    """
    height, width = buildings.shape
    y, x = np.indices(buildings.shape, dtype=np.float32)
    dy, dx = y - np.float32(place[0]), x - np.float32(place[1])
    distance = np.hypot(dy, dx)
    radii = np.arange(0, 2 * int(np.ceil(distance.max())) + 2, dtype=np.float32) / 2
    rays = 4 * (height + width)
    angles = np.arange(rays, dtype=np.float32) * np.float32(2 * np.pi / rays)
    rows = np.rint(place[0] + np.sin(angles)[:, None] * radii).astype(np.int32)
    columns = np.rint(place[1] + np.cos(angles)[:, None] * radii).astype(np.int32)
    np.clip(rows, 0, height - 1, out=rows)
    np.clip(columns, 0, width - 1, out=columns)
    crossed = np.cumsum(buildings[rows, columns], axis=1, dtype=np.float32) / 2
    ray = np.rint(np.arctan2(dy, dx) * (rays / (2 * np.pi))).astype(np.int32) % rays
    return np.asarray(crossed[ray, np.rint(2 * distance).astype(np.int32)])


def correlated_field(rng: np.random.Generator, shape: tuple[int, int], decorrelation: float) -> np.ndarray:
    """A normal random field (H, W), mean 0 and variance 1, whose correlation falls as exp(-distance / decorrelation).

    White noise filtered by the square root of the spectrum, on twice the area so that opposite borders are independent.
    """
    height, width = 2 * shape[0], 2 * shape[1]
    dy = np.minimum(np.arange(height), height - np.arange(height))[:, None]
    dx = np.minimum(np.arange(width), width - np.arange(width))[None, :]
    spectrum = np.fft.rfft2(np.exp(-np.hypot(dy, dx) / decorrelation)).real.clip(0)
    noise = np.fft.rfft2(rng.standard_normal((height, width)))
    return np.fft.irfft2(noise * np.sqrt(spectrum), s=(height, width))[: shape[0], : shape[1]]
