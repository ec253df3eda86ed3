"""Radio maps as images, by the conventions of the data set RadioMapSeer (Yapar, Levie, Kutyniok, Caire, arXiv 2212.11777).

A map is 8-bit grey: path gain in dB, linear between -147 dB (black) and -47.84 dB (white, free space at 1 m for 5.9 GHz),
cut at both ends. Buildings are black in a map. Level 51 (0.2, -127.2 dB) is the noise floor that RadioUNet trains with
(``thresh`` in its ``lib/loaders.py``). Files: ``gain/{simulation}/{map}_{tx}.png``, ``png/buildings_complete/{map}.png``
(buildings 255, else 0), ``png/antennas/{map}_{tx}.png`` (255 at the transmitter, else 0).
"""

from __future__ import annotations

import numpy as np

GAIN_BLACK_DB = -147.0
GAIN_WHITE_DB = -47.84
FREQUENCY_HZ = 5.9e9


def gain_to_grey(gain_db: np.ndarray, buildings: np.ndarray) -> np.ndarray:
    """uint8 image of a path gain in dB (..., H, W); -inf where nothing arrives; ``buildings`` is bool (H, W)."""
    share = (gain_db - GAIN_BLACK_DB) / (GAIN_WHITE_DB - GAIN_BLACK_DB)
    grey = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return np.where(buildings, np.uint8(0), grey)


def grey_to_gain(grey: np.ndarray) -> np.ndarray:
    """Path gain in dB of grey levels 0..255; level 0 means -147 dB or less, or a building."""
    return GAIN_BLACK_DB + grey.astype(np.float64) / 255 * (GAIN_WHITE_DB - GAIN_BLACK_DB)
