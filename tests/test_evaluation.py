"""Scores of reconstructions have the values that theory gives, and validation leaves the model as it was."""

from __future__ import annotations

import math
from collections.abc import Iterable
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vaelab.data.types import Batch
from vaelab.evaluation import SCORES, baselines, pictures, validate, validation_table
from vaelab.evaluation.distances import frechet_distance, paired_feature_distance
from vaelab.evaluation.validation import PREDICTORS, blurred, constant, grey

CPU = torch.device("cpu")
SEEDS = st.integers(0, 2**31 - 1)
torch.set_num_threads(1)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def clip(seed: int = 0, frames: int = 3, size: int = 32, count: int = 2) -> torch.Tensor:
    """Coarse structure and fine texture, within [-0.8, 0.8]."""
    coarse = nn.functional.interpolate(noise(count * frames, 3, 4, 4, seed=seed), size=(size, size), mode="bilinear")
    x = coarse.unflatten(0, (count, frames)).transpose(1, 2) + 0.2 * noise(count, 3, frames, size, size, seed=seed + 1)
    return (0.3 * x).clamp(-0.8, 0.8)


def batches(x: torch.Tensor, size: int = 2) -> list[Batch]:
    pixels = pictures.to_uint8(x)
    return [Batch(part, ["clip"] * len(part), 0) for part in pixels.split(size)]


class Model(nn.Module):
    """Adds ``offset`` to its input; notes how it was called."""

    def __init__(self, offset: float = 0.1) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(offset))
        self.frozen = nn.Dropout().eval()
        self.seen: list[tuple[bool, bool, bool]] = []

    def forward(self, x: torch.Tensor, sample: bool = True) -> SimpleNamespace:
        self.seen.append((self.training, sample, torch.is_grad_enabled()))
        return SimpleNamespace(x=x + self.offset)


class Absolute(nn.Module):
    """Stands for a perceptual network: mean absolute difference of a frame."""

    def forward(self, x: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        return (x - r).abs().mean((1, 3, 4)).flatten()


# --- scores of a clip


@pytest.mark.parametrize("sigma", [0.02, 0.1])
def test_psnr_of_noise_is_that_of_its_variance(sigma: float) -> None:
    x = noise(2, 3, 4, 32, 32).mul(0.1).clamp(-0.4, 0.4)
    r = x + sigma * noise(*x.shape, seed=1)
    assert pictures.psnr(x, r) == pytest.approx(10 * math.log10(4 / sigma**2), abs=0.15)


def test_identical_clips_have_the_largest_psnr_and_no_error() -> None:
    x = clip()
    assert pictures.psnr(x, x).tolist() == [100.0, 100.0]
    assert pictures.ssim(x, x) == pytest.approx(1)
    assert pictures.explained_variance(x, x).tolist() == [1, 1]
    assert pictures.high_frequency_ratio(x, x) == pytest.approx(1)
    assert pictures.flickering(x, x).tolist() == pictures.colour_shift(x, x).tolist() == [0, 0]


def test_what_is_shown_is_clamped_and_what_a_loss_sees_is_not() -> None:
    x = torch.ones(1, 3, 2, 12, 12)
    assert pictures.psnr(x, x + 5).item() == 100
    assert pictures.ssim(x, x + 5).item() == pytest.approx(1)
    assert pictures.mse(x, x + 5).item() == 25
    assert pictures.colour_shift(x, x + 5).item() == pictures.flickering(x, x + 5).item() == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_not_taken_for_white(bad: float) -> None:
    x = torch.ones(2, 3, 2, 16, 16)
    r = x.clone()
    r[1, 0, 1, 5, 5] = bad
    good, broken = pictures.psnr(x, r).tolist()
    assert good == 100
    assert math.isnan(broken)


@given(a=st.floats(-1, 1), b=st.floats(-1, 1))
def test_ssim_of_plain_pictures_is_its_luminance_term_on_0_to_1(a: float, b: float) -> None:
    x, r = torch.full((1, 1, 1, 12, 12), a), torch.full((1, 1, 1, 12, 12), b)
    first, second = (a + 1) / 2, (b + 1) / 2
    expected = (2 * first * second + 0.01**2) / (first**2 + second**2 + 0.01**2)
    assert pictures.ssim(x, r).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shape", [(1, 3, 2, 24, 24), (1, 1, 2, 11, 40), (2, 3, 1, 23, 17)])
def test_ssim_is_that_of_torchmetrics_inside_the_picture(shape: tuple[int, ...]) -> None:
    image = pytest.importorskip("torchmetrics.functional.image")
    x, r = noise(*shape).mul(0.4).clamp(-1, 1), noise(*shape, seed=1).mul(0.4).clamp(-1, 1)
    r = 0.7 * x + 0.3 * r
    frames = [((clip.double() + 1) / 2).transpose(1, 2).flatten(0, 1) for clip in (r, x)]
    _, full = image.structural_similarity_index_measure(
        *frames, data_range=1.0, reduction="none", return_full_image=True
    )
    values = full[..., 5:-5, 5:-5].mean((1, 2, 3))  # the original leaves out borders where the window hangs over
    assert pictures.ssim(x, r).tolist() == pytest.approx(values.view(shape[0], -1).mean(1).tolist(), abs=1e-6)


def test_ssim_needs_eleven_pixels() -> None:
    assert pictures.ssim(*(clip(size=10),) * 2).isnan().all()
    assert pictures.ssim(*(clip(size=11),) * 2).isfinite().all()


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS)
def test_the_mean_colour_explains_nothing_and_the_rest_follows_the_error(seed: int) -> None:
    x = clip(seed % 1000)
    assert pictures.explained_variance(x, constant(x)) == pytest.approx(0, abs=1e-5)
    share = 0.3  # an error of this share of the deviation leaves 1 - share^2
    r = x + share * (x - constant(x))
    assert pictures.explained_variance(x, r) == pytest.approx(1 - share**2, abs=1e-4)


