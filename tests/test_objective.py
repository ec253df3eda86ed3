"""The objective: its schedules, its total, its parameters, and the frames it draws for the perceptual loss."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vaelab.config.schema import LossConfig
from vaelab.errors import ConfigError
from vaelab.losses import Objective

torch.set_num_threads(1)


def objective(**settings: object) -> Objective:
    return Objective(LossConfig(perceptual_weight=0, **settings), None)


def test_kl_weight_grows_in_a_straight_line() -> None:
    growing = objective(kl_weight=2.0, kl_warmup=4)
    assert [growing.kl_weight(s) for s in range(6)] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0, 2.0])
    assert objective(kl_weight=2.0).kl_weight(0) == 2.0


def test_disc_factor_and_the_discriminator_start() -> None:
    plain = objective(disc_start=3, disc_factor=0.5)
    assert [plain.disc_factor(s) for s in range(5)] == [0, 0, 0, 0.5, 0.5]
    assert [plain.trains_disc(s) for s in range(5)] == [False, False, False, True, True]
    ramped = objective(disc_start=3, disc_ramp=3, disc_warmup=2)
    assert [ramped.disc_factor(s) for s in range(8)] == [0, 0, 0, 0.25, 0.5, 0.75, 1, 1]
    assert [ramped.trains_disc(s) for s in range(4)] == [False, True, True, True]
    none = objective(disc="none", disc_start=0)
    assert none.disc_factor(10) == 0 and not none.trains_disc(10)


@given(st.integers(0, 50), st.integers(0, 20), st.integers(0, 100))
def test_schedules_never_shrink_and_end_at_their_setting(start: int, ramp: int, step: int) -> None:
    o = objective(disc_start=start, disc_ramp=ramp, kl_warmup=ramp, kl_weight=0.3, disc_factor=0.7)
    assert o.disc_factor(step) <= o.disc_factor(step + 1) <= 0.7
    assert o.kl_weight(step) <= o.kl_weight(step + 1) <= 0.3
    assert o.disc_factor(start + ramp) == 0.7 and o.kl_weight(ramp) == 0.3
    assert o.disc_factor(start) > 0 and o.kl_weight(0) > 0


def test_total_adds_the_terms() -> None:
    o = objective(kl_weight=0.5, disc_start=2, disc_factor=0.25)
    nll, kl, g = torch.tensor(3.0), torch.tensor(4.0), torch.tensor(-2.0)
    assert o.total(0, nll, kl).item() == 5.0
    assert o.total(1, nll, kl, g, 8.0).item() == 5.0  # before disc_start
    assert o.total(2, nll, kl, g, torch.tensor(8.0)).item() == 5.0 - 8.0 * 0.25 * 2.0
    # before the start an infinite g_loss must not turn 0 * inf into NaN
    assert o.total(1, nll, kl, torch.tensor(math.inf), 1.0).item() == 5.0


def test_learned_logvar_is_the_only_parameter_and_the_only_state() -> None:
    learned = objective(logvar="learned", logvar_init=-0.5)
    assert [name for name, _ in learned.named_parameters()] == ["logvar"]
    assert learned.state_dict() == {"logvar": torch.tensor(-0.5)}
    off = objective()
    assert list(off.parameters()) == [] and off.state_dict() == {} and off.logvar.item() == 0


def test_contradicting_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="no perceptual network"):
        Objective(LossConfig(perceptual_weight=1.0), None)
    with pytest.raises(ConfigError, match=r"logvar_init 0\.5 has no effect"):
        objective(logvar_init=0.5)


def test_an_autoencoder_without_posterior_has_no_kl() -> None:
    o = objective(kl_weight=1.0)
    kl = o.kl(None, None)
    assert kl.item() == 0.0 and not kl.requires_grad
    assert objective(logvar="learned", logvar_init=2.0).kl(None, None).item() == 0.0


class Recorder(torch.nn.Module):
    """Stands in for LPIPS; keeps what it was given. Its distance is the value of the frame in x."""

    def forward(self, x: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        self.x, self.r = x, r
        return x.mean(dim=(1, 3, 4)).flatten()


def test_perceptual_frames_are_drawn_evenly_for_each_clip_and_alike_from_both() -> None:
    clips, frames, count = 2000, 5, 2
    numbers = torch.arange(frames).float().view(1, 1, frames, 1, 1)
    x = (numbers + torch.zeros(clips, 1, frames, 2, 2)).contiguous()
    recorder = Recorder()
    o = Objective(LossConfig(perceptual_frames=count, pixelloss_weight=0, pixel_loss="mse"), recorder)
    terms = o.reconstruction(x, x + 10, torch.Generator().manual_seed(0))
    assert recorder.x.shape == (clips, 1, count, 2, 2)
    torch.testing.assert_close(recorder.r, recorder.x + 10)
    drawn = recorder.x[:, 0, :, 0, 0].long()
    assert bool((drawn[:, 0] != drawn[:, 1]).all())  # without replacement
    share = torch.bincount(drawn.flatten(), minlength=frames) / clips
    # five standard deviations of a share of count / frames over so many clips
    tolerance = 5 * math.sqrt(0.4 * 0.6 / clips)
    assert share.tolist() == pytest.approx([count / frames] * frames, abs=tolerance)
    # unbiased: the mean over drawn frames is the mean over all of them, 2.0
    assert terms.perceptual.item() == pytest.approx(2.0, abs=5 * math.sqrt(2 / (clips * count)))


def test_perceptual_frames_repeat_with_the_generator_and_cover_short_clips() -> None:
    x = torch.arange(6.0).view(1, 1, 6, 1, 1).expand(3, 1, 6, 2, 2)
    recorder = Recorder()
    o = Objective(LossConfig(perceptual_frames=3), recorder)

    def draw(seed: int) -> torch.Tensor:
        o.reconstruction(x, x, torch.Generator().manual_seed(seed))
        return recorder.x

    assert bool((draw(1) == draw(1)).all()) and not bool((draw(1) == draw(2)).all())
    one = x[:, :, :2]
    o.reconstruction(one, one)
    assert recorder.x.shape == one.shape


def test_only_nll_carries_a_gradient_and_logged_terms_are_unweighted() -> None:
    x = torch.zeros(1, 1, 1, 2, 2)
    r = torch.full_like(x, 0.5).requires_grad_()
    terms = objective(pixel_loss="l1", pixelloss_weight=3.0).reconstruction(x, r)
    assert terms.nll.requires_grad and not any(term.requires_grad for term in terms[1:])
    assert [term.item() for term in terms] == [1.5, 0.5, 0.25, 0.0]


def test_nll_is_float32_for_a_bf16_reconstruction_under_autocast() -> None:
    x = torch.rand(1, 3, 1, 64, 64) * 2 - 1
    r = (x + 0.1).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        nll = objective(nll_reduction="sum").reconstruction(x, r).nll
    assert nll.dtype == torch.float32
    assert nll.item() == pytest.approx((x.double() - r.double()).abs().sum().item(), rel=1e-5)
