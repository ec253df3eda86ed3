"""Parts of ``vaelab probe`` against plain arithmetic, and on made-up models with one known property each."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from probed_runs import measured
from small_training import VIDEO_MODEL, small_config
from vaelab.diagnosis import diagnose
from vaelab.models import Autoencoder, Grid, build_autoencoder
from vaelab.models.causal_layers import CausalConv3d
from vaelab.probing.adversary import above, blurred, memory, score
from vaelab.probing.cell import claims_causality, examine_cell, first_frame_of
from vaelab.probing.clips import Part
from vaelab.probing.decoder import examine_decoder
from vaelab.probing.flat_field import flat_field
from vaelab.probing.gradients import histogram, shares_of
from vaelab.probing.latent import LatentSums, declared_scale, scaled_std
from vaelab.probing.statistics import interval, mean_interval
from vaelab.rules import ALL_RULES

values = st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=30)


# --- statistics -----------------------------------------------------------------------------------------------------------


@given(values, values)
@settings(max_examples=60, deadline=None)
def test_above_counts_pairs(a: list[float], b: list[float]) -> None:
    pairs = [1.0 if x > y else 0.5 if x == y else 0.0 for x in a for y in b]
    assert above(torch.tensor(a), torch.tensor(b)) == pytest.approx(sum(pairs) / len(pairs))


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=40))
@settings(max_examples=30, deadline=None)
def test_an_interval_holds_its_mean_and_lies_within_the_values(found: list[float]) -> None:
    got = mean_interval(np.array(found))
    assert got.value == pytest.approx(np.mean(found), abs=1e-9)
    assert min(found) - 1e-9 <= got.low <= got.high <= max(found) + 1e-9
    assert got.clips == len(found)


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    draw = np.random.default_rng(3)
    held = [got.low <= 2.0 <= got.high for got in (mean_interval(draw.normal(2.0, 1.0, 40)) for _ in range(60))]
    assert 50 <= sum(held) <= 60


def test_clips_of_one_file_do_not_count_as_many() -> None:
    draw = np.random.default_rng(0)
    files = np.repeat(np.arange(6), 20)
    found = draw.normal(0, 1, 6)[files] + draw.normal(0, 0.1, 120)
    alone, by_file = mean_interval(found), mean_interval(found, files)
    assert by_file.high - by_file.low > 2.5 * (alone.high - alone.low)
    assert mean_interval(found, np.zeros(120)).low == mean_interval(found, np.zeros(120)).value


def test_one_clip_has_no_interval() -> None:
    got = interval({"value": np.array([3.0])}, lambda rows: float(rows["value"].mean()))
    assert (got.low, got.high, got.clips) == (3.0, 3.0, 1)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=50))
@settings(max_examples=50, deadline=None)
def test_a_histogram_counts_every_norm_once(found: list[float]) -> None:
    assert sum(count for _, _, count in histogram(np.array(found))) == len(found)


def test_a_histogram_of_nothing_finite_is_empty() -> None:
    assert histogram(np.array([math.nan, math.inf, 0.0])) == []


def test_shares_are_means_of_shares_and_not_shares_of_means() -> None:
    shares = shares_of([{"pixel": 1.0, "GAN": 1.0}, {"pixel": 300.0, "GAN": 100.0}])
    assert shares == pytest.approx({"pixel": 0.625, "GAN": 0.375})


# --- latent ---------------------------------------------------------------------------------------------------------------


def sums(mean: torch.Tensor, logvar: torch.Tensor | None = None, batch: int = 3) -> LatentSums:
    found = LatentSums()
    for first in range(0, len(mean), batch):
        part = slice(first, first + batch)
        found.add(mean[part], None if logvar is None else logvar[part])
    return found


def test_the_sums_are_those_of_all_latents_at_once() -> None:
    torch.manual_seed(0)
    mean, logvar = torch.randn(10, 4, 2, 3, 3) * 2 + 1, torch.randn(10, 4, 2, 3, 3) - 2
    got = sums(mean, logvar).summary()
    by_channel = mean.double().transpose(0, 1).flatten(1)
    noise = logvar.double().exp().transpose(0, 1).flatten(1).mean(1)
    assert got.mean == pytest.approx(by_channel.mean(1).numpy())
    assert got.std == pytest.approx((by_channel.var(1, unbiased=False) + noise).sqrt().numpy())
    assert got.data_variance == pytest.approx(mean.double().var(0).mean((1, 2, 3)).numpy())
    nats = 0.5 * (mean.double().square() + logvar.double().exp() - 1 - logvar.double()).mean()
    assert got.whole_kl.value == pytest.approx(float(nats))
    whole = float((mean.double().var(unbiased=False) + logvar.double().exp().mean()).sqrt())
    assert got.whole_std.value == pytest.approx(whole)
    farthest = ((mean.double().transpose(0, 1).flatten(1) - by_channel.mean(1, keepdim=True)).abs().amax(1)).numpy()
    assert got.farthest == pytest.approx(farthest / got.std)


def test_a_pattern_that_every_clip_shares_is_dead_though_it_varies_over_places() -> None:
    torch.manual_seed(0)
    mean = torch.randn(16, 4, 1, 6, 6)
    mean[:, 1] = torch.randn(1, 1, 6, 6) * 3
    got = sums(mean, torch.full_like(mean, -4.0)).summary()
    assert got.dead.tolist() == [False, True, False, False]


def test_a_small_latent_without_noise_is_not_dead() -> None:
    torch.manual_seed(0)
    mean = torch.randn(16, 4, 1, 6, 6) * 0.03
    got = sums(mean, torch.full_like(mean, -20.0)).summary()
    assert not got.active.any() and not got.dead.any()
    drowned = sums(mean, torch.zeros_like(mean)).summary()
    assert drowned.dead.all()


def test_a_latent_without_posterior_has_no_noise_and_no_kl_share() -> None:
    got = sums(torch.randn(8, 2, 1, 4, 4)).summary()
    assert not got.has_posterior and got.share("floor") == 0 and not got.noise.any()


class Declares(nn.Module):
    def __init__(self, scaling_factor: float = 0.18215, latents_std: list[float] | None = None) -> None:
        super().__init__()
        self.config = {"scaling_factor": scaling_factor, "latents_std": latents_std}


def test_a_declared_scale_is_told_from_the_default_of_its_class() -> None:
    default, own = declared_scale(Declares()), declared_scale(Declares(0.5))
    assert default is not None and default[2] and own is not None and not own[2] and own[1].tolist() == [0.5]
    per_channel = declared_scale(Declares(latents_std=[2.0, 4.0]))
    assert per_channel is not None and per_channel[1].tolist() == [0.5, 0.25] and not per_channel[2]
    assert declared_scale(nn.Linear(1, 1)) is None


def test_a_per_channel_scale_is_judged_by_its_worst_channel() -> None:
    torch.manual_seed(0)
    got = sums(torch.randn(200, 2, 1, 4, 4) * torch.tensor([1.0, 3.0]).view(1, 2, 1, 1, 1)).summary()
    assert scaled_std(got, np.zeros(2), np.array([1.0, 1 / 3])) == pytest.approx(1, rel=0.05)
    assert scaled_std(got, np.zeros(2), np.array([1.0, 1.0])) == pytest.approx(3, rel=0.05)


# --- decoder --------------------------------------------------------------------------------------------------------------


class Doubles(nn.Module):
    """Exact: the latent is every other pixel of a picture made of squares of 2 x 2."""

    def __init__(self) -> None:
        super().__init__()
        self.keep, self.kept = False, torch.zeros(1)
        self.layer = nn.Conv2d(3, 3, 1, bias=False)
        nn.init.dirac_(self.layer.weight)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        if x.dim() != 4:
            raise ValueError("pictures only")
        self.kept = x
        return (x[..., ::2, ::2],)

    def decode(self, z: torch.Tensor) -> tuple[torch.Tensor]:
        x = z.repeat_interleave(2, -2).repeat_interleave(2, -1)
        return (self.layer(self.kept if self.keep and len(self.kept) == len(z) else x),)


def squares(clips: int = 4) -> torch.Tensor:
    torch.manual_seed(0)
    small = torch.rand(clips, 3, 1, 8, 8) * 2 - 1
    return small.repeat_interleave(2, -2).repeat_interleave(2, -1)


def test_an_exact_model_follows_its_latent_and_reaches_its_own_pixels_only() -> None:
    model = Autoencoder(Doubles(), 3)
    got = examine_decoder(model, [squares()])
    assert got.psnr.value == 100 and got.psnr_sample is None
    assert got.response.value == pytest.approx(1) and got.bypass.value == pytest.approx(0, abs=1e-6)
    # noise of a share s of the standard deviation: MSE s^2 var, in the range 2
    for row in got.noise[:4]:
        expected = 10 * math.log10(4 / (row.share**2 * float(squares()[..., ::2, ::2].var())))
        assert row.to_clean.value == pytest.approx(expected, abs=0.5)
    cell = examine_cell(model, squares())
    assert cell.own == (1, 2, 2) and cell.bulk == (1, 2, 2) and cell.extent == (1, 2, 2)
    assert cell.to_past is None and cell.encoder_to_past is None


class Patterned(Doubles):
    """Enlarges fourfold and adds a wave of its own, and light at the left border that reaches in."""

    def __init__(self, wave: torch.Tensor, light: float = 0.0) -> None:
        super().__init__()
        self.wave, self.light = wave, light

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        if x.dim() != 4:
            raise ValueError("pictures only")
        return (F.avg_pool2d(x, 4),)

    def decode(self, z: torch.Tensor) -> tuple[torch.Tensor]:
        x = self.layer(F.interpolate(z, scale_factor=4, mode="bilinear"))
        height, width = x.shape[-2:]
        x = x + self.wave.repeat(height // 4, width // 4)
        return (x + self.light * torch.exp(-torch.arange(width) / 6),)


@pytest.mark.parametrize("period", [2, 4])
@pytest.mark.parametrize("down", [False, True])
def test_a_grid_of_the_decoder_shows_on_a_flat_latent_with_its_period_and_height(period: int, down: bool) -> None:
    wave = 0.02 * torch.cos(2 * math.pi * torch.arange(4) / period)
    pattern = (wave[:, None] if down else wave[None, :]).expand(4, 4)
    for light in (0.0, 0.3):
        found = flat_field(Autoencoder(Patterned(pattern, light), 3), torch.tensor([0.5, -0.3, 0.0]), 1)
        assert found.period == period
        assert found.level == pytest.approx(127.5 * float(wave.square().mean().sqrt()), rel=0.02)


def test_a_sound_decoder_makes_a_flat_picture_and_light_at_a_border_is_no_grid() -> None:
    flat = flat_field(Autoencoder(Patterned(torch.zeros(4, 4)), 3), torch.tensor([0.5, -0.3, 0.0]), 1)
    assert flat.level < 1e-3 and flat.border < 1e-3 and flat.corner < 1e-3
    lit = flat_field(Autoencoder(Patterned(torch.zeros(4, 4), 0.3), 3), torch.tensor([0.5, -0.3, 0.0]), 1)
    assert lit.level < 0.1
    # the mean of the first four pixels of 0.3 exp(-x / 6), less what of it is left in the middle
    assert 25 < lit.border < 32 and 25 < lit.corner < 32


def test_pixels_that_have_weights_of_their_own_make_a_grid_and_enlarged_ones_none(video: Autoencoder) -> None:
    """The causal video model enlarges its patches; the same with a shuffle, as it once was, has a pattern of its patch."""
    found = flat_field(video, torch.ones(video.latent_channels), 2)
    assert found.level < 0.3
    shuffle = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2))
    torch.manual_seed(0)

    class Shuffled(Doubles):
        def decode(self, z: torch.Tensor) -> tuple[torch.Tensor]:
            return (shuffle(self.layer(z)),)

    grid = flat_field(Autoencoder(Shuffled(), 3), torch.ones(3), 1)
    assert grid.level > 1 and grid.period == 2


def test_a_picture_that_is_kept_beside_the_latent_is_found() -> None:
    module = Doubles()
    model = Autoencoder(module, 3)
    module.keep = True
    got = examine_decoder(model, [squares()])
    assert got.psnr.value == 100
    assert got.bypass.value > 1000 and got.response.value == 0


@pytest.fixture(scope="module")
def video() -> Autoencoder:
    torch.manual_seed(0)
    model = build_autoencoder(small_config(True, model=VIDEO_MODEL).model, 3)
    with torch.no_grad():
        for parameter in model.parameters():  # residual branches start at zero: they are to act
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def test_our_video_model_is_causal_exactly_and_its_cell_has_frames(video: Autoencoder) -> None:
    got = examine_cell(video, torch.randn(2, 3, 9, 8, 8))
    assert claims_causality(video.grid)
    assert got.to_past == 0 and got.encoder_to_past == 0 and got.first_frame == 0
    assert got.own == (2, 2, 2) and got.bulk[0] >= 2


def test_padding_on_both_sides_in_time_is_found(video: Autoencoder, monkeypatch: pytest.MonkeyPatch) -> None:
    real = CausalConv3d.forward

    def centred(self: CausalConv3d, x: torch.Tensor) -> torch.Tensor:
        if self.kernel_size[0] == 1 or x.shape[2] == 1:
            return real(self, x)
        x = torch.cat([x[:, :, :1], x, x[:, :, -1:]], dim=2)
        return nn.Conv3d.forward(self, x)

    monkeypatch.setattr(CausalConv3d, "forward", centred)
    got = examine_cell(video, torch.randn(2, 3, 9, 8, 8))
    assert got.to_past is not None and got.to_past > 0.01 and got.first_frame < 0
    assert got.encoder_to_past is not None and got.encoder_to_past > 0.01


def test_first_frames_of_latents() -> None:
    assert [first_frame_of(Grid(4, 8, 8), t) for t in range(4)] == [0, 1, 5, 9]
    assert [first_frame_of(Grid(4, 8, 8, first_frame_alone=False), t) for t in range(3)] == [0, 4, 8]


# --- discriminator --------------------------------------------------------------------------------------------------------


def test_blur_keeps_the_mean_and_takes_the_detail() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 2, 32, 32)
    soft = blurred(x)
    assert soft.shape == x.shape and float(soft.var()) < 0.1 * float(x.var())
    assert torch.allclose(blurred(torch.full((1, 1, 1, 8, 8), 0.3)), torch.full((1, 1, 1, 8, 8), 0.3))
    # frames and colours do not mix
    one = torch.zeros(1, 3, 2, 16, 16)
    one[0, 1, 1, 8, 8] = 1
    assert blurred(one)[0, 0].abs().sum() == blurred(one)[0, 1, 0].abs().sum() == 0


class Detail(nn.Module):
    """Scores the energy of neighbouring differences: high for sharp pictures."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.diff(dim=-1).square().mean((1, 2))[..., :-1, :] * 10 - 1


