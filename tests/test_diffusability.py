"""The four numbers on a latent: their values where they are known, and planted smooth and rough latents in order."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from vaelab.losses.latent import local_correlation, standardised
from vaelab.probing.diffusability import (
    diffusability,
    effective_rank,
    high_frequency_share,
    velocity_irreducible_variance,
)


def latents(sigma: float, mixing: float = 0.0, count: int = 96, seed: int = 0) -> torch.Tensor:
    """(count, 4, 3, 8, 8), noise blurred by ``sigma`` in space (periodic); channels share ``mixing`` of one pattern."""
    noise = torch.randn(count, 5, 3, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    place = torch.fft.fftfreq(8, dtype=torch.float64)
    squares = place[:, None].square() + place.square()
    smooth = torch.fft.ifft2(torch.fft.fft2(noise) * torch.exp(-2 * (math.pi * sigma) ** 2 * squares)).real
    return standardised((1 - mixing) * smooth[:, :4] + mixing * smooth[:, 4:])


def test_rougher_latents_rank_behind_smoother_ones_of_one_shape() -> None:
    found = [diffusability(latents(sigma)) for sigma in (2.0, 1.0, 0.5, 0.0)]
    for smooth, rough in itertools.pairwise(found):
        assert smooth.sec < rough.sec
        assert smooth.viv < rough.viv
        assert smooth.local_correlation > rough.local_correlation
    alike, own = diffusability(latents(1.0, mixing=0.7)), diffusability(latents(1.0))
    assert alike.effective_rank < 2 < 3.5 < own.effective_rank, "few channels carry most"


def test_white_latents_have_the_values_of_the_formulas() -> None:
    found = diffusability(latents(0.0, count=400))
    inside = sum(u + v > 0.25 * 14 for u in range(8) for v in range(8)) / 64
    assert found.sec == pytest.approx(inside, rel=0.02)
    assert found.effective_rank == pytest.approx(4, rel=0.02)
    assert found.viv == pytest.approx(math.pi / 2, rel=0.05), "variance 1 in every direction"
    assert found.local_correlation == pytest.approx(0, abs=0.02)


def test_a_covariance_that_is_a_product_is_found_by_the_flip_flop() -> None:
    rng = torch.Generator().manual_seed(0)
    channels = torch.tensor([4.0, 1.0, 0.25], dtype=torch.float64)
    places = torch.linspace(0.1, 2, 16, dtype=torch.float64)
    z = torch.randn(4000, 3, 4, 4, generator=rng, dtype=torch.float64)
    z = z * channels.sqrt()[:, None, None] * places.sqrt().view(4, 4)
    expected = math.pi / 2 * float((channels[:, None] * places).sqrt().mean())
    assert velocity_irreducible_variance(z) == pytest.approx(expected, rel=0.02)


def test_local_correlation_equals_the_mean_over_pairs() -> None:
    z = standardised(torch.randn(2, 5, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    image, video = [], []
    for n, y, x in itertools.product(range(2), (0, 2), (0, 2)):
        window = z[n, :, :, y : y + 2, x : x + 2]
        for part, into in ((window[:, :1], image), (window[:, 1:], video)):
            vectors = part.flatten(1).T
            correlations = torch.corrcoef(vectors)
            above = torch.triu_indices(len(vectors), len(vectors), offset=1)
            into += correlations[above[0], above[1]].tolist()
    expected = (sum(image) / len(image) + sum(video) / len(video)) / 2
    assert float(local_correlation(z)) == pytest.approx(expected, abs=1e-6)


def test_constant_and_small_latents_are_no_error() -> None:
    constant = diffusability(torch.ones(4, 2, 1, 8, 8))
    assert constant.sec == pytest.approx(0, abs=1e-12) and math.isnan(constant.viv), (
        "8 frames are too few for 64 places"
    )
    assert math.isnan(float(local_correlation(torch.rand(2, 1, 1, 4, 4))))
    assert effective_rank(torch.randn(9, 1, 1, 2, 2)) == pytest.approx(1)
    assert 0 <= high_frequency_share(torch.rand(2, 3, 5, 7).double()) <= 1
