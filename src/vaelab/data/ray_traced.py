"""Radio maps traced by Sionna RT in the city models that come with it, kept as files in RadioMapSeer's layout.

Each scene is cut into square areas that do not overlap. An area is a map, with several transmitters. Held out are whole
maps, and their numbers are validation maps of RadioMapSeer's official split, so that a reader of that data set which
keeps its split keeps ours. Maps are made once: ``settings.json`` in the folder says how; an interrupted run goes on where
it stopped, and more maps or transmitters can be asked for later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from pydantic import Field
from rich.console import Console
from rich.progress import track

from vaelab.config.schema import DataConfig, Section
from vaelab.data.files import FileSource, MediaFile
from vaelab.data.radio_image import FREQUENCY_HZ, gain_to_grey
from vaelab.data.radiomapseer import official_split
from vaelab.data.sionna_process import SionnaProcess
from vaelab.data.source_options import source_options
from vaelab.errors import ConfigError, DataError, reason
from vaelab.files import cache_folder

FORMAT = "vaelab ray-traced 1"
# Only scenes on a flat ground: receivers are on a plane 1.5 m above it. The ground of san_francisco rises by 100 m.
SCENES = Literal["munich", "etoile", "florence", "simple_street_canyon", "simple_street_canyon_with_cars"]
_BUILDING_HEIGHT = 2.0
# Areas with fewer or more buildings than these shares are left out.
_BUILT = (0.1, 0.8)


class RayTracedOptions(Section):
    """``data.options`` of this source."""

    scenes: list[SCENES] = Field(["munich", "etoile", "florence"], min_length=1, description="City models.")
    maps: int | None = Field(None, ge=2, description="Areas; null: all that the scenes have.")
    tx_per_map: int = Field(8, ge=1, description="Transmitters of each area.")
    size_m: float = Field(256.0, gt=0, description="Side of an area, in m.")
    cells: int | None = Field(None, ge=8, description="Cells of a side; null: the longer side of data.resolution.")
    tx_height_m: float = Field(30.0, gt=2, description="Height of the transmitters, in m; receivers are at 1.5 m.")
    rays: int = Field(4_000_000, ge=10_000, description="Rays of one transmitter: fewer are faster and leave speckle.")
    depth: int = Field(3, ge=1, description="Most reflections of a ray.")


def open_source(config: DataConfig, seed: int, held_out: bool) -> FileSource:
    """The maps as a source; those that are not in the folder yet are traced first, with a progress bar.

    The folder is ``data.path``, or ``vaelab/ray-traced`` in the user's cache. The maps do not depend on ``seed``.

    Raises:
        ConfigError: an option is unknown or out of its range, or clips of several frames are asked for.
        DataError: the folder cannot be used, or holds maps made with other settings; sionna-rt is missing or ends by itself.
    """
    options = _options(config)
    settings = _settings(config, options)
    folder = Path(config.path).expanduser() if config.path else default_folder(settings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            areas = _wanted_areas(folder, settings, options)
            _trace_missing(folder, areas, settings, options.tx_per_map)
    except OSError as error:
        raise DataError(
            f"The folder {folder} of the radio maps cannot be used: {error.strerror or error}. Set another data.path."
        ) from error
    files = [
        MediaFile(f"{area['scene']}/{area['map']}_{tx}.png", _gain_file(folder, area, tx), is_video=False)
        for area in areas
        for tx in range(options.tx_per_map)
        if area["held_out"] == held_out
    ]
    return FileSource(files, config, augment=not held_out)


def default_folder(settings: dict[str, Any]) -> Path:
    """A folder in the user's cache for these settings."""
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    return cache_folder() / "ray-traced" / key


def _options(config: DataConfig) -> RayTracedOptions:
    if config.frames != 1:
        raise ConfigError(f"data.source=ray-traced has single images: set data.frames=1 (it is {config.frames}).")
    return source_options(config, RayTracedOptions)


def _settings(config: DataConfig, options: RayTracedOptions) -> dict[str, Any]:
    """What the maps of a folder have in common; how many there are is not part of it."""
    settings = options.model_dump(exclude={"maps", "tx_per_map"})
    settings["cells"] = options.cells or max(config.resolution)
    settings["held_out_every"] = max(2, round(1 / config.val_share))
    return settings


def _wanted_areas(folder: Path, settings: dict[str, Any], options: RayTracedOptions) -> list[dict[str, Any]]:
    areas = _areas(folder, settings)
    count = options.maps or len(areas)
    if count > len(areas):
        raise ConfigError(
            f"data.options.maps={count} is more than the {len(areas)} areas of {options.size_m:g} m that"
            f" {', '.join(options.scenes)} have. Ask for fewer, name more scenes, or make data.options.size_m smaller."
        )
    return areas[:count]


