"""Reconstruction of files by one or several models: pictures beside each other, and a row of scores each."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch
from torch import nn

from vaelab.errors import DataError
from vaelab.evaluation.clip_scores import ClipScores
from vaelab.evaluation.media import Media
from vaelab.evaluation.panels import STRIP, PictureFile, cells_of, even, panels, pixels, suitable_gain
from vaelab.evaluation.scores import SCORES, derive, stack
from vaelab.models.autoencoder import Autoencoder
from vaelab.models.tiling import Reconstruction, plan

COLUMNS = {
    "psnr": "PSNR dB",
    "ssim": "SSIM",
    "lpips": "LPIPS",
    "explained_variance": "1-MSE/Var",
    "hf_ratio": "detail",
    "motion_ratio": "motion",
    "flickering": "flicker",
    "colour_shift": "colour",
    "first_frame": "1st dB",
}
"""Scores of one file, as ``vaelab evaluate`` has them, and the titles of their columns."""

ON_SCREEN = ("psnr", "ssim", "lpips", "explained_variance", "hf_ratio", "motion_ratio")


@dataclass(frozen=True)
class How:
    """tiled: None cuts large frames only. tile: side in pixels. frames: of a chunk, None as the model likes. sample: of the
    posterior, in place of its mean, noise from ``seed``. gain: of the error, the same for all files of a call. alone: also write the reconstructions alone."""

    tiled: bool | None = None
    tile: int = 256
    frames: int | None = None
    sample: bool = False
    seed: int = 0
    gain: float = 4.0
    alone: bool = False


@dataclass(frozen=True)
class Row:
    """One file and one model. scores: as ``vaelab evaluate``, NaN where not defined. seam: change of the error at borders
    of chunks over that elsewhere, NaN for one chunk. cut: how the clip was cut. problem: why it is not whole, or "". picture: where
    it is shown beside the original."""

    name: str
    model: str
    frames: int
    height: int
    width: int
    scores: Mapping[str, float]
    seam: float
    cut: str
    problem: str = ""
    picture: Path = Path()


SHOWN = {"raw": "reconstruction (raw)", "EMA": "reconstruction (EMA)"}
"""Titles of pictures: which weights made one is told beside what it is."""


def gain_for(media: Media, models: Mapping[str, Autoencoder], how: How) -> float:
    """A gain at which the errors of ``media``'s first frame fill the range: for all files of a call, so that they compare. Raises
    DataError if there is no frame."""
    errors = []
    for model in models.values():
        tiling = plan(model.grid, media.height, media.width, how.tiled, how.tile, how.frames)
        made = Reconstruction(model, tiling, how.sample, _generator(model, how.seed))(
            islice(media.read(model.channels), 1)
        )
        errors += [frame.r - frame.x for frame in made]
    if not errors:
        raise DataError(f"{media.path} holds no frame.")
    return suitable_gain(errors)


def reconstruct(
    media: Media,
    models: Mapping[str, Autoencoder],
    target: Path,
    how: How,
    perceptual: nn.Module | None = None,
    progress: Callable[[], None] = lambda: None,
) -> list[Row]:
    """Reconstruct one file by every model and write ``target`` (.mp4 or .png, without its suffix); a row a model.

    All models see the frames in step, and no more of them is held than one chunk each. progress: called after each frame.
    A file that breaks off gives the frames before that, and says so in ``problem``. After Ctrl-C, which goes on to the
    caller, a video has the frames that were done. Raises DataError if there is not one frame, ConfigError if a file cannot be written or a size is off the grid.
    """
    tilings = {t: plan(m.grid, media.height, media.width, how.tiled, how.tile, how.frames) for t, m in models.items()}
    scores = [ClipScores(model.factors[1:], perceptual) for model in models.values()]
    problems: list[str] = []
    streams = [
        Reconstruction(model, tilings[title], how.sample, _generator(model, how.seed))(
            _until_broken(media.read(model.channels), problems)
        )
        for title, model in models.items()
    ]
    suffix = ".mp4" if media.is_video else ".png"
    with ExitStack() as files:
        beside = files.enter_context(PictureFile(target.with_name(f"{target.name}{suffix}"), media.rate))
        alone = [
            files.enter_context(PictureFile(target.with_name(f"{target.name}_{title}_alone{suffix}"), media.rate))
            for title in (models if how.alone else ())
        ]
        for frames in zip(*streams, strict=True):
            made = [frame.r for frame in frames]
            beside.add(panels(frames[0].x, made, [SHOWN.get(title, title) for title in models], how.gain))
            for file, r in zip(alone, made, strict=False):
                file.add(even(pixels(r)) if media.is_video else pixels(r))
            for frame, gathered in zip(frames, scores, strict=True):
                gathered.add(*frame)
            progress()
    if not scores[0].frames:
        raise DataError(problems[0] if problems else f"{media.path} holds no frame.")
    rows = []
    for title, gathered in zip(models, scores, strict=True):
        components = gathered.components()
        values = {name: float(value[0]) for name, value in derive(stack([components])).items()}
        seam = components["seam_change"] / components["other_change"] if components["other_change"] else math.nan
        size, problem = (gathered.frames, media.height, media.width), problems[0] if problems else ""
        rows.append(
            Row(media.name, title, *size, values, seam, tilings[title].describe(media.is_video), problem, beside.path)
        )
    return rows


def table(rows: Sequence[Row], short: bool = False) -> tuple[list[str], list[list[str]]]:
    """Header and cells: one line a file and model, without columns that no file defines. short: as a screen holds."""
    names = [name for name in COLUMNS if any(math.isfinite(row.scores.get(name, math.nan)) for row in rows)]
    names = [name for name in names if not short or name in ON_SCREEN]
    seams = any(math.isfinite(row.seam) for row in rows)
    several = len({row.model for row in rows}) > 1
    header = ["file", *["weights"] * several, "frames", "size", *(COLUMNS[name] for name in names), *["seam"] * seams]
    cells = []
    for row in rows:
        place = [row.name, *[row.model] * several, str(row.frames), f"{row.height}x{row.width}"]
        values = [_cell(name, row.scores.get(name, math.nan)) for name in names]
        cells.append([*place, *values, *[_number(row.seam, 2)] * seams])
    return header, cells


def for_page(rows: Sequence[Row], folder: Path) -> list[dict[str, Any]]:
    """Of each file, the worst first: its picture as seen from ``folder``, and where in it the original, the reconstructions and their
    errors lie, in pixels."""
    by_file: dict[Path, list[Row]] = {}
    for row in rows:
        by_file.setdefault(row.picture, []).append(row)
    shown: list[dict[str, Any]] = []
    for picture, own in by_file.items():
        cells = cells_of(own[0].height, own[0].width)
        width, height = cells.size
        titles = ["original"]
        for row in own:
            title = SHOWN.get(row.model, row.model)
            titles += [title, f"error of {title}"]
        psnr = min((row.scores.get("psnr", math.nan) for row in own), default=math.nan)
        shown.append(
            {
                "name": own[0].name,
                "file": quote(os.path.relpath(picture, folder)),
                "video": picture.suffix == ".mp4",
                "top": STRIP,
                "width": width,
                "height": height,
                "pictures": [{"title": title, "left": cells.left(i)} for i, title in enumerate(titles)],
                "psnr": psnr if math.isfinite(psnr) else None,
            }
        )
    return sorted(shown, key=lambda one: math.inf if one["psnr"] is None else one["psnr"])


def to_csv(rows: Sequence[Row]) -> str:
    """Full precision, in the units of the table; empty cells where a score is not defined."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(_record(rows[0])) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if value is None else value for key, value in _record(row).items()} for row in rows)
    return text.getvalue()


