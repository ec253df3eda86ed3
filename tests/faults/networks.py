"""Faults of the loss networks: the perceptual network and the discriminator."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from faults.fault import Fault
from small_training import small_config, small_networks
from vaelab.losses import Objective, Perceptual, backbones, disc_loss, perceptual
from vaelab.losses.backbones import LAYOUTS, Backbone, FrozenConv
from vaelab.models.discriminator import PatchGAN


@cache
def random_weights(first_scale: float) -> dict[str, torch.Tensor]:
    """Weights of the smallest backbone, drawn at random: the faults lie in the code around them. first_scale: size of the
    features of the first layer."""
    state, generator, number, channels = {}, torch.Generator().manual_seed(0), 0, 3
    for i, layers in enumerate(LAYOUTS["stlpips-alex"].slices):
        for layer, _, padding in layers:
            key = f"net.slice{i + 1}.{number}"
            if layer == "conv":
                size = 2 * padding + 1
                weight = torch.randn(8, channels, size, size, generator=generator)
                scale = first_scale if number == 0 else 1.0
                state[f"{key}.weight"] = scale * weight / weight[0].numel() ** 0.5
                state[f"{key}.bias"] = torch.full((8,), 0.1 * scale)
                channels = 8
            elif layer == "blur":
                state[f"{key}.filt"] = torch.full((8, 1, 3, 3), 1 / 9)
            number += 1
        state[f"lin{i}.model.1.weight"] = torch.full((1, 8, 1, 1), 0.2)
    return state


def network(first_scale: float = 1.0) -> Perceptual:
    return Perceptual(Backbone("stlpips-alex", random_weights(first_scale)), "random", "none")


def picture(seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 3, 1, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def check_the_perceptual_network_stays_in_evaluation_mode() -> None:
    objective = Objective(small_config(loss={"perceptual_weight": 1.0}).loss, network())
    objective.train()
    assert objective.perceptual is not None
    assert not any(module.training for module in objective.perceptual.modules())
    x, r = picture(0), picture(1)
    assert torch.equal(objective.perceptual(x, r), objective.perceptual(x, r))


def train_mode_reaches_the_perceptual_network(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Perceptual, "train", nn.Module.train)


def check_equal_pictures_have_no_perceptual_distance() -> None:
    distance = network().train()
    x = picture()
    assert distance(x, x.clone()).abs().max() == 0


def dropout_in_the_features(patch: pytest.MonkeyPatch) -> None:
    """Two masks, drawn independently, for two equal pictures."""
    real = perceptual._normalised
    patch.setattr(perceptual, "_normalised", lambda features: F.dropout(real(features), 0.5, training=True))


def check_vanishing_features_have_a_finite_gradient() -> None:
    """Features so small that their squares are 0 in float32. (Features of exactly 0 are outputs of ReLU, whose own
    derivative there is 0 and hides the root's.)"""
    r = picture(1).requires_grad_()
    network(first_scale=1e-24)(picture(0), r).sum().backward()
    assert r.grad is not None and r.grad.isfinite().all()


def epsilon_outside_the_root(patch: pytest.MonkeyPatch) -> None:
    def normalised(features: torch.Tensor) -> torch.Tensor:
        return features / (torch.sqrt(features.square().sum(dim=1, keepdim=True)) + 1e-10)

    patch.setattr(perceptual, "_normalised", normalised)


def check_the_perceptual_network_gets_no_gradient() -> None:
    distance = network()
    r = picture(1).requires_grad_()
    distance(picture(0), r).sum().backward()
    assert r.grad is not None
    tensors = [*distance.parameters(), *distance.buffers()]
    assert tensors and all(t.grad is None and not t.requires_grad for t in tensors)


def weights_are_parameters(patch: pytest.MonkeyPatch) -> None:
    """``network.requires_grad = False`` on a module sets an attribute that nothing reads."""

    class Conv(FrozenConv):
        def __init__(self, weight: torch.Tensor, bias: torch.Tensor, stride: int, padding: int) -> None:
            nn.Module.__init__(self)
            self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
            self.stride, self.padding = stride, padding
            self.requires_grad = False

    patch.setattr(backbones, "FrozenConv", Conv)


def check_the_hinge_loss_can_reach_zero() -> None:
    """Logits have no bounds: a discriminator that separates by a margin has no loss left."""
    _, discriminator = small_networks(small_config())
    assert discriminator is not None
    last = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d)][-1]
    assert last.bias is not None

    def logits(shift: float) -> torch.Tensor:
        with torch.no_grad():
            last.weight.zero_()
            last.bias.fill_(shift)
            return discriminator(torch.zeros(1, 3, 1, 8, 8))

    assert disc_loss("hinge", logits(3.0), logits(-3.0)) == 0


def sigmoid_at_the_end(patch: pytest.MonkeyPatch) -> None:
    real: Any = PatchGAN.forward
    patch.setattr(PatchGAN, "forward", lambda self, x: torch.sigmoid(real(self, x)))


FAULTS = [
    Fault("PF-6", "train() reaches LPIPS", check_the_perceptual_network_stays_in_evaluation_mode,
          train_mode_reaches_the_perceptual_network),
    Fault("PF-6", "dropout in LPIPS", check_the_perceptual_network_stays_in_evaluation_mode, dropout_in_the_features),
    Fault("LPIPS-NaN", "epsilon outside the root", check_vanishing_features_have_a_finite_gradient,
          epsilon_outside_the_root),
    Fault("MV-3", "distance of equal pictures is not 0", check_equal_pictures_have_no_perceptual_distance,
          dropout_in_the_features),
    Fault("DF-8", "the perceptual network collects gradients", check_the_perceptual_network_gets_no_gradient,
          weights_are_parameters),
    Fault("DF-8", "a sigmoid before the hinge loss", check_the_hinge_loss_can_reach_zero, sigmoid_at_the_end),
]  # fmt: skip