def test_a_clip_of_one_colour_has_no_variance_to_explain_and_no_detail() -> None:
    x = torch.full((1, 3, 2, 16, 16), 0.3)
    assert pictures.explained_variance(x, x + 0.1).isnan().all()
    assert pictures.high_frequency_ratio(x, x + 0.1 * noise(*x.shape)).isnan().all()


@pytest.mark.parametrize("size", [(32, 32), (17, 40)])
def test_high_frequency_energy_of_white_noise_is_its_variance(size: tuple[int, int]) -> None:
    assert pictures.high_frequency_energy(0.2 * noise(4, 3, 8, *size)) == pytest.approx(0.04, rel=0.1)


@pytest.mark.parametrize(("cycles", "high"), [(0.21, False), (0.29, True)])
@pytest.mark.parametrize("across", [True, False])
def test_high_frequency_begins_at_half_the_nyquist_frequency(cycles: float, high: bool, across: bool) -> None:
    wave = torch.sin(2 * math.pi * cycles * torch.arange(64.0)).expand(64, 64)
    x = (wave if across else wave.T).expand(1, 1, 1, 64, 64)
    energy = pictures.high_frequency_energy(x).item()
    assert (energy > 0.1) is high
    assert high or energy < 1e-2


def test_blur_lowers_the_high_frequency_ratio_and_noise_raises_it() -> None:
    x = clip()
    assert (pictures.high_frequency_ratio(x, blurred(x)) < 0.1).all()
    assert (pictures.high_frequency_ratio(x, x + 0.1 * noise(*x.shape, seed=5)) > 1.5).all()


def test_flicker_is_the_change_of_the_error() -> None:
    x = clip(frames=4)
    still = 0.03 * noise(2, 3, 1, 32, 32, seed=3)
    assert pictures.flickering(x, x + still) == pytest.approx(0, abs=1e-6)
    jitter = torch.tensor([0.0, 0.1, 0.0, 0.1]).view(1, 1, 4, 1, 1)
    assert pictures.flickering(x, x + jitter) == pytest.approx(0.1, abs=1e-6)
    frozen = x[:, :, :1].expand_as(x)  # a frozen reconstruction misses the whole motion
    assert pictures.flickering(x, frozen).tolist() == pytest.approx(x.diff(dim=2).abs().mean((1, 2, 3, 4)).tolist())


def test_one_frame_has_no_flicker() -> None:
    assert pictures.flickering(clip(frames=1), clip(seed=9, frames=1)).isnan().all()


