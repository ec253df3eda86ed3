"""Units: the arithmetic sheet of the domain criteria (1.2), declared shapes, bounds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthetic_runs import draft, healthy
from vaelab.facts import Facts, infer


def facts(columns: dict[str, Any], trainer: str, config: dict[str, Any] | None = None, format: str = "csv") -> Facts:
    out = draft(columns)
    out.trainer, out.format, out.config = trainer, format, config or {}
    return infer(out.run())


@pytest.mark.parametrize(
    ("mse", "db"),
    [
        (0.0011, 35.6), (0.0015, 34.3), (0.0025, 32.0), (0.0033, 30.8), (0.0050, 29.0), (0.0069, 27.6), (0.0119, 25.3),
        (0.0205, 22.9), (0.0243, 22.2), (0.0314, 21.1), (0.05, 19.0), (0.1, 16.0), (0.001, 36.0), (0.0001, 46.0),
    ],
)  # fmt: skip
def test_psnr_of_the_arithmetic_sheet(mse: float, db: float) -> None:
    scales = facts({"rec_loss": [mse] * 3}, "pyramid_flow").scales
    assert scales.psnr_exact
    assert scales.psnr(mse) == pytest.approx(db, abs=0.06)


def test_psnr_is_lower_by_6_db_on_inputs_of_width_1() -> None:
    wide = facts({"rec_loss": [0.01] * 3}, "pyramid_flow").scales
    narrow = facts({"rec_loss": [0.01] * 3}, "pyramid_flow", {"input_range": "0,1"}).scales
    a, b = wide.psnr(0.01), narrow.psnr(0.01)
    assert a is not None and b is not None and a - b == pytest.approx(6.02, abs=0.01)


@pytest.mark.parametrize("trainer", ["radiodiff", "ldm", "unknown"])
def test_psnr_is_not_claimed_where_rec_is_not_an_mse_of_known_range(trainer: str) -> None:
    scales = facts({"rec_loss": [0.04] * 3, "total_loss": [0.04] * 3}, trainer).scales
    assert not scales.psnr_exact and scales.psnr(0.04) is None


def test_no_psnr_of_zero_or_below() -> None:
    scales = facts({"rec_loss": [0.01] * 3}, "pyramid_flow").scales
    assert scales.psnr(0.0) is None and scales.psnr(-1.0) is None and scales.psnr(math.nan) is None


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=60), st.floats(0, 1))
@settings(max_examples=80, deadline=None)
def test_bounds_hold_for_any_errors(errors: list[float], lpips: float) -> None:
    """MSE <= c x rec_loss whatever the errors in [-2, 2] and the (non-negative) perceptual part are."""
    e = np.array(errors)
    mse = float(np.mean(e**2))
    radiodiff = facts({"rec_loss": [0.5] * 3, "total_loss": [1.0] * 3}, "radiodiff").scales.mse_bound
    ldm = facts({"rec_loss": [0.5] * 3, "total_loss": [1.0] * 3}, "ldm").scales.mse_bound
    assert radiodiff is not None and ldm is not None
    assert mse <= radiodiff * float(np.mean(np.abs(e) + e**2) + lpips) * (1 + 1e-12)
    assert mse <= ldm * float(np.mean(np.abs(e)) + lpips) * (1 + 1e-12)


def test_the_bound_of_radiodiff_figures() -> None:
    scales = facts({"rec_loss": [0.04] * 3, "total_loss": [2674.0] * 3}, "radiodiff").scales
    assert scales.mse_bound == pytest.approx(2 / 3)
    assert scales.psnr_bound(0.04) == pytest.approx(10 * math.log10(4 / (0.04 * 2 / 3)))


# --- KL -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kl", "nats"), [(37881, 12.33), (500, 0.163), (36706, 11.95)])
def test_pyramid_flow_nats_per_element(kl: float, nats: float) -> None:
    found = facts({"kl_loss": [kl] * 3, "rec_loss": [0.01] * 3}, "pyramid_flow", {"clip_shape": "17,256,256"})
    assert found.scales.latent is not None and found.scales.latent.shape == (16, 3, 32, 32)
    assert found.scales.nats_per_element(kl) == pytest.approx(nats, abs=0.006)
    assert found.scales.kl_nats_total == pytest.approx(16 * kl)


@pytest.mark.parametrize(("kl", "nats"), [(17692, 1.44), (128622, 10.47), (133000, 10.82), (138430, 11.27)])
def test_radiodiff_nats_per_element(kl: float, nats: float) -> None:
    rec = np.array([0.53, 0.1, 0.04])
    out = {"kl_loss": [kl] * 3, "rec_loss": rec, "nll_loss": 65536 * rec}
    scales = facts(out, "radiodiff", format="radiodiff_log").scales
    assert scales.latent is not None and scales.latent.shape == (3, 64, 64)
    assert scales.nats_per_element(kl) == pytest.approx(nats, abs=0.006)


@pytest.mark.parametrize(("trainer", "kl"), [("pyramid_flow", 37859.0), ("ldm", 605745.0), ("vaelab", 12.324)])
def test_one_posterior_under_three_conventions_is_one_number(trainer: str, kl: float) -> None:
    """[exp 3] of the criteria: mu std 3.1, logvar -16, latent 16x3x32x32."""
    # the setting of vaelab train; the others have one reduction each
    config = {"latent_shape": "16x3x32x32", "kl_reduction": "mean"}
    scales = facts({"kl_loss": [kl] * 3}, trainer, config).scales
    assert scales.nats_per_element(kl) == pytest.approx(12.32, abs=0.01)


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        ({"latent_shape": "8x5x16x16"}, (8, 5, 16, 16)),
        ({"latent_shape": [4, 32, 32]}, (4, 32, 32)),
        ({"clip_shape": "33,512,256"}, (16, 5, 64, 32)),
        ({"clip_shape": "17,256,256", "compression": "4,8,8"}, (16, 5, 32, 32)),
        ({"clip_shape": "17,256,256", "compression": "8,16,16"}, (16, 3, 16, 16)),
        ({"clip_shape": "17,256,256", "compression": "4,8,8", "latent_channels": 4}, (4, 5, 32, 32)),
        ({"resolution": 128, "max_frames": 9}, (16, 2, 16, 16)),
    ],
)
def test_declared_shapes_override_the_defaults(config: dict[str, Any], shape: tuple[int, ...]) -> None:
    latent = facts({"kl_loss": [500.0] * 3}, "pyramid_flow", config).scales.latent
    assert latent is not None and latent.shape == shape


def test_a_declared_latent_is_not_bounded_and_an_assumed_clip_is() -> None:
    declared = facts({"kl_loss": [500.0] * 3}, "pyramid_flow", {"latent_shape": "16x3x32x32"}).scales.latent
    assumed = facts({"kl_loss": [500.0] * 3}, "pyramid_flow").scales.latent
    assert declared is not None and declared.standing == "declared"
    assert assumed is not None and assumed.standing == "bounded" and "17 frames" in assumed.how


def test_without_shapes_the_kl_cannot_be_judged_and_the_fact_says_what_to_declare() -> None:
    found = facts({"kl_loss": [500.0] * 3}, "unknown")
    (fact,) = [f for f in found.statements if f.name == "kl_per_element"]
    assert fact.standing == "cannot-tell" and "--latent" in fact.text


@pytest.mark.parametrize("bad", ["abc", "16x", [], None, "3", [1, 2], {"a": 1}, 7, True, "0x0x0"])
def test_odd_declared_shapes_are_left_aside(bad: Any) -> None:
    for key in ("latent_shape", "clip_shape", "compression", "input_range"):
        infer_ok = facts({"kl_loss": [500.0] * 3, "rec_loss": [0.1] * 3}, "pyramid_flow", {key: bad})
        assert infer_ok.scales.latent is None or all(d >= 1 for d in infer_ok.scales.latent.shape)


# --- effective beta -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kl_weight", "pixel", "beta"),
    [
        (1e-4, 10, 2.09),
        (1e-4, 1, 20.9),
        (1e-6, 10, 0.0209),
        (1e-6, 1, 0.209),
        (1e-12, 10, 2.09e-8),
        (1e-12, 1, 2.09e-7),
    ],
)
def test_effective_beta_of_pyramid_flow(kl_weight: float, pixel: float, beta: float) -> None:
    config = {"kl_weight": kl_weight, "pixelloss_weight": pixel, "clip_shape": "17,256,256"}
    scales = facts({"kl_loss": [500.0] * 3, "rec_loss": [0.01] * 3}, "pyramid_flow", config).scales
    assert scales.effective_beta == pytest.approx(beta, rel=0.002)
    assert scales.clip_elements == 3 * 17 * 256 * 256 and not scales.clip_assumed


def test_effective_beta_of_sum_reduced_trainers_is_the_weight() -> None:
    for system in ("ldm", "radiodiff"):
        assert infer(healthy(system).run()).scales.effective_beta == pytest.approx(1e-6)


def test_without_a_declared_clip_the_size_is_marked_as_assumed() -> None:
    config = {"kl_weight": 1e-4, "pixelloss_weight": 10.0}
    found = facts({"kl_loss": [500.0] * 3, "rec_loss": [0.01] * 3}, "pyramid_flow", config)
    assert found.scales.clip_assumed and found.scales.effective_beta == pytest.approx(2.09, rel=0.002)
    (fact,) = [f for f in found.statements if f.name == "effective_beta"]
    assert fact.standing == "bounded"