def _areas(folder: Path, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """All areas, from ``settings.json`` or, in a new folder, from the scenes: map, scene, centre, held_out."""
    file = folder / "settings.json"
    if file.exists():
        try:
            known = json.loads(file.read_text())
            made_with, areas = known["settings"], known["areas"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{file} is not readable ({reason(error)}). Remove the folder, or set another data.path."
            ) from error
        different = [f"{key}={made_with.get(key)} there, {value} here" for key, value in settings.items()]
        different = [
            text for text, (key, value) in zip(different, settings.items(), strict=True) if made_with.get(key) != value
        ]
        if different:
            raise DataError(f"{folder} holds maps of other settings: {'; '.join(different)}. Set another data.path.")
        return list(areas)
    if any(folder.glob("gain/*/*.png")):
        raise DataError(
            f"{folder} holds radio maps but no settings.json, so they are not vaelab's. Set data.source=radiomapseer to"
            " train on them, or another data.path."
        )
    with SionnaProcess() as sionna:
        areas = plan_areas(sionna, settings)
    content = {"format": FORMAT, "settings": settings, "areas": areas}
    _write(file, json.dumps(content, indent=1).encode())
    return areas


def plan_areas(sionna: SionnaProcess, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Cuts the scenes into areas, in an order that mixes them and is always the same."""
    size = settings["size_m"]
    places = []
    for scene in settings["scenes"]:
        low, high = sionna.bounds(scene)
        counts = [int((high[axis] - low[axis]) // size) for axis in (0, 1)]
        for column, row in np.ndindex(*counts):
            # the areas lie around the middle of the scene
            centre = [(low[a] + high[a]) / 2 + (n - (counts[a] - 1) / 2) * size for a, n in ((0, column), (1, row))]
            heights = sionna.heights(scene=scene, centre=centre, size=size, cells=64)
            if _BUILT[0] <= (heights > _BUILDING_HEIGHT).mean() <= _BUILT[1]:
                places.append((scene, centre))
    if len(places) < 2:
        raise ConfigError(
            f"{', '.join(settings['scenes'])} have {len(places)} areas of {size:g} m with buildings, and training and"
            " validation need one each. Make data.options.size_m smaller, or name more scenes."
        )
    split = official_split()
    numbers = {True: iter(sorted(split.val)), False: iter(sorted(split.train))}
    areas = []
    for position, place in enumerate(np.random.default_rng(0).permutation(len(places))):
        held_out = position % settings["held_out_every"] == 0
        number = next(numbers[held_out], None)
        if number is None:
            break  # as many areas as the official split has maps
        areas.append({"map": number, "scene": places[place][0], "centre": places[place][1], "held_out": held_out})
    return areas


def _trace_missing(folder: Path, areas: list[dict[str, Any]], settings: dict[str, Any], tx_per_map: int) -> None:
    wanted = [(area, tx) for area in areas for tx in range(tx_per_map)]
    missing = [(area, tx) for area, tx in wanted if not _gain_file(folder, area, tx).exists()]
    if not missing:
        return
    # one scene after the other, since loading takes longer than tracing a small map
    missing.sort(key=lambda job: settings["scenes"].index(job[0]["scene"]))
    console = Console(stderr=True)
    console.print(
        f"Tracing {len(missing)} radio maps of {len(wanted)} with Sionna RT into {folder}, some seconds each."
        " It can be interrupted and goes on later.",
        soft_wrap=True,
    )
    with SionnaProcess() as sionna:
        for area, tx in track(missing, "Radio maps", console=console, disable=not console.is_terminal):
            _trace(sionna, folder, area, tx, settings)


def _trace(sionna: SionnaProcess, folder: Path, area: dict[str, Any], tx: int, settings: dict[str, Any]) -> None:
    """Writes the three images of one transmitter; the radio map comes last, so that it stands for all."""
    size, cells = settings["size_m"], settings["cells"]
    place = {"scene": area["scene"], "centre": area["centre"], "size": size, "cells": cells}
    buildings = sionna.heights(**place) > _BUILDING_HEIGHT
    row, column = transmitter_cell(buildings, area["map"], tx)
    x = area["centre"][0] + ((column + 0.5) / cells - 0.5) * size
    y = area["centre"][1] - ((row + 0.5) / cells - 0.5) * size
    gain = sionna.trace(
        **place,
        tx=[x, y, settings["tx_height_m"]],
        frequency=FREQUENCY_HZ,
        rays=settings["rays"],
        depth=settings["depth"],
    )
    with np.errstate(divide="ignore"):
        grey = gain_to_grey(10 * np.log10(gain.astype(np.float64)), buildings)
    antenna = np.zeros_like(grey)
    antenna[row, column] = 255
    _write_image(folder / "png" / "buildings_complete" / f"{area['map']}.png", np.uint8(255) * buildings)
    _write_image(folder / "png" / "antennas" / f"{area['map']}_{tx}.png", antenna)
    _write_image(_gain_file(folder, area, tx), grey)


def transmitter_cell(buildings: np.ndarray, number: int, tx: int) -> tuple[int, int]:
    """Row and column of a transmitter: any cell outside buildings in the middle three quarters of each side."""
    margin = len(buildings) // 8
    middle = np.zeros_like(buildings)
    middle[margin : len(buildings) - margin, margin : len(buildings) - margin] = True
    free = np.argwhere(middle & ~buildings)
    if not len(free):
        free = np.argwhere(middle)
    row, column = free[np.random.default_rng((number, tx)).integers(len(free))]
    return int(row), int(column)


def _gain_file(folder: Path, area: dict[str, Any], tx: int) -> Path:
    return folder / "gain" / "RT" / f"{area['map']}_{tx}.png"


def _write_image(file: Path, pixels: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.tmp")
    Image.fromarray(pixels).save(temporary, format="PNG")
    temporary.replace(file)


def _write(file: Path, content: bytes) -> None:
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(file)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lets one process at a time trace into a folder: with torchrun, the others wait for it and then read its maps."""
    try:
        import fcntl
    except ImportError:  # Windows: maps may be traced twice, which costs time only
        yield
        return
    try:
        lock = (folder / ".lock").open("w")
    except PermissionError:  # a folder that can only be read: nothing is traced there
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
