"""Faults of the latent: KL weight, collapse, drift, overflow (group C, and F4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from recipe import EARLY, Check, Recipe, number, worse
from systems import STEPS, kl_weight
from torch import Tensor
from training import Training

KL_END = Check("nats per latent element of held-out data", number("kl"), at_least=4)
COLLAPSED = Check("nats per latent element of held-out data", number("kl"), at_most=0.1)


def _encoded(change: Callable[[Training, Tensor, Tensor], tuple[Tensor, Tensor]]) -> Callable[[Training], None]:
    """Changes (mean, logvar) of the posterior."""

    def plant(training: Training) -> None:
        autoencoder = training.step.autoencoder
        encode = autoencoder.encode

        def changed(x: Tensor) -> tuple[Tensor, Tensor | None]:
            mean, logvar = encode(x)
            assert logvar is not None
            return change(training, mean, logvar)

        autoencoder.encode = changed  # type: ignore[method-assign]

    return plant


def _last_encoder_layer(training: Training) -> Any:
    module: Any = training.step.autoencoder.module
    return module.encoder[-1]


def _latent_grows(training: Training) -> None:
    """From EARLY on the latent is 1.2% larger at each step, and the decoder is used to it."""

    def gain() -> float:
        return float(1.012 ** max(0, training.now - EARLY))

    _encoded(lambda _, mean, logvar: (mean * gain(), logvar))(training)
    autoencoder = training.step.autoencoder
    decode = autoencoder.decode
    autoencoder.decode = lambda z: decode(z / gain())  # type: ignore[method-assign]


def _logvar_sinks(training: Training) -> None:
    """Nothing keeps the posterior's variance up: the bias of logvar falls by 0.15 a step."""

    def sink(step: int) -> None:
        layer, mean = _last_encoder_layer(training), training.step.autoencoder.latent_channels
        with torch.no_grad():
            layer.bias[mean:] -= 0.15  # type: ignore[operator,index]

    training.after.append(sink)


def _logvar_explodes(training: Training) -> None:
    """logvar is not clamped and runs up faster and faster from EARLY on, until exp(logvar) is infinite."""
    training.step.autoencoder.module.clamp = False  # type: ignore[assignment]

    def risen(training: Training, mean: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
        return mean, logvar + 0.02 * max(0, training.now - EARLY) ** 2

    _encoded(risen)(training)


def _half_dead(training: Training, mean: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    alive = torch.ones(mean.shape[1])
    alive[: (mean.shape[1] + 1) // 2] = 0
    alive = alive.view(1, -1, 1, 1, 1)
    return mean * alive, logvar * alive


RECIPES = [
    Recipe("kl-too-big", "KL weight so large that it outweighs the reconstruction", worse(1.25), ("C2",), ("C1",),
           change={"loss.kl_weight": lambda system: kl_weight(system, 0.5)}),
    Recipe("kl-collapse", "KL weight that empties the latent", COLLAPSED, ("C1",), ("C2",),
           change={"loss.kl_weight": lambda system: kl_weight(system, 6.0)}),
    Recipe("kl-too-big-finetune", "a trained model goes on with a KL weight a million times its own", worse(1.2), ("C2",),
           ("C1",), start="pretrained", change={"loss.kl_weight": lambda system: kl_weight(system, 1.0)}),
    Recipe("kl-switch", "the KL weight jumps in mid-run, unseen in the settings", worse(1.25), ("C2",), ("C1", "E6"), onset=EARLY,
           plant=lambda training: training.at(EARLY, lambda: _heavy_kl(training))),
    Recipe("kl-growth", "the latent grows without bound", KL_END, ("C3",), onset=EARLY, plant=_latent_grows),
    Recipe("logvar-floor", "the posterior's variance falls to the floor", Check("nats per latent element of held-out data", number("kl"), at_least=1.8), ("C4",), ("C3",), plant=_logvar_sinks,
           change={"loss.kl_weight": 0.0}),
    Recipe("logvar-overflow", "unclamped logvar rises until exp overflows",
           Check("share of the run that has no finite row", lambda r: 1 - sum(abs(row["total_loss"]) < 1e30 for row in r.rows) / STEPS + 1e-3,
                 at_least=100),
           ("F4",), ("C3",), onset=EARLY, plant=_logvar_explodes, systems=("pyramid", "radio", "rgb"),
           dialects=("pyramid_flow", "radiodiff", "lightning"), diverges=True),
    Recipe("dead-channels", "half of the latent channels carry nothing",
           Check("latent channels whose mean varies", number("active_channels"), at_most=0.6), ("C5",), ("C1",),
           systems=("video", "rgb"), dialects=("vaelab", "tensorboard"), plant=_encoded(_half_dead)),
]  # fmt: skip


def _heavy_kl(training: Training) -> None:
    loss = training.step.loss.model_copy(update={"kl_weight": kl_weight(training.system, 1.0)})
    training.step.configure(loss, training.step.optim)
