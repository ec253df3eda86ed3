"""Faults of the data and of the reconstruction loss (groups A and B of the catalogue)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from recipe import EARLY, GAP, MIDDLE, SECOND_EPOCH, Check, Recipe, logged, number, worse
from torch import Tensor
from training import Training

Change = Callable[[Tensor, int], Tensor]


def data(change: Change) -> Callable[[Training], None]:
    return lambda training: training.data.append(change)


def _scaled_to_bytes(x: Tensor, step: int) -> Tensor:
    return (x + 1) * 127.5


def _corrupt(every: int, first: int) -> Change:
    """A decoder's rubbish, of large values, in one batch out of `every`."""
    return lambda x, step: 6 * torch.randn_like(x) if step >= first and (step - first) % every == 0 else x


def _freak(x: Tensor, step: int) -> Tensor:
    """One file of the set holds values that were not scaled; it comes once an epoch."""
    if step >= EARLY and step % 100 == 37:
        x = x.clone()
        x[0] = x[0] * 40
    return x


def _first(count: int) -> Callable[[Training], None]:
    """Only the first samples of the set are ever used."""

    def plant(training: Training) -> None:
        size = training.config.run.batch_size
        training.order = lambda step: torch.arange(step * size, (step + 1) * size) % count

    return plant


def _black(x: Tensor, step: int) -> Tensor:
    return torch.full_like(x, -1.0)


def _sparse(x: Tensor, step: int) -> Tensor:
    """Empty but for a small corner."""
    empty = torch.full_like(x, -1.0)
    empty[..., :6, :6] = x[..., :6, :6]
    return empty


def _from(first: int, change: Callable[[Tensor], Tensor]) -> Change:
    return lambda x, step: change(x) if step >= first else x


def _noise(x: Tensor) -> Tensor:
    return torch.rand_like(x) * 2 - 1


def _dark(x: Tensor) -> Tensor:
    return 0.08 * x - 0.9


def _texture(x: Tensor) -> Tensor:
    """Another set: the same pictures under fine stripes of full contrast."""
    stripes = torch.ones(x.shape[-1])
    stripes[::2] = -1
    return (0.4 * x + 0.6 * stripes * torch.sign(torch.randn(x.shape[0], 1, 1, 1, 1))).clamp(-1, 1)


def _no_latent(first: int) -> Callable[[Training], None]:
    """The decoder is given zeros instead of the latent."""

    def plant(training: Training) -> None:
        autoencoder = training.step.autoencoder
        decode = autoencoder.decode
        autoencoder.decode = lambda z: decode(z * 0 if training.now >= first else z)  # type: ignore[method-assign]

    return plant


def _perceptual(change: Callable[[Tensor, Tensor, Callable], Tensor]) -> Callable[[Training], None]:
    def plant(training: Training) -> None:
        network = training.step.objective.perceptual
        assert network is not None
        forward = network.forward
        network.forward = lambda x, r: change(x, r, forward)  # type: ignore[method-assign]

    return plant


MAX_REC = Check("largest rec_loss from onset on", logged("rec_loss", EARLY, None, max), at_least=3)
RECIPES = [
    Recipe("range-0-255", "pixels arrive as 0 ... 255", Check("rec_loss of the first 10 steps", logged("rec_loss", 0, 10), at_least=10),
           ("A1",), plant=data(_scaled_to_bytes)),
    Recipe("corrupt-batches", "every 40th batch is rubbish", MAX_REC, ("A2",), onset=EARLY, plant=data(_corrupt(40, EARLY))),
    Recipe("freak-sample", "one unscaled file, seen once an epoch", MAX_REC, ("A2",), onset=137, plant=data(_freak)),
    Recipe("repeated-batch", "the same batch for ever", GAP, ("A7",), ("A4",), plant=_first(4)),
    Recipe("few-samples", "six samples in all", GAP, ("A7",), plant=_first(6), systems=("video", "rgb")),
    Recipe("black-data", "every picture is black", Check("nll_loss of the last 100 steps", logged("nll_loss", 300), at_most=0.3),
           ("A4",), ("A7",), plant=data(_black)),
    Recipe("sparse-data", "pictures are empty but for a corner",
           Check("rec_mse of the last 100 steps", logged("rec_mse", 300), at_most=0.5), ("A4",), ("A7",), plant=data(_sparse)),
    Recipe("data-change-epoch", "another set of pictures from the second epoch on",
           Check("rec_loss of 20 steps from onset", logged("rec_loss", SECOND_EPOCH, SECOND_EPOCH + 20), at_least=1.5),
           ("A5",), onset=SECOND_EPOCH, plant=data(_from(SECOND_EPOCH, _texture))),
    Recipe("dark-data-epoch", "nearly black pictures from the second epoch on",
           Check("rec_loss of 40 steps after onset", logged("rec_loss", SECOND_EPOCH + 10, SECOND_EPOCH + 50), at_most=0.6),
           ("A5",), ("A4",), onset=SECOND_EPOCH, plant=data(_from(SECOND_EPOCH, _dark))),
    Recipe("noise-data-epoch", "white noise instead of pictures from the fourth epoch on",
           Check("rec_loss of 20 steps from onset", logged("rec_loss", 300, 320), at_least=2), ("A5",), ("A2",), onset=300,
           plant=data(_from(300, _noise))),
    Recipe("dead-decoder", "the decoder never gets the latent",
           Check("held-out MSE after the last step", number("mse"), at_least=1.5), ("B8",), ("C1", "E2"), plant=_no_latent(0)),
    Recipe("decoder-dies", "the decoder loses the latent in mid-run", worse(1.5), ("B8",), ("C1", "E1"), onset=MIDDLE,
           plant=_no_latent(MIDDLE)),
    Recipe("lpips-detached", "no gradient through the perceptual loss",
           Check("held-out perceptual distance", number("lpips"), at_least=1.1), ("B2",),
           base={"loss.perceptual_weight": 20.0}, plant=_perceptual(lambda x, r, forward: forward(x, r.detach()) + 0 * r.mean())),
    Recipe("lpips-too-heavy", "perceptual loss a hundred times too heavy", worse(1.25), ("B4",),
           times={"loss.perceptual_weight": 100}, base={"loss.perceptual_weight": 1.0}),
]  # fmt: skip
