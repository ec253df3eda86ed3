"""The benchmarks that train: what makes their two sides comparable, and their arithmetic. Networks of a few thousand weights, a few steps."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from small_training import IMAGE_MODEL
from vaelab.config import TrainConfig
from vaelab.losses import build_perceptual
from vaelab.losses.features import ConvolutionFeatures

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import diffusability
import gan_helps


def config(disc_start: int, steps: int = 4) -> TrainConfig:
    """The discriminator learns from step 1 on, and the decoder sees it from ``disc_start`` on."""
    return TrainConfig.model_validate(
        {
            "model": IMAGE_MODEL,
            "data": {
                "source": "moving-shapes",
                "frames": 1,
                "resolution": [24, 24],
                "length": 16,
                "val_samples": 2,
                "workers": 0,
            },
            "loss": {
                "perceptual_weight": 0.0,
                "disc": "patch2d",
                "disc_layers": 1,
                "disc_channels": 8,
                "disc_start": disc_start,
                "disc_warmup": disc_start - 1,
            },
            "optim": {"lr": 1e-3, "disc_lr": 1e-2, "ema_decay": 0.5},
            "run": {"steps": steps, "batch_size": 2, "device": "cpu"},
        }
    )


def judge(of: TrainConfig) -> gan_helps.Perceptual:
    return build_perceptual(of.loss.model_copy(update={"perceptual": "stlpips-alex"}), 3)


def test_the_gan_is_all_that_differs_between_the_two_runs() -> None:
    unseen = config(disc_start=9)
    scores = dict(gan_helps.two_runs(unseen, judge(unseen)))
    assert list(scores) == list(gan_helps.RUNS)
    assert scores["with"] == scores["without"] != scores["before"], (
        "a discriminator that the decoder never sees changes nothing"
    )
    seen = config(disc_start=2)
    found = dict(gan_helps.two_runs(seen, judge(seen)))
    assert found["without"] == scores["without"]
    assert found["with"] != found["without"]


def test_a_difference_has_students_interval() -> None:
    assert gan_helps.difference([1.0, 2.0, 3.0]) == "+2 (-0.484 to +4.48)"  # 4.303 / sqrt(3) = 2.484
    rows = [
        {"seed": seed, "run": run, **dict.fromkeys(gan_helps.SCORES, value + seed)}
        for run, value in zip(gan_helps.RUNS, (1.0, 2.0, 5.0), strict=True)
        for seed in (1, 0)
    ]
    assert "| lpips | lower | 1.5 | 2.5 | 5.5 | +3 (+3 to +3) |" in gan_helps.table(rows)


def test_a_turned_latent_holds_the_same_pictures_and_its_neighbours_have_less_in_common(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(diffusability, "PICTURES", 32)
    monkeypatch.setattr(diffusability, "HELD_OUT", 32)
    monkeypatch.setattr(diffusability, "SAMPLES", 32)
    monkeypatch.setattr(diffusability, "EULER", 2)
    settings = diffusability.settings({}, 0, steps=2)
    network = ConvolutionFeatures(judge(settings).backbone)
    rows = {row["latent"]: row for row in diffusability.one_seed(0, 2, 2, network)}
    assert list(rows) == [*diffusability.LOSSES, "turned"]
    plain, turned = rows["plain"], rows["turned"]
    assert turned["psnr"] == pytest.approx(plain["psnr"], abs=1e-3)
    assert turned["local_correlation"] < plain["local_correlation"] - 0.1
    assert turned["sec"] > plain["sec"]
    assert all(row["frechet"] > 0 and row["velocity_loss"] > 0 for row in rows.values())


def test_ranks_are_compared_and_not_values() -> None:
    assert diffusability.rank_correlation([1.0, 2.0, 3.0], [1.0, 10.0, 1000.0]) == pytest.approx(1)
    assert diffusability.rank_correlation([1.0, 2.0, 3.0], [5.0, 4.0, -9.0]) == pytest.approx(-1)


def test_a_perfect_velocity_brings_noise_to_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """All data are one latent: the velocity is (z_t - latent) / t, and the samples are that latent."""
    monkeypatch.setattr(diffusability, "SAMPLES", 3)
    latent = torch.full((4, 8, 8), 0.5)

    class Perfect(torch.nn.Module):
        def forward(self, z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return (z - latent) / t[:, None, None, None]

    assert torch.allclose(diffusability.draw_samples(Perfect(), seed=0), latent.expand(3, 4, 8, 8), atol=1e-4)