def test_colour_shift_is_the_largest_of_the_channels() -> None:
    x = clip()
    r = x + torch.tensor([0.02, -0.1, 0.05]).view(1, 3, 1, 1, 1)
    assert pictures.colour_shift(x, r) == pytest.approx(0.1, abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS)
def test_frames_and_channels_may_be_reordered(seed: int) -> None:
    x, r = clip(seed % 1000), clip(seed % 1000 + 7)
    order = torch.randperm(3, generator=torch.Generator().manual_seed(seed))
    for score in (pictures.psnr, pictures.ssim, pictures.explained_variance, pictures.high_frequency_ratio):
        assert score(x[:, :, order], r[:, :, order]) == pytest.approx(score(x, r), rel=1e-4)
        assert score(x[:, order], r[:, order]) == pytest.approx(score(x, r), rel=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_scores_take_grey_pictures_and_half_precision(channels: int) -> None:
    x = clip()[:, :channels]
    r = (x + 0.05).bfloat16()
    for score in (
        pictures.psnr,
        pictures.ssim,
        pictures.explained_variance,
        pictures.flickering,
        pictures.colour_shift,
    ):
        value = score(x, r)
        assert value.shape == (2,)
        assert value.dtype == torch.float32


def test_pixels_survive_the_way_there_and_back() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 1, 16, 16)
    assert torch.equal(pictures.to_uint8(pictures.from_uint8(pixels)), pixels)
    assert pictures.from_uint8(pixels).aminmax() == (-1, 1)


# --- validation


def test_validation_gives_every_score_of_a_known_error() -> None:
    x = clip(count=4)
    scores = validate(Model(0.1), batches(x), Absolute(), CPU)
    assert set(scores) == {*SCORES, "n", "non_finite"}
    assert scores["n"] == 4
    assert scores["non_finite"] == 0
    assert scores["psnr"] == pytest.approx(10 * math.log10(4 / 0.01), abs=1e-3)
    assert scores["rec_mse"] == pytest.approx(0.01, rel=1e-4)
    assert scores["lpips"] == pytest.approx(0.1, rel=1e-4)
    assert scores["colour_shift"] == pytest.approx(0.1, rel=1e-4)
    assert scores["hf_ratio"] == pytest.approx(1, abs=1e-4)
    assert scores["flickering"] == pytest.approx(0, abs=1e-6)
    seen = pictures.from_uint8(pictures.to_uint8(x))
    assert scores["explained_variance"] == pytest.approx(1 - 0.01 / pictures.variance(seen).mean().item(), rel=1e-4)


@pytest.mark.parametrize("size", [1, 3])
def test_scores_do_not_depend_on_the_batches(size: int) -> None:
    x = clip(count=4)
    whole, parts = (validate(Model(), batches(x, n), Absolute(), CPU) for n in (4, size))
    assert parts == pytest.approx(whole, rel=1e-5, abs=1e-7)


def test_the_model_runs_in_eval_mode_on_the_mean_without_gradient() -> None:
    model = Model()
    validate(model, batches(clip()), None, CPU)
    assert model.seen == [(False, False, False)]


@pytest.mark.parametrize("mode", [True, False])
def test_each_part_of_the_model_gets_its_own_mode_back(mode: bool) -> None:
    model = Model()
    model.training = mode
    validate(model, batches(clip()), None, CPU)
    assert (model.training, model.frozen.training) == (mode, False)


def test_the_mode_is_restored_after_an_error() -> None:
    def broken() -> Iterable[Batch]:
        yield from batches(clip())
        raise OSError("disk")

    model = Model().train()
    model.frozen.eval()
    with pytest.raises(OSError, match="disk"):
        validate(model, broken(), None, CPU)
    assert (model.training, model.frozen.training) == (True, False)