def to_json(rows: Sequence[Row], models: Mapping[str, str], how: How, lpips: str) -> str:
    """Rows, and how they came about. models: title -> where the weights are."""
    content = {
        "models": dict(models),
        "mode": "sample" if how.sample else "mean",
        "lpips_network": lpips or None,
        "units": {name: SCORES[name].unit for name in COLUMNS if SCORES[name].unit},
        "files": [_record(row) for row in rows],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _until_broken(frames: Iterable[torch.Tensor], problems: list[str]) -> Iterator[torch.Tensor]:
    """Frames up to the first that cannot be decoded; why goes into ``problems``."""
    try:
        yield from frames
    except DataError as error:
        problems.append(str(error))


def _generator(model: Autoencoder, seed: int) -> torch.Generator:
    return torch.Generator(model.last_layer.device).manual_seed(seed)


def _record(row: Row) -> dict[str, Any]:
    values = {name: row.scores.get(name, math.nan) * SCORES[name].factor for name in COLUMNS} | {"seam": row.seam}
    shown = {name: value if math.isfinite(value) else None for name, value in values.items()}
    place = {"file": row.name, "weights": row.model, "frames": row.frames, "height": row.height, "width": row.width}
    return {**place, **shown, "cut": row.cut, "problem": row.problem or None}


def _cell(name: str, value: float) -> str:
    return _number(value * SCORES[name].factor, SCORES[name].decimals)


def _number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if math.isfinite(value) else "-"
