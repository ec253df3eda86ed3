"""Tracks: levels, changes for the worse and their certainty, in the units of each metric's error."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic_runs import decay, draft, lognormal
from vaelab.catalog.roles import Role
from vaelab.facts import infer
from vaelab.facts.errors import log_errors

ROWS = 200


def noise(scale: float, seed: int = 0) -> np.ndarray:
    return lognormal(np.random.default_rng(seed), scale, ROWS)


def track(name: str, values: np.ndarray):  # type: ignore[no-untyped-def]
    return infer(draft({name: values}).run()).tracks[name]


@pytest.mark.parametrize(
    ("role", "good", "bad", "ratio"),
    [
        (Role("reconstruction", better="down", standing="known"), 0.1, 0.3, 3.0),
        (Role("quality", "psnr", better="up", standing="known"), 30.0, 20.0, 10.0),
        (Role("quality", "ssim", better="up", standing="known"), 0.94, 0.6, 0.4 / 0.06),
        (Role("quality", "lpips", better="down", standing="known"), 0.1, 0.2, 2.0),
        (Role("codebook_usage", better="up", standing="known"), 500.0, 5.0, 100.0),
    ],
)
def test_an_error_is_measured_in_the_unit_of_its_metric(role: Role, good: float, bad: float, ratio: float) -> None:
    logs = log_errors(role, np.array([good, bad]))
    assert logs is not None and np.exp(logs[1] - logs[0]) == pytest.approx(ratio)


def test_what_has_no_direction_has_no_error() -> None:
    assert log_errors(Role("kl", better="none", standing="known"), np.array([1.0, 2.0])) is None
    assert log_errors(Role("reconstruction", better="down", standing="known"), np.array([-1.0, 2.0])) is None


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("scale", [0.01, 0.1, 0.4])
def test_a_loss_that_only_falls_has_not_become_worse(scale: float, seed: int) -> None:
    found = track("perceptual_loss", decay(ROWS, 1.0, 0.2, 6) * noise(scale, seed))
    assert not found.certain and found.shift is None
    assert found.improved > 3


def test_a_lasting_jump_has_its_step_size_and_stays() -> None:
    shift = track("perceptual_loss", 0.1 * noise(0.05) * np.where(np.arange(ROWS) < 120, 1, 3)).shift
    assert shift.step == 1200 and shift.before_step == 1190 and shift.lasting
    assert shift.ratio == pytest.approx(3, rel=0.1)


def test_a_jump_that_came_back_says_when() -> None:
    rows = np.arange(ROWS)
    found = track("perceptual_loss", 0.1 * noise(0.05) * np.where((rows >= 100) & (rows < 130), 4, 1))
    assert not found.shift.lasting and found.shift.step == 1000
    assert found.shift.back_step == pytest.approx(1300, abs=30)
    assert not found.certain


def test_a_slow_rise_is_dated_from_where_it_left_its_level() -> None:
    rows = np.arange(ROWS)
    found = track("perceptual_loss", 0.1 * noise(0.03) * np.exp(np.maximum(rows - 100, 0) / 60))
    assert found.certain and found.worse == pytest.approx(5, rel=0.2)
    assert 950 <= found.onset <= 1250


def test_a_total_has_a_direction_only_without_an_adversarial_term() -> None:
    rising = np.linspace(1, 3, ROWS)
    assert infer(draft({"total_loss": rising}).run()).tracks["total_loss"].worse == pytest.approx(2.9, rel=0.05)
    both = draft({"total_loss": rising, "g_loss": np.ones(ROWS)})
    assert infer(both.run()).tracks["total_loss"].worse is None


def test_a_track_says_when_it_jumped_and_what_it_cannot_show() -> None:
    rows = np.arange(ROWS)
    on = rows >= 100
    columns = {
        "rec_loss": decay(ROWS, 1.0, 0.2, 6) * noise(0.03) * np.where(rows >= 150, 3, 1),
        "perceptual_loss": 0.3 * noise(0.03, 1),
        "disc_loss": np.where(on, 1.0, 0.0) * noise(0.05, 2),
        "lr": np.where(rows < 3, 0.0, 1e-5),
    }
    columns["rec_loss"][[5, 6]] = np.nan
    out = draft(columns, decimals={"lr": 5}, logged={"rec_loss": np.ones(ROWS, np.bool_)})
    tracks = infer(out.run()).tracks
    shifts = [s for s in tracks["rec_loss"].shifts if s.step >= 1000]
    assert tracks["rec_loss"].before_gan == pytest.approx(0.2 + 0.8 * np.exp(-3), rel=0.05)
    assert [s.step for s in shifts] == [1500] and shifts[0].ratio == pytest.approx(3, rel=0.15)
    assert tracks["rec_loss"].non_finite == pytest.approx(0.01)
    assert tracks["lr"].unreadable and "lr" not in list(tracks)


def test_a_sudden_fall_beyond_a_convex_decay_is_one() -> None:
    rows = np.arange(ROWS)
    falls = track("perceptual_loss", decay(ROWS, 1.0, 0.2, 6) * noise(0.05) * np.where(rows < 120, 1, 0.4)).falls
    assert [f.step for f in falls if f.certainty > 0.999] == [1200]
    learning = track("perceptual_loss", decay(ROWS, 1.0, 0.02, 6) * noise(0.05)).falls
    assert not [f for f in learning if f.certainty > 0.999]
