"""The clips that a checkpoint is evaluated on: a folder, a file, a list, or the held-out data of a run or preset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import torch

from vaelab.config import load_config
from vaelab.config.presets import preset_names
from vaelab.config.schema import DataConfig
from vaelab.data import open_data
from vaelab.data.annotations import list_annotations
from vaelab.data.decode import read_image, readable
from vaelab.data.files import FileSource, MediaFile, is_video
from vaelab.data.folders import list_folder
from vaelab.data.loader import val_batches
from vaelab.data.sixteen_bits import WHITE, doubt
from vaelab.data.source import Source, Undecodable
from vaelab.data.webdataset import list_shards
from vaelab.errors import DataError
from vaelab.evaluation.pictures import from_uint8
from vaelab.files import LIST_LIMIT, read_text
from vaelab.models.grid import Grid
from vaelab.models.tiling import check_size

FRAMES, SIDE = 17, 256  # of a clip, unless the data's settings say otherwise: the usual size of published video scores


@dataclass(frozen=True)
class Clips:
    """Clips of one size. title: what they are, for the report. count: at most, fewer where the data hold fewer. notes: what looks
    wrong with them."""

    source: Source
    config: DataConfig
    count: int
    title: str
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Name and pixels, float32 (1, C, T, H, W) in [-1, 1]. Raises DataError if nothing can be decoded."""
        for batch in val_batches(self.source, self.config, 1, self.count):
            yield batch.names[0], from_uint8(batch.pixels)

    def describe(self) -> str:
        """Title, number and size, in one line."""
        height, width = self.config.resolution
        frames = (
            f"{self.config.frames} frames of {height} x {width}" if self.config.frames > 1 else f"{height} x {width}"
        )
        kind = "clips" if self.config.frames > 1 else "images"
        return f"{self.title}: up to {self.count} {kind}, {frames}, centred crops"


def open_clips(
    data: str | None,
    run: Path | None,
    grid: Grid,
    channels: int,
    count: int = 16,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
) -> Clips:
    """The clips of ``data`` in a size that the grid takes.

    data: a folder, a media file, a .txt list of files, .jsonl annotations, .tar shards, or a preset, YAML file or run
    folder, whose held-out data are meant. None: the held-out data of ``run``. frames, size: instead of the settings' own,
    or of 17 frames (1 for images) and 256 x 256. Errors: ConfigError for a size off the grid, DataError for data that
    cannot be used.
    """
    if data is None:
        if run is None:
            raise DataError("No data were given: name a folder of clips or images, a list of files, or a preset.")
        data = str(run)
    settings = _settings_file(data)
    changes: dict[str, Any] = {"channels": channels, "workers": 0}
    changes |= {"frames": frames} if frames else {}
    changes |= {"resolution": size} if size else {}
    if run is not None and settings is None:
        changes["white_level"] = white_level(run)
    if settings is not None:
        config = load_config(settings)
        chosen = config.data.model_copy(update=changes)
        check_size(grid, chosen.frames, *chosen.resolution, who="The model")
        title = Path(data).resolve().name if Path(data).exists() else data
        held_out = f"held-out data of {title} ({chosen.source})"
        opened = open_data(chosen, config.run.seed)
        return Clips(opened.val, chosen, count, held_out, opened.notes)
    files = _list(data, frames)
    videos = files[0].is_video
    changes.setdefault("frames", _frames(grid) if videos else 1)
    changes.setdefault("resolution", _size(files[0], grid))
    chosen = DataConfig(source="videos" if videos else "images", path=data, **changes)
    check_size(grid, chosen.frames, *chosen.resolution, who="The model")
    kind = "videos" if videos else "images"
    title = f"{Path(data).name or data} ({len(files)} {kind if len(files) > 1 else kind[:-1]})"
    notes = tuple(filter(None, [doubt(files, chosen.white_level)]))
    return Clips(FileSource(files, chosen, augment=False), chosen, count, title, notes)


def white_level(run: Path | None) -> int:
    """The value of white in 16-bit images that the run's settings name, else 65535."""
    path = run / "config.yaml" if run is not None else None
    return load_config(str(path)).data.white_level if path is not None and path.is_file() else WHITE


def _settings_file(data: str) -> str | None:
    """The settings whose held-out data are meant, if ``data`` is a run folder, a YAML file or a preset."""
    path = Path(data)
    if (path / "config.yaml").is_file():
        return str(path / "config.yaml")
    if path.suffix in (".yaml", ".yml") or (data in preset_names() and not path.exists()):
        return data
    return None


def _list(data: str, frames: int | None) -> list[MediaFile]:
    """Files of one kind: videos, or images where there are no videos or single frames are asked for."""
    path = Path(data).expanduser()
    if path.suffix == ".txt" and path.is_file():
        files = _listed(path)
    elif path.suffix == ".jsonl":
        files = list_annotations(data)
    elif path.suffix == ".tar":
        files = list_shards(data)
    elif path.is_file():
        files = list_folder(data, videos=bool(is_video(path.name)))
    else:
        files = _of_folder(data)
    videos, images = [f for f in files if f.is_video], [f for f in files if not f.is_video]
    if frames is not None and frames > 1 and not videos:
        raise DataError(f"{data} holds images only, and clips of {frames} frames were asked for: give --clip 1xHxW.")
    return images if images and (frames == 1 or not videos) else videos


def _of_folder(data: str) -> list[MediaFile]:
    if not Path(data).expanduser().exists():
        raise DataError(f"{data} does not exist: give a folder, a file, a list of files, or a preset.")
    found = []
    for videos in (True, False):
        with suppress(DataError):  # a folder of one kind only
            found += list_folder(data, videos)
    if not found:
        raise DataError(f"{data} holds no video and no image: give a folder, a file, a list of files, or a preset.")
    return found


def _listed(path: Path) -> list[MediaFile]:
    try:
        lines = [line.strip() for line in read_text(path, limit=LIST_LIMIT).splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a list of files ({error}): one path a line, as text.") from None
    files = []
    for line in lines:
        place = next((p for p in (Path(line).expanduser(), path.parent / line) if p.is_file()), None)
        kind = is_video(line)
        if place is None or kind is None:
            problem = "does not exist" if place is None else "has a suffix that is not known"
            raise DataError(f"{path} names {line}, which {problem}: correct the list.")
        files.append(MediaFile(line, place, kind))
    if not files:
        raise DataError(f"{path} names no file: write one path a line.")
    return files


def _frames(grid: Grid) -> int:
    first = 1 if grid.first_frame_alone else 0
    return 1 if grid.images_only else first + grid.step * max(1, (FRAMES - first) // grid.step)


def _size(file: MediaFile, grid: Grid) -> tuple[int, int]:
    """256 x 256 on the grid, or what the first file has, where that is smaller: detail is not invented by enlarging."""
    try:
        if file.is_video:
            with readable("video"), av.open(str(file.path) if file.size is None else file.media()) as container:
                stream: Any = container.streams.best("video")
                side = min(stream.height, stream.width) if stream is not None else SIDE
        else:
            with readable("image"):
                content = file.read()
            side = min(read_image(content).size)
    except Undecodable:
        side = SIDE  # another file may be whole; the loader names those that are not
    side = min(side, SIDE)
    sizes = [max(side // factor, 1) * factor for factor in (grid.height, grid.width)]
    return sizes[0], sizes[1]
