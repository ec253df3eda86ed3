"""Evaluation of checkpoints on the same clips: what ``vaelab evaluate`` measures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import nn

from vaelab.errors import ConfigError, DataError
from vaelab.evaluation.clip_scores import ClipScores
from vaelab.evaluation.distances import frechet_distance, paired_feature_distance
from vaelab.evaluation.i3d import FEWEST_FRAMES, i3d_features
from vaelab.evaluation.pictures import in_range
from vaelab.evaluation.radial import RadialSpectrum
from vaelab.evaluation.scores import ClipTable, stack
from vaelab.evaluation.spectrum import Grid as Lines
from vaelab.evaluation.spectrum import LineSpectrum, LocalGrid, stronger
from vaelab.models.autoencoder import Autoencoder
from vaelab.models.grid import Grid
from vaelab.models.tiling import Reconstruction, plan
from vaelab.run import FloatArray

CLIPS_IN_CHUNKS = 8  # the first ones are also reconstructed in chunks: a difference between clips does not matter there

Progress = Callable[[], None]


class Evaluated(NamedTuple):
    """tables: one a model, in their order. interrupted: Ctrl-C ended it before the last clip."""

    tables: list[ClipTable]
    interrupted: bool


def evaluate(
    models: Mapping[str, Autoencoder],
    clips: Iterable[tuple[str, torch.Tensor]],
    perceptual: nn.Module | None = None,
    fvd: bool = False,
    progress: Progress = lambda: None,
) -> Evaluated:
    """A table for each model: its reconstructions of the same clips, from the posterior's mean, in float32.

    models: title -> model in eval mode; its device is used. clips: name and pixels (1, C, T, H, W) in [-1, 1], all of one
    size. fvd: also the I3D features of all clips (clips of 8 frames or more; about a gigaflop a pixel). progress: called
    after each clip and model. One clip is held at a time. After Ctrl-C the clips that all models have seen count, if there
    are any. Errors: DataError if there is no clip, ConfigError as
    ``i3d_features``.
    """
    measuring = [_Measuring(title, model, perceptual, fvd) for title, model in models.items()]
    originals: list[torch.Tensor] = []
    names: list[str] = []
    interrupted = False
    try:
        for name, x in clips:
            if fvd:
                originals.append(i3d_features(x, layer="logits"))
            for one in measuring:
                one.add(x)
                progress()
            names.append(name)
    except KeyboardInterrupt:
        if not names:
            raise
        interrupted = True
    if not names:
        raise DataError("There is no clip to evaluate: the data are empty.")
    return Evaluated([one.table(tuple(names), originals) for one in measuring], interrupted)


@dataclass
class _Measuring:
    title: str
    model: Autoencoder
    perceptual: nn.Module | None
    fvd: bool
    whole: list[ClipScores] = field(default_factory=list)
    chunked: list[dict[str, float]] = field(default_factory=list)
    features: list[torch.Tensor] = field(default_factory=list)

    @torch.no_grad()
    def add(self, x: torch.Tensor) -> None:
        device = self.model.last_layer.device
        r = self.model(x.to(device), sample=False).x.float().cpu()
        scores = ClipScores(self.model.factors[1:], self.perceptual)
        for original, made in zip(x[0].unbind(1), r[0].unbind(1), strict=True):
            scores.add(original, made)
        self.whole.append(scores)
        if self.fvd:
            self.features.append(i3d_features(in_range(r), layer="logits"))
        if len(self.chunked) < CLIPS_IN_CHUNKS and (frames := chunk_frames(self.model.grid, x.shape[2])):
            self.chunked.append(self._in_chunks(x[0], frames))

    def _in_chunks(self, x: torch.Tensor, frames: int) -> dict[str, float]:
        height, width = x.shape[-2:]
        cut = plan(self.model.grid, height, width, tiled=False, frames=frames)
        scores = ClipScores(self.model.factors[1:])
        for frame in Reconstruction(self.model, cut)(x.unbind(1)):
            scores.add(*frame)
        return scores.components()

    def table(self, names: tuple[str, ...], originals: Sequence[torch.Tensor]) -> ClipTable:
        """Of the clips with these names, the first ones; others may have been begun."""
        done, count = self.whole[: len(names)], len(names)
        distances = {}
        if self.fvd and not any(scores.non_finite for scores in done):
            x, r = torch.cat(list(originals[:count])), torch.cat(self.features[:count])
            distances["paired_i3d"] = paired_feature_distance(x, r)
            if count > 1:
                distances["fvd"] = frechet_distance(x, r)
        return ClipTable(
            self.title,
            names,
            stack([scores.components() for scores in done]),
            *self._grids(done),
            stack(self.chunked[:count]),
            distances,
            sum(bool(scores.non_finite) for scores in done),
            self._spectrum(done),
        )

    def _spectrum(self, done: Sequence[ClipScores]) -> FloatArray:
        whole = RadialSpectrum()
        for scores in done:
            whole.merge(scores.spectrum)
        return whole.curves()

    def _grids(self, done: Sequence[ClipScores]) -> tuple[Lines, Lines]:
        """The strongest line of all clips, along rows or columns, and the strongest local pattern."""
        height, width = self.model.factors[1:]
        rows, columns, local = LineSpectrum(width), LineSpectrum(height), LocalGrid((height, width))
        for scores in done:
            rows.merge(scores.rows)
            columns.merge(scores.columns)
            local.merge(scores.local_grid)
        return stronger(rows.strongest(), columns.strongest()), local.strongest()


def chunk_frames(grid: Grid, frames: int) -> int | None:
    """Frames of the chunks that a clip is also cut into: about half of it; None where it is too short for two chunks."""
    first = 1 if grid.first_frame_alone else 0
    steps = (frames - first) // grid.step
    return None if grid.images_only or grid.time == 1 or steps < 2 else first + (steps // 2) * grid.step


def check_fvd(frames: int) -> None:
    """Raises ConfigError if the clips are too short for I3D or its weights are not installed."""
    if frames < FEWEST_FRAMES:
        raise ConfigError(f"rFVD needs clips of at least {FEWEST_FRAMES} frames, these have {frames}: use --clip.")
    i3d_features(torch.zeros(0, 3, FEWEST_FRAMES, 32, 32))
