"""A frozen encoder: no update, average or norm statistic moves its latents by a bit."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from small_training import batches, same, small_config, small_networks, take_steps, weights
from vaelab.config import TrainConfig
from vaelab.config.doubts import doubts
from vaelab.errors import TrainError
from vaelab.losses import Objective
from vaelab.models import Autoencoder
from vaelab.training.distributed import Ranks
from vaelab.training.step import TrainingStep


def step_on(config: TrainConfig, autoencoder: Autoencoder, discriminator: nn.Module | None, since: int) -> TrainingStep:
    objective = Objective(config.loss, None)
    return TrainingStep(
        autoencoder, discriminator, objective, config.loss, config.optim, config.run.steps, Ranks(), freeze_from=since
    )


def latents(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    assert isinstance(network, Autoencoder)
    with torch.no_grad():
        mean, logvar = network.encode(x)
    return mean if logvar is None else torch.cat([mean, logvar])


@pytest.mark.parametrize("video", [False, True])
def test_latents_stay_to_the_bit_and_the_decoder_learns(video: bool) -> None:
    config = small_config(video, optim={"weight_decay": 0.1, "ema_decay": 0.9}, loss={"kl_weight": 0.1})
    step = step_on(config, *small_networks(config), since=0)
    data = batches(config, 4)
    x = data[0][0]
    before, decoder = latents(step.autoencoder, x), step.autoencoder.last_layer.detach().clone()
    take_steps(step, data[:3])
    assert torch.equal(latents(step.autoencoder, x), before)
    assert step.ema is not None and torch.equal(latents(step.ema.network, x), before)
    assert not torch.equal(step.autoencoder.last_layer, decoder)
    held = step.generator_update.optimizer.state
    trained = [p for p in step.autoencoder.parameters() if p.requires_grad]
    assert set(held) == set(trained) and len(trained) < len(list(step.autoencoder.parameters()))
    step.check_frozen()


def test_from_a_step_on_and_after_a_resume() -> None:
    config = small_config(optim={"ema_decay": 0.9})
    step = step_on(config, *small_networks(config), since=2)
    data = batches(config, 5)
    x = data[0][0]
    before = latents(step.autoencoder, x)
    take_steps(step, data[:2])
    at_freezing = latents(step.autoencoder, x)
    assert not torch.equal(at_freezing, before) and step.ema is not None
    assert not torch.equal(latents(step.ema.network, x), at_freezing), "an average lags"
    take_steps(step, data[2:3], first=2)
    assert torch.equal(latents(step.autoencoder, x), at_freezing)
    assert torch.equal(latents(step.ema.network, x), at_freezing), "one encoder for both"

    again = step_on(config, *small_networks(config), since=2)
    assert again.ema is not None
    for (_, network), (_, other) in zip(again.networks(), step.networks(), strict=True):
        network.load_state_dict(other.state_dict())
    again.ema.network.load_state_dict(step.ema.network.state_dict())
    again.load_state_dict(copy.deepcopy(step.state_dict()))
    for one in (step, again):
        take_steps(one, data[3:], first=3)
    assert same(weights(again.autoencoder), weights(step.autoencoder))
    assert torch.equal(latents(again.autoencoder, x), at_freezing)


class WithStatistics(nn.Module):
    """Norm statistics and dropout in the encoder, which a mere lack of gradients would not keep still."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 4, 2, 2), nn.BatchNorm2d(4), nn.Dropout(0.5))
        self.up = nn.Sequential(nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 3, 2, 2))

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.down(x),)

    def decode(self, z: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.up(z),)


def test_norm_statistics_and_dropout_of_the_encoder_stay_still() -> None:
    config = small_config(loss={"disc": "none"})
    autoencoder = Autoencoder(WithStatistics(), 3).train()
    step = step_on(config, autoencoder, None, since=0)
    module = autoencoder.module
    assert isinstance(module, WithStatistics)
    norm, other = module.down[1], module.up[0]
    assert isinstance(norm, nn.BatchNorm2d) and isinstance(other, nn.BatchNorm2d)
    data = batches(config, 2)
    take_steps(step, data)
    assert norm.running_mean is not None and not norm.running_mean.any() and norm.num_batches_tracked == 0
    assert other.num_batches_tracked == 2, "the decoder's go on"
    assert torch.equal(latents(autoencoder, data[0][0]), latents(autoencoder, data[0][0])), "no dropout"


def test_a_change_of_a_frozen_weight_is_found() -> None:
    config = small_config(loss={"disc": "none"})
    step = step_on(config, *small_networks(config), since=0)
    take_steps(step, batches(config, 1))
    with torch.no_grad():
        next(p for p in step.autoencoder.parameters() if not p.requires_grad).view(-1)[0] += 1e-6
    with pytest.raises(TrainError, match="frozen encoder has changed"):
        step.check_frozen()


def test_settings_that_freeze_nothing_are_said() -> None:
    with pytest.raises(ValueError, match="freeze_from 5 needs freeze=encoder"):
        small_config(model={"freeze_from": 5})
    late = small_config(model={"freeze": "encoder", "freeze_from": 10})
    assert any("nothing is frozen" in text for text in doubts(late))
    assert any("random weights" in text for text in doubts(small_config(model={"freeze": "encoder"})))
    assert not doubts(small_config(model={"freeze": "encoder", "freeze_from": 3}))