def test_validation_uses_no_random_numbers_of_the_training() -> None:
    before = torch.get_rng_state()
    validate(Model(), batches(clip()), Absolute(), CPU)
    baselines(batches(clip()), Absolute(), CPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_tensor_kept_by_the_model_can_be_used_in_training() -> None:
    class Keeping(Model):
        mask: torch.Tensor | None = None

        def forward(self, x: torch.Tensor, sample: bool = True) -> SimpleNamespace:
            if self.mask is None:
                self.mask = torch.ones(x.shape[-1])
            return SimpleNamespace(x=x * self.offset * self.mask)

    model = Keeping()
    validate(model, batches(clip()), None, CPU)
    model(clip()).x.sum().backward()
    assert model.offset.grad is not None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_broken_reconstruction_is_counted_and_hides_behind_no_mean(bad: float) -> None:
    class Broken(Model):
        def forward(self, x: torch.Tensor, sample: bool = True) -> SimpleNamespace:
            self.seen.append((False, False, False))
            r = x.clone()
            if len(self.seen) != 1:  # the second and the third batch lose one of their two samples
                r[0, 0, 0, 0, 0] = bad
            return SimpleNamespace(x=r)

    scores = validate(Broken(), batches(clip(count=6)), Absolute(), CPU)
    assert (scores["n"], scores["non_finite"]) == (6, 2)
    assert all(math.isnan(scores[name]) for name in SCORES)


def test_without_perceptual_network_there_is_no_lpips() -> None:
    assert set(validate(Model(), batches(clip()), None, CPU)) == {*SCORES, "n", "non_finite"} - {"lpips"}


def test_no_samples_give_no_scores() -> None:
    scores = validate(Model(), [], Absolute(), CPU)
    assert scores["n"] == 0
    assert math.isnan(scores["psnr"])


def test_autocast_reaches_the_model_and_not_the_scores() -> None:
    class Linear(Model):
        def forward(self, x: torch.Tensor, sample: bool = True) -> SimpleNamespace:
            y = x @ torch.eye(x.shape[-1])
            self.kind = y.dtype
            return SimpleNamespace(x=y)

    for dtype, expected in ((torch.bfloat16, torch.bfloat16), (torch.float32, torch.float32), (None, torch.float32)):
        model = Linear()
        scores = validate(model, batches(clip()), None, CPU, dtype)
        assert model.kind == expected
        assert scores["psnr"] > 45


def test_one_nearly_flat_clip_does_not_outweigh_the_others() -> None:
    x = clip(count=2)
    x[1] = 0.05 * x[1]
    assert pictures.explained_variance(x, x + 0.1)[1] < -50
    assert validate(Model(0.1), batches(x), None, CPU)["explained_variance"] > 0


def test_images_have_every_score_but_flicker() -> None:
    scores = validate(Model(), batches(clip(frames=1)), Absolute(), CPU)
    assert [name for name in SCORES if math.isnan(scores[name])] == ["flickering"]


# --- baselines


def test_baselines_have_their_known_scores() -> None:
    x = clip(count=3)
    scores = baselines(batches(x), Absolute(), CPU)
    assert list(scores) == list(PREDICTORS)
    assert scores["constant"]["explained_variance"] == pytest.approx(0, abs=1e-6)
    assert scores["grey"]["rec_mse"] == pytest.approx(x.square().mean().item(), rel=1e-2)
    assert scores["blurred"]["psnr"] > scores["constant"]["psnr"] > scores["grey"]["psnr"]
    assert scores["blurred"]["hf_ratio"] < 0.1
    assert scores["constant"]["hf_ratio"] == pytest.approx(0, abs=1e-6)
    assert all(row["n"] == 3 for row in scores.values())


def test_baselines_read_the_batches_once() -> None:
    assert baselines(iter(batches(clip(count=4))), None, CPU)["grey"]["n"] == 4


@pytest.mark.parametrize("size", [(5, 7), (8, 20), (16, 16)])
def test_the_blurred_predictor_keeps_shape_and_plain_colours(size: tuple[int, int]) -> None:
    x = noise(2, 1, 2, 1, 1).expand(2, 1, 2, *size)
    assert torch.allclose(blurred(x), x, atol=1e-6)
    assert grey(x).abs().max() == 0


# --- table


def test_the_table_sets_model_and_baselines_side_by_side() -> None:
    raw = validate(Model(), batches(clip()), Absolute(), CPU)
    text = validation_table({"raw": raw, "EMA": raw} | baselines(batches(clip()), Absolute(), CPU), "stlpips-vgg")
    head, rule, *rest = text.splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")] == ["score", "better", "raw", "EMA", *PREDICTORS]
    assert len({len(line) for line in (head, rule, *rest[: len(SCORES)])}) == 1
    assert "| psnr (dB)" in text
    assert f"{raw['psnr']:.2f}" in text
    assert f"{raw['colour_shift'] * 127.5:.2f}" in text
    assert "(here stlpips-vgg)" in text
    assert "Held-out samples: 2." in text
    for name in SCORES:
        assert f"\n- {name}: " in text


def test_the_table_says_which_model_is_broken_and_leaves_out_what_nobody_has() -> None:
    rows = {"raw": {"psnr": math.nan, "n": 4.0, "non_finite": 3.0}, "EMA": {"psnr": 20.0, "n": 4.0, "non_finite": 0.0}}
    text = validation_table(rows)
    assert "NaN" in text
    assert "raw: the output of 3 of 4 samples held NaN or infinity" in text
    assert "ssim" not in text
    assert "EMA:" not in text


def test_clips_of_one_colour_explain_nothing_in_the_mean_either() -> None:
    scores = validate(Model(), batches(torch.full((2, 3, 2, 16, 16), 0.3)), None, CPU)
    assert [name for name in SCORES if math.isnan(scores.get(name, 0))] == ["explained_variance", "hf_ratio"]


def test_a_table_of_nothing_is_still_a_table() -> None:
    assert "Held-out samples: none." in validation_table({})


# --- distances of features


def gaussian(rows: int, width: int, seed: int, scale: float = 1.0) -> torch.Tensor:
    return scale * noise(rows, width, seed=seed).double()


def test_frechet_distance_of_a_shift_and_of_a_scale_is_known() -> None:
    x = gaussian(50, 8, 0)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(x, x + 2) == pytest.approx(4 * 8)
    spread = x.var(0).sum().item()  # of 3 x the deviation: (3 - 1)^2 of the variance, if the means agree
    assert frechet_distance(x - x.mean(0), 3 * (x - x.mean(0))) == pytest.approx(4 * spread)


def test_frechet_distance_of_independent_columns_is_that_of_their_deviations() -> None:
    basis = torch.linalg.qr(gaussian(40, 6, 1) - gaussian(40, 6, 1).mean(0)).Q  # orthonormal columns of mean 0
    first, second = (torch.tensor(s, dtype=torch.float64) for s in ([1.0, 2, 3, 4, 5, 6], [2.0, 2, 1, 7, 0, 3]))
    expected = (first - second).square().sum().item() / 39
    assert frechet_distance(basis * first, basis * second) == pytest.approx(expected)


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS, rows=st.integers(2, 30), width=st.integers(1, 12))
def test_frechet_distance_agrees_with_the_square_root_of_a_matrix(seed: int, rows: int, width: int) -> None:
    x, y = gaussian(rows, width, seed), gaussian(rows + 3, width, seed + 1, 2.0)
    cov_x, cov_y = (torch.cov(f.T).view(width, width) for f in (x, y))
    root = torch.linalg.eigvals(cov_x @ cov_y).real.clamp(min=0).sqrt().sum()
    expected = (x.mean(0) - y.mean(0)).square().sum() + cov_x.trace() + cov_y.trace() - 2 * root
    assert frechet_distance(x, y) == pytest.approx(expected.item(), rel=1e-5, abs=1e-5)
    assert frechet_distance(y, x) == pytest.approx(frechet_distance(x, y))


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS, rows=st.integers(2, 20), width=st.integers(1, 12))
def test_the_paired_distance_is_never_below_frechets(seed: int, rows: int, width: int) -> None:
    x, y = gaussian(rows, width, seed), gaussian(rows, width, seed + 1)
    assert paired_feature_distance(x, y) * rows / (rows - 1) >= frechet_distance(x, y) - 1e-9
    assert paired_feature_distance(x, x) == 0


def test_few_samples_of_one_distribution_look_far_apart() -> None:
    few, many = (frechet_distance(gaussian(n, 64, 1), gaussian(n, 64, 2)) for n in (16, 1024))
    assert few > 5 * many


def test_a_distance_of_too_few_or_unequal_features_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 rows"):
        frechet_distance(torch.zeros(1, 4), torch.zeros(5, 4))
    with pytest.raises(ValueError, match="one shape"):
        paired_feature_distance(torch.zeros(2, 4), torch.zeros(3, 4))
