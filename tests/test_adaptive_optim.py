"""Clipping that follows the gradient norm, and the power-function average: their formulas, their logs, and a resume to the bit."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from small_training import batches, small_config, small_step, take_steps
from vaelab.config.load import load_config
from vaelab.errors import ConfigError
from vaelab.lint import lint
from vaelab.training import clipping
from vaelab.training.checkpoint import Checkpoints
from vaelab.training.clipping import AutoClip
from vaelab.training.distributed import Ranks
from vaelab.training.ema import EMA, power_of
from vaelab.training.step import TrainingStep

BOTH = {"clip_grad": "auto", "disc_clip_grad": "auto", "ema_profile": "power", "ema_sigma_rel": 0.1}


def reference(norms: list[float]) -> list[float]:
    """The factors in plain arithmetic."""
    mean = variance = 0.0
    factors = []
    for count, norm in enumerate(norms):
        std = math.sqrt(variance)
        factor = 1.0
        if count >= 25 and norm > mean + 2.5 * std:
            factor = (mean + 2.5 * std) / norm
        factors.append(factor)
        norm *= factor
        keep = count / (count + 1) if count < 25 else 0.97
        variance = keep * (variance + (1 - keep) * (norm - mean) ** 2)
        mean += (1 - keep) * (norm - mean)
    return factors


def factors_of(norms: list[float]) -> list[float]:
    clip = AutoClip(torch.device("cpu"))
    return [float(clip.coefficient(torch.tensor(norm))) for norm in norms]


def test_an_outlier_is_clipped_and_the_norms_around_it_are_not() -> None:
    rng = np.random.default_rng(0)
    norms = (5 + rng.uniform(-0.5, 0.5, 80)).tolist()
    norms[10], norms[60] = 50.0, 50.0  # the first one among those that make the mean
    found = factors_of(norms)
    assert found == pytest.approx(reference(norms), rel=1e-4)
    assert found[:25] == [1.0] * 25
    calm = (5 + rng.uniform(-0.5, 0.5, 80)).tolist()
    calm[60] = 50.0
    found = factors_of(calm)
    assert [n for n, factor in enumerate(found) if factor < 1] == [60] and 4.9 < 50 * found[60] < 6


def test_a_lasting_change_of_the_level_is_followed() -> None:
    rng = np.random.default_rng(1)
    norms = [*rng.uniform(4.5, 5.5, 60), *rng.uniform(45, 55, 600)]
    found = factors_of(norms)
    assert found == pytest.approx(reference(norms), rel=1e-3)
    assert found[60] < 0.2 and min(found[160:]) == 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_norm_that_is_not_finite_leaves_the_statistics_alone(bad: float) -> None:
    clip = AutoClip(torch.device("cpu"))
    for norm in np.linspace(1, 2, 30):
        clip.coefficient(torch.tensor(norm))
    before = {name: value.clone() for name, value in clip.state_dict().items()}
    assert float(clip.coefficient(torch.tensor(bad))) == 1.0
    assert all(torch.equal(before[name], value) for name, value in clip.state_dict().items())


@pytest.mark.parametrize("sigma_rel", [0.05, 0.1, 0.25])
def test_the_power_average_has_the_width_it_was_asked_for_at_every_step(sigma_rel: float) -> None:
    network = nn.Linear(1, 1, bias=False)
    average = EMA(network, 0.9, sigma_rel)
    steps = 800
    shares = np.zeros(steps)
    for number in range(steps):
        decay = (1 - 1 / (number + 1)) ** (power_of(sigma_rel) + 1)
        shares *= decay
        shares[number] = 1 - decay
        with torch.no_grad():
            network.weight.fill_(math.sin(number / 9))
        average.update(network)
        if number in (199, steps - 1):
            times = np.arange(1, number + 2) / (number + 1)
            part = shares[: number + 1]
            assert part.sum() == pytest.approx(1)
            width = math.sqrt((part * times**2).sum() - (part * times).sum() ** 2)
            assert width == pytest.approx(sigma_rel, rel=0.03)
            assert float(average.network.weight) == pytest.approx(
                float((part * np.sin(np.arange(number + 1) / 9)).sum()), abs=1e-4
            )


def test_the_first_power_average_is_the_weights_themselves() -> None:
    network = nn.Linear(3, 3)
    average = EMA(network, 0.9, 0.1)
    with torch.no_grad():
        network.weight.add_(1)
    average.update(network)
    assert torch.equal(average.network.weight, network.weight)


def all_state(step: TrainingStep) -> list[torch.Tensor]:
    assert step.ema is not None and step.disc_update is not None
    networks = [step.autoencoder, step.ema.network, *filter(None, [step.discriminator])]
    clips = [*step.generator_update.auto.state_dict().values(), *step.disc_update.auto.state_dict().values()]
    return [p.detach().clone() for network in networks for p in network.parameters()] + [c.clone() for c in clips]


def test_a_resumed_run_goes_on_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clipping, "FIRST", 3)  # so that the limit is in force before and after the break
    monkeypatch.setattr(clipping, "OUTLIER", 0.5)
    config = small_config(optim=BOTH, loss={"pixel_loss": "mse"})
    data = batches(config, 10)
    data[4] = data[8] = [20 * data[4][0]]  # an outlier before and after the break
    whole = small_step(config)
    rows = take_steps(whole, data)
    assert rows[4]["clipped"] and rows[8]["clipped"]
    begun = small_step(config)
    take_steps(begun, data[:5])
    checkpoints = Checkpoints(tmp_path, 1, Ranks())
    path = checkpoints.save(begun, 5, {})
    resumed = small_step(config)
    checkpoints.restore(resumed, path)
    take_steps(resumed, data[5:], first=5)
    for a, b in zip(all_state(resumed), all_state(whole), strict=True):
        assert torch.equal(a, b)


def test_the_limit_is_logged_and_what_was_above_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clipping, "FIRST", 3)
    monkeypatch.setattr(clipping, "OUTLIER", 0.5)
    config = small_config(optim=BOTH)
    for number, row in enumerate(take_steps(small_step(config), batches(config, 8))):
        limit, norm = float(row["clip_limit"]), float(row["grad_norm"])
        assert math.isinf(limit) == (number < 3)
        assert bool(row["clipped"]) == (norm > limit) and float(row["clip_coefficient"]) * norm <= limit * 1.001
    assert "clip_limit" not in take_steps(small_step(small_config()), batches(config, 1))[0]


def test_settings_that_contradict_the_profile_are_refused_or_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ema_profile=power needs it to be a number"):
        load_config("video-tiny", ["optim.ema_profile=power", "optim.ema_decay=null"])
    for wrong in ("clip_grad=-1", "clip_grad=much", "ema_sigma_rel=0.5"):
        with pytest.raises(ConfigError, match="is not possible; allowed is"):
            load_config("video-tiny", [f"optim.{wrong}"])
    file = tmp_path / "a.yaml"
    file.write_text("base: video-tiny\noptim:\n  ema_sigma_rel: 0.2\n")
    named = [finding.message for report in lint(str(file)) for finding in report.findings]
    assert any("ema_sigma_rel" in text and "exponential" in text for text in named), named
