"""Opens the data that the settings name, with their held-out part."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from vaelab.config.refusals import refuse
from vaelab.config.schema import DataConfig
from vaelab.data.annotations import list_annotations
from vaelab.data.decode import readable, video_info
from vaelab.data.files import FileSource, MediaFile
from vaelab.data.folders import list_folder
from vaelab.data.generated import GENERATED, open_generated
from vaelab.data.identity import SAMPLE, Same, one_of_each
from vaelab.data.radiomapseer import list_radiomapseer
from vaelab.data.sixteen_bits import doubt
from vaelab.data.source import Source, Undecodable, usable
from vaelab.data.split import split_files
from vaelab.data.webdataset import list_shards
from vaelab.errors import ConfigError, DataError
from vaelab.files import cache_folder


@dataclass(frozen=True)
class Data:
    """Training and held-out samples, which share no content and no time. notes: sentences on what was left out or
    looks wrong."""

    train: Source
    val: Source
    notes: tuple[str, ...] = ()


def open_data(config: DataConfig, seed: int) -> Data:
    """Finds the files; none is decoded yet.

    Raises:
        ConfigError: settings that contradict each other.
        DataError: data that are missing, empty, or of another kind.
    """
    notes: tuple[str, ...] = ()
    if config.source in GENERATED:
        train, val = open_generated(config, seed, held_out=False), open_generated(config, seed, held_out=True)
    else:
        files, held_out, notes = _files(config)
        train = FileSource(files, config, augment=True)
        val = FileSource(held_out, config, augment=False)
    for part, where in ((train, "training"), (val, "held-out")):
        try:
            if config.image_share < 1 or part is val:
                usable(part, config.frames)
            if config.image_share > 0:
                usable(part, 1)
        except DataError as error:
            raise DataError(f"{error} (This is about the {where} data.)") from error
    return Data(train, val, notes)


def _files(config: DataConfig) -> tuple[list[MediaFile], list[MediaFile], tuple[str, ...]]:
    refuse(config)
    assert config.path is not None  # refused above
    if config.source == "radiomapseer":
        return *list_radiomapseer(config.path, config.options), ()
    key = hashlib.sha256(repr((config.path, config.val_path, Path.cwd(), SAMPLE)).encode()).hexdigest()[:12]
    cache = cache_folder() / "contents" / f"{key}.json"
    files, left = one_of_each(_list(config, config.path), cache)
    dark = tuple(filter(None, [doubt(files, config.white_level)]))
    if config.val_path is not None:
        held_out, left_there = one_of_each(_list(config, config.val_path), cache)
        _, both = one_of_each([*files, *held_out], cache)
        if both:
            there, here = both[0]
            raise ConfigError(
                f"{len(both)} files are in data.path and in data.val_path, for example {there.path} ({there.name}), which is the same"
                f" as {here.path} ({here.name}): what is trained on cannot be held out. Separate them, or remove data.val_path to hold"
                " out data.val_share of the files."
            )
        return files, held_out, _notes(left, "data.path") + _notes(left_there, "data.val_path") + dark
    train, held_out = split_files(files, config.val_share)
    for file in held_out:
        if file.part != (0.0, 1.0):
            _check_part(file, config)
    return train, held_out, _notes(left, "data.path") + dark


def _notes(left: Sequence[Same], where: str) -> tuple[str, ...]:
    if not left:
        return ()
    again, first = left[0]
    text = (
        f"{len(left)} file{'s' if len(left) > 1 else ''} of {where} {'are' if len(left) > 1 else 'is'} the same as an earlier one"
        f" (another name of it, or a copy) and left out: {again.name}, for example, is {first.name}."
    )
    return (text,)


def _list(config: DataConfig, path: str) -> list[MediaFile]:
    if config.source == "annotations":
        return list_annotations(path)
    if config.source == "webdataset":
        return list_shards(path)
    return list_folder(path, videos=config.source == "videos")


def _check_part(file: MediaFile, config: DataConfig) -> None:
    """The held-out end of a single video must hold a clip."""
    try:
        with readable("video"):
            media = file.media()
            with av.open(media if not hasattr(media, "as_posix") else str(media)) as container:
                info = video_info(container)
    except Undecodable as error:
        raise DataError(f"The only video, {file.name}, cannot be used: {error}.") from error
    step = 1.0 if config.fps is None else info.rate / config.fps
    needed = math.ceil((config.frames - 1) * step) + 1
    held_out = info.frames - math.ceil(file.part[0] * info.frames)
    if held_out < needed:
        raise DataError(
            f"There is one video, {file.name}, whose last {held_out} frames are held out (data.val_share="
            f"{config.val_share:g}), and a clip needs {needed}. Set data.val_share to at least"
            f" {math.ceil(1000 * (needed + 1) / info.frames) / 1000:g}, or data.val_path, or add videos."
        )