class Halves(nn.Module):
    """Keeps half of the contrast."""

    def forward(self, x: torch.Tensor, sample: bool, generator: torch.Generator) -> torch.Tensor:
        return type("Out", (), {"x": 0.5 * x})()  # type: ignore[return-value]


def test_scores_say_what_a_known_discriminator_tells_apart() -> None:
    torch.manual_seed(0)
    batches = [Part(torch.rand(4, 3, 1, 16, 16) * 2 - 1, np.arange(4 * i, 4 * i + 4)) for i in range(4)]
    got = score(Detail(), Halves(), batches, "hinge", False, torch.device("cpu"))  # type: ignore[arg-type]
    assert got.clips == 16
    assert got.tells().value > 0.8 and got.tells("blurred").value > got.tells().value
    assert got.gap().value > 0 and 0.5 < got.accuracy().value <= 1
    blind = score(Constant(), Halves(), batches, "hinge", False, torch.device("cpu"))  # type: ignore[arg-type]
    assert blind.tells().value == blind.tells("blurred").value == 0.5
    assert blind.loss == pytest.approx(np.ones(16))  # the chance level of the hinge


class Constant(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(x), 1, 4, 4)


def test_memory_is_the_gap_that_held_out_clips_lack() -> None:
    torch.manual_seed(0)
    batches = [Part(torch.rand(4, 3, 1, 16, 16) * 2 - 1, np.arange(4 * i, 4 * i + 4)) for i in range(4)]
    got = score(Detail(), Halves(), batches, "hinge", False, torch.device("cpu"))  # type: ignore[arg-type]
    assert memory(got, got).value == 0 and memory(got, got).low < 0
    knows = got._replace(real=got.real + 3)
    assert memory(knows, got).value == pytest.approx(3) and memory(knows, got).low > 0


