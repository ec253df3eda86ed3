"""Options for latents that diffuse well: noise and mask before the decoder, local-correlation regularisation."""

from __future__ import annotations

import pytest
import torch

from small_training import batches, small_config, small_step, take_steps
from vaelab.losses.latent import local_correlation, standardised
from vaelab.models import build_autoencoder
from vaelab.training.smoke_identities import largest_difference


def seen_by_the_decoder(training: bool, **model: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The latent of the result and the one that the decoder got, each (B, C, T, H, W)."""
    config = small_config(video=True, model={**model, "deterministic": True})
    torch.manual_seed(0)
    autoencoder = build_autoencoder(config.model, 3).train(training)
    got: list[torch.Tensor] = []
    autoencoder.module.decoder.register_forward_pre_hook(lambda _, inputs: got.append(inputs[0]))  # type: ignore[union-attr]
    z = autoencoder(torch.rand(64, 3, 3, 16, 16) * 2 - 1).z
    return z.detach(), got[0].detach()


def test_noise_is_drawn_for_each_sample_and_stays_out_of_validations() -> None:
    z, seen = seen_by_the_decoder(True, latent_noise=0.5)
    share = ((seen - z) / z.std(dim=(0, 2, 3, 4), keepdim=True, correction=0)).flatten(1).std(dim=1)
    assert share.max() < 0.55 and share.min() < 0.1 and share.mean() == pytest.approx(0.25, abs=0.05)
    z, seen = seen_by_the_decoder(False, latent_noise=0.5, latent_mask=0.5)
    assert torch.equal(z, seen)


def test_masked_places_are_zero_in_all_channels() -> None:
    z, seen = seen_by_the_decoder(True, latent_mask=0.6)
    gone = seen == 0
    assert torch.equal(gone.all(1), gone.any(1)) and torch.equal(seen[~gone], z[~gone])
    share = gone.float().flatten(1).mean(1)
    assert share.max() < 0.75 and share.min() < 0.15 and share.mean() == pytest.approx(0.3, abs=0.07)


@pytest.mark.parametrize("video", [False, True])
def test_local_correlation_grows_towards_its_threshold_and_the_total_closes(video: bool) -> None:
    smooth = small_config(video, loss={"disc": "none", "lcr_weight": 1.0, "lcr_threshold": 0.6}, optim={"lr": 5e-3})
    plain = small_config(video, loss={"disc": "none"}, optim={"lr": 5e-3})
    ends = []
    for config in (smooth, plain):
        step, data = small_step(config), batches(config, 30)
        measured = take_steps(step, data)
        with torch.no_grad():
            mean, _ = step.autoencoder.encode(data[0][0])
        ends.append(float(local_correlation(standardised(mean))))
        rows = [{"step": n, **{name: float(value) for name, value in row.items()}} for n, row in enumerate(measured)]
        assert largest_difference(rows, config)[0] < 1e-4
        assert ("lcr_loss" in rows[0]) == (config is smooth)
    assert ends[0] > ends[1] + 0.1
