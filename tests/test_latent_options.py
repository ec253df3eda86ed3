"""Options for latents that diffuse well: noise and mask before the decoder, local-correlation regularisation, equivariance."""

from __future__ import annotations

import copy

import pytest
import torch

from small_training import batches, recorded_gradients, small_config, small_step, take_steps
from vaelab.errors import ConfigError
from vaelab.losses.latent import local_correlation, standardised
from vaelab.models import build_autoencoder
from vaelab.models.moves import Move, draw_move, moved
from vaelab.training.build import build_step
from vaelab.training.distributed import Ranks
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


@pytest.mark.parametrize("kind", ["scale", "scale+rotate"])
def test_moves_are_of_their_kind_and_pictures_move_with_their_latents(kind: str) -> None:
    torch.manual_seed(0)
    moves = [draw_move(kind, 16, 8) for _ in range(60)]
    if kind == "scale":
        assert set(moves) == {Move(8, 4, 0), Move(4, 2, 0)}
    else:
        assert {move.turns for move in moves} == {0, 1, 2, 3}
        assert min(move.height for move in moves) == 4 and max(move.height for move in moves) >= 15
    x = torch.rand(2, 3, 5, 16, 8)
    for move in moves[:8]:
        assert moved(x, *move).shape[-2:] == (
            (move.height, move.width) if move.turns % 2 == 0 else (move.width, move.height)
        )
        # what is linear and has no place of its own commutes with every move
        assert torch.allclose(moved(x.flip(1), *move), moved(x, *move).flip(1))
    assert torch.equal(moved(x, 16, 8, 1), x.rot90(1, (-2, -1)))


@pytest.mark.parametrize("video", [False, True])
@pytest.mark.parametrize("kind", ["scale", "scale+rotate"])
def test_the_total_closes_with_the_equivariance(video: bool, kind: str) -> None:
    loss = {"disc": "none", "nll_reduction": "sum", "equivariance": kind, "equivariance_weight": 0.5}
    config = small_config(video, loss=loss, data={"resolution": (16, 16)})
    measured = take_steps(small_step(config), batches(config, 3))
    rows = [{"step": n, **{name: float(value) for name, value in row.items()}} for n, row in enumerate(measured)]
    assert all(row["equivariance_loss"] > 0 for row in rows)
    assert largest_difference(rows, config)[0] < 1e-4


def test_where_it_is_off_nothing_is_drawn_or_decoded_for_it() -> None:
    """So that a run without it is, to the bit, what it was before it could be had."""
    config = small_config(loss={"disc": "none"})
    step, ((x,),) = small_step(config), batches(config, 1)
    decoded: list[int] = []
    step.autoencoder.module.decoder.register_forward_pre_hook(lambda *_: decoded.append(1))  # type: ignore[union-attr]
    shape = step.autoencoder.latent_shape(*x.shape[2:])
    torch.manual_seed(0)
    step([x], 0)
    next_number = torch.rand(())
    torch.manual_seed(0)
    torch.randn(len(x), *shape)  # the posterior's noise
    assert torch.equal(torch.rand(()), next_number) and decoded == [1]


def test_the_equivariance_has_the_gradient_of_its_definition() -> None:
    on = small_config(
        model={"deterministic": True}, loss={"disc": "none", "equivariance_weight": 0.7}, optim={"clip_grad": None}
    )
    step, data = small_step(on), batches(on, 1)
    reference = copy.deepcopy(step.autoencoder)
    with recorded_gradients() as record:
        take_steps(step, data)
    x = data[0][0]
    torch.manual_seed(0)
    move = draw_move("scale+rotate", *reference.latent_shape(*x.shape[2:])[2:])
    out = reference(x, sample=False, move=move)
    size = out.moved.shape[-2:] if move.turns % 2 == 0 else out.moved.shape[:-3:-1]
    kl = step.objective.kl(out.mean, out.logvar)
    total = (
        (x - out.x).abs().mean() + 0.7 * (moved(x, *size, move.turns) - out.moved).abs().mean() + on.loss.kl_weight * kl
    )
    expected = torch.autograd.grad(total, list(reference.parameters()))
    (got,) = next(iter(record.values()))
    for a, b in zip(got, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-7)


def test_latents_too_small_to_be_scaled_are_refused() -> None:
    config = small_config(loss={"equivariance_weight": 1.0, "disc": "none"}, data={"resolution": (4, 4)})
    with pytest.raises(ConfigError, match="2 places along a side: at least 4 are needed"):
        build_step(config, None, Ranks())