# --- rules ----------------------------------------------------------------------------------------------------------------


def test_the_numbers_of_a_healthy_checkpoint_are_blamed_for_nothing() -> None:
    of_probe = [rule.code for rule in ALL_RULES if any(need.startswith("probe.") for need in rule.needs)]
    assert len(of_probe) >= 25
    found = diagnose(measured().run(), select=of_probe).findings
    assert {f.code for f in found} == {"KL232", "REC137"} and {f.severity for f in found} == {"info"}


@pytest.mark.parametrize(
    ("code", "just", "beyond"),
    [
        ("KL223", {"outlier_channels": 0, "largest_channel_std_ratio": 4.9}, {"outlier_channels": 1}),
        ("KL224", {"latent_max_over_std": 14}, {"latent_max_over_std": 16}),
        ("KL225", {"logvar_floor_share": 0.04}, {"logvar_floor_share": 0.06}),
        ("KL227", {"declared_scale_product": 1.2}, {"declared_scale_product": 1.3}),
        ("KL227", {"declared_scale_product": 1 / 1.2}, {"declared_scale_product": 1 / 1.3}),
        ("KL229", {"psnr_lost_by_sampling": 0.4}, {"psnr_lost_by_sampling": 0.6}),
        ("KL231", {"latent_gradient_share_kl": 0.45}, {"latent_gradient_share_kl": 0.55}),
        ("REC131", {"decoder_response": 0.03}, {"decoder_response": 0.01}),
        ("REC143", {"flat_level": 0.9}, {"flat_level": 1.1}),
        ("REC136", {"perceptual_gradient": 1e-3}, {"perceptual_gradient": 1e-7}),
        ("ADV331", {"disc_tells_fake_high": 0.6, "disc_tells_blurred_high": 0.75},
         {"disc_tells_fake_high": 0.6, "disc_tells_blurred_high": 0.65}),
        ("ADV332", {"disc_tells_fake_high": 0.75}, {"disc_tells_fake_high": 0.65}),
        ("ADV335", {"disc_gap_training": 3, "disc_memory_low": -0.1}, {"disc_gap_training": 3, "disc_memory_low": 0.1}),
        ("ADV336", {"gradient_share_gan": 0.75}, {"gradient_share_gan": 0.85}),
        ("ADV336", {"gradient_share_gan": 1e-3}, {"gradient_share_gan": 0.0}),
    ],
)  # fmt: skip
def test_a_rule_fires_beyond_its_limit_only(code: str, just: dict[str, float], beyond: dict[str, float]) -> None:
    assert not diagnose(measured(**just).run(), select=[code]).findings
    assert diagnose(measured(**beyond).run(), select=[code]).findings


def test_a_default_scale_factor_is_named_and_not_blamed() -> None:
    out = measured(default_scale_product=0.3)
    del out.measured["probe.declared_scale_product"]
    assert [f.severity for f in diagnose(out.run(), select=["KL227"]).findings] == ["info"]
