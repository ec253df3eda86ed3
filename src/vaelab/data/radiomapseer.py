"""RadioMapSeer: simulated path loss of 701 city maps with up to 80 transmitters each, 256 x 256 pixels of 8-bit grey.

Yapar, Levie, Kutyniok, Caire: Dataset of Pathloss and ToA Radio Maps With Localization Application (2022),
arXiv:2212.11777. The images are ``gain/<simulation>/<map>_<transmitter>.png``: brighter is a stronger signal.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vaelab.data.files import MediaFile
from vaelab.errors import ConfigError, DataError

SIMULATIONS = ("DPM", "IRT2", "IRT4")
_NAME = re.compile(r"(\d+)_(\d+)\.png")


class MapSplit(NamedTuple):
    """Numbers of the city maps of each part; no map is in two parts."""

    train: frozenset[int]
    val: frozenset[int]
    test: frozenset[int]


def official_split() -> MapSplit:
    """The split of RadioUNet, the data set's first user (``lib/loaders.py`` of RonLevie/RadioUNet, commit ef9cae2).

    The numbers 0..699 are shuffled by NumPy's legacy generator with seed 42; of that list, places 0..500 are for training,
    501..600 for validation and 601..699 for the test, and 1 is added to each number: 501, 100 and 99 maps. Map 0 is in no
    part. RadioDiff's loader trains on places 0..600, which include all maps of validation, and tests on place 600 too;
    that leak is not repeated here.
    """
    numbers = np.arange(700, dtype=np.int16)
    np.random.RandomState(42).shuffle(numbers)
    maps = [int(number) + 1 for number in numbers]
    return MapSplit(frozenset(maps[:501]), frozenset(maps[501:601]), frozenset(maps[601:]))


def list_radiomapseer(path: str, options: dict[str, Any]) -> tuple[list[MediaFile], list[MediaFile]]:
    """(training, held-out) images of one simulation; the test maps are in neither.

    Args:
        path: the data set's folder, which holds ``gain``.
        options: ``simulation``: DPM (default), IRT2 or IRT4 (which has 2 transmitters a map). ``cars``: True takes the
            simulation with cars on the streets.

    Raises:
        ConfigError: an unknown option or simulation.
        DataError: the folder is missing or laid out in another way, or holds no map of one part.
    """
    unknown = sorted(set(options) - {"simulation", "cars"})
    if unknown:
        raise ConfigError(
            f"data.options of radiomapseer does not know {', '.join(unknown)}; it knows simulation and cars."
        )
    simulation, cars = options.get("simulation", "DPM"), options.get("cars", False)
    if simulation not in SIMULATIONS or not isinstance(cars, bool):
        raise ConfigError(
            f"data.options of radiomapseer are simulation={simulation!r}, cars={cars!r};"
            f" simulation must be one of {', '.join(SIMULATIONS)} and cars true or false."
        )
    root = Path(path).expanduser()
    folder = root / "gain" / (f"cars{simulation}" if cars else simulation)
    if not folder.is_dir():
        missing = next(part for part in (root, root / "gain", folder) if not part.is_dir())
        inside = sorted(p.name for p in missing.parent.iterdir()) if missing.parent.is_dir() else []
        raise DataError(
            f"This is not RadioMapSeer's layout: the folder {missing} is missing (its parent holds"
            f" {', '.join(inside[:8]) or 'nothing'}). data.path must be the folder that holds gain/{folder.name}."
        )
    maps = official_split()
    found = []
    for file in folder.iterdir():
        match = _NAME.fullmatch(file.name)
        if match:
            found.append((int(match[1]), int(match[2]), MediaFile(f"{folder.name}/{file.name}", file, is_video=False)))
    found.sort(key=lambda entry: entry[:2])
    parts = [[file for number, _, file in found if number in part] for part in (maps.train, maps.val)]
    for part, name in zip(parts, ("training", "validation"), strict=True):
        if not part:
            raise DataError(
                f"{folder} holds {len(found)} radio maps named MAP_TRANSMITTER.png and none of a {name} map of the"
                " official split. Unpack the whole data set, or use data.source=images for another split."
            )
    return parts[0], parts[1]
