"""Phases of runs whose schedule is known: warm-up, GAN start and its unit, shock and recovery, resume, decay."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthetic_runs import Draft, draft, healthy, lognormal, resumed, warm_up_then_cosine
from vaelab.facts import Facts, infer
from vaelab.run import Event


def schedule(lr: Any, every: int = 10, config: dict[str, Any] | None = None) -> Facts:
    rows = len(lr)
    rec = 0.1 * lognormal(np.random.default_rng(0), 0.1, rows)
    return infer(draft({"lr": lr, "rec_loss": rec}, every, config=config or {}).run())


# --- warm-up ----------------------------------------------------------------------------------------------------------------


@given(rows=st.integers(150, 400), share=st.floats(0.08, 0.9), peak=st.sampled_from([1e-5, 1e-4, 3e-4, 2e-3]))
@settings(max_examples=13, deadline=None)
def test_a_linear_warm_up_has_its_length_peak_and_shape(rows: int, share: float, peak: float) -> None:
    warm_up = schedule(warm_up_then_cosine(rows, peak, share)).phases.warm_up
    assert warm_up is not None and warm_up.end_step is not None
    end = share * (rows - 1) * 10
    assert abs(warm_up.end_step - end) <= 0.03 * end + 20
    assert warm_up.peak == pytest.approx(peak, rel=0.03)
    assert warm_up.first == 0 and warm_up.shape == "linear"


def test_a_curved_warm_up_is_called_curved() -> None:
    t = np.linspace(0, 1, 100)
    rate = 1e-4 * np.where(t < 0.5, (t / 0.5) ** 3, 1.0)
    warm_up = schedule(rate).phases.warm_up
    assert warm_up is not None and warm_up.shape == "curved"


def test_a_warm_up_that_still_rises_has_no_end_and_keeps_the_plan() -> None:
    found = schedule(np.linspace(0, 2e-5, 50), config={"lr": 1e-4, "warmup_steps": 2000})
    warm_up = found.phases.warm_up
    assert warm_up is not None and warm_up.end_step is None
    assert warm_up.peak == 1e-4 and warm_up.planned == 2000
    assert [p.kind for p in found.phases.phases] == ["warm-up"]


@pytest.mark.parametrize(
    "rate",
    [
        np.full(60, 1e-4),
        warm_up_then_cosine(60, 1e-4, 0.0),
        np.r_[np.linspace(1e-4, 1e-5, 50), np.full(10, 1e-3)],
        np.zeros(60),
        np.r_[np.full(30, 1e-5), np.full(30, 1e-4)],
    ],
    ids=["constant", "decay", "late-jump", "zero", "step"],
)
def test_what_is_no_warm_up(rate: Any) -> None:
    assert schedule(rate).phases.warm_up is None or rate[0] == 1e-5


# --- GAN --------------------------------------------------------------------------------------------------------------------


@given(
    st.sampled_from(["pyramid_flow", "radiodiff", "ldm", "unknown"]), st.floats(0.1, 0.9), st.integers(1, 50),
    st.integers(0, 100), st.booleans(),
)  # fmt: skip
@settings(max_examples=13, deadline=None)
def test_the_gan_start_lies_between_the_last_row_without_and_the_first_with(
    system: str, at: float, every: int, seed: int, declared: bool
) -> None:
    out = healthy(system, seed, rows=100, every=every, gan_at=at)
    first = int(at * 100)
    if not declared:
        out.config.pop("disc_start", None)
    gan = infer(out.run()).phases.gan
    assert gan.state == "active" and gan.before_step is not None and gan.start_step is not None
    assert gan.before_step < first * every <= gan.start_step <= first * every
    assert gan.before_step == (first - 1) * every and gan.start_row == first
    assert gan.unit_ratio is None


@given(st.integers(1, 19))
@settings(max_examples=10, deadline=None)
def test_a_declared_start_between_two_rows_is_taken(offset: int) -> None:
    out = healthy("pyramid_flow", 0, rows=100, every=20)
    out.config["disc_start"] = 49 * 20 + offset
    gan = infer(out.run()).phases.gan
    assert gan.start_step == 49 * 20 + offset and gan.before_step == 980 and gan.start_row == 50


@pytest.mark.parametrize("factor", [2, 4])
def test_a_start_counted_in_optimizer_steps_has_its_factor(factor: int) -> None:
    out = healthy("ldm", 0, rows=200, every=50)
    out.config["disc_start"] = factor * int(out.steps[100]) + 1 - factor
    gan = infer(out.run()).phases.gan
    assert gan.state == "active" and gan.unit_ratio == factor
    assert gan.start_step == int(out.steps[100])


def test_a_start_that_lies_ahead_is_scheduled() -> None:
    out = healthy("radiodiff", 0, gan_at=0.9).head(100)
    out.columns["disc_factor"] = np.zeros(100)
    found = infer(out.run())
    assert found.phases.gan.state == "scheduled" and found.phases.gan.planned_step == out.config["disc_start"]
    assert found.adversary is None
    assert found.progress.milestone == ("GAN start", out.config["disc_start"])


def test_a_start_beyond_the_plan_never_comes() -> None:
    out = healthy("pyramid_flow", 0, gan_at=None)
    out.config |= {"disc_start": 250_000, "total_steps": 200_000}
    assert infer(out.run()).phases.gan.state == "never"


def test_a_gan_that_is_off_without_a_plan_is_off_and_without_columns_absent() -> None:
    out = healthy("ldm", 0).head(100)
    out.config.pop("disc_start")
    assert infer(out.run()).phases.gan.state == "off"
    bare = healthy("ldm", 0, gan_at=None)
    bare.config.pop("disc_start", None)
    assert infer(bare.run()).phases.gan.state == "absent"


def test_numbers_printed_before_the_start_do_not_count_as_a_start() -> None:
    """RadioDiff and latent-diffusion print d_weight, g_loss and logits of an untrained discriminator from step 0."""
    out = healthy("radiodiff", 0).head(120)
    assert np.any(out.columns["d_weight"] != 0) and np.any(out.columns["g_loss"] != 0)
    assert infer(out.run()).phases.gan.state == "scheduled"


# --- shock and recovery ----------------------------------------------------------------------------------------------------------


def shocked(
    height: float, back: float, noise: float = 0.03, rows: int = 400, remains: float = 1.0, seed: int = 0
) -> Draft:
    """rec_loss rises ``height`` times at the GAN start and comes back to ``remains`` times with decay length ``back``."""
    out = healthy("pyramid_flow", seed, rows=rows, gan_at=None)
    rng = np.random.default_rng(seed)
    after = np.arange(rows) - rows // 2
    curve = np.where(after >= 0, remains + (height - remains) * np.exp(-np.maximum(after, 0) / back), 1.0)
    rec = 0.0033 * curve * lognormal(rng, noise, rows)
    perceptual = np.full(rows, 0.05) * lognormal(rng, noise, rows)
    out.columns |= {"rec_loss": rec, "perceptual_loss": perceptual, "nll_loss": 10 * rec + perceptual}
    del out.columns["total_loss"]
    out.columns["disc_loss"] = np.where(after >= 0, 0.9 + 0.02 * rng.normal(size=rows), np.nan)
    return out


@given(height=st.floats(2, 6), back=st.floats(8, 30), seed=st.integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_a_shock_that_comes_back_has_its_height_and_its_recovery(height: float, back: float, seed: int) -> None:
    phases = infer(shocked(height, back, seed=seed).run()).phases
    shock = phases.shock("rec_loss")
    assert shock is not None and shock.seen
    assert shock.before == pytest.approx(0.0033, rel=0.05)
    assert shock.ratio == pytest.approx(height, rel=0.2)
    # the level is within 10% of the old one after back x ln((height - 1) / 0.1) rows
    expected = (200 + back * np.log((height - 1) / 0.1)) * 20
    assert shock.recovered_step is not None and abs(shock.recovered_step - expected) <= 20 * (0.5 * back + 6)
    assert [p.kind for p in phases.phases][-2:] == ["gan-start", "gan"]
    assert phases.phases[-1].first_step == shock.recovered_step


@given(remains=st.floats(1.5, 4), seed=st.integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_damage_that_stays_has_its_size(remains: float, seed: int) -> None:
    shock = infer(shocked(remains, 10, remains=remains, seed=seed).run()).phases.shock("rec_loss")
    assert shock is not None and shock.recovered_step is None
    assert shock.remaining == pytest.approx(remains, rel=0.08)


@pytest.mark.parametrize("seed", range(5))
def test_noise_from_row_to_row_does_not_hide_a_level_that_stays_worse(seed: int) -> None:
    shock = infer(shocked(2.0, 10, noise=0.22, remains=1.45, seed=seed).run()).phases.shock("rec_loss")
    assert shock is not None and shock.seen and shock.recovered_step is None


def test_a_shock_is_seldom_seen_where_there_is_none_and_never_as_lasting() -> None:
    shocks = [infer(shocked(1.0, 10, noise=0.15, seed=seed).run()).phases.shock("rec_loss") for seed in range(20)]
    seen = [s for s in shocks if s is not None and s.seen]
    assert len(seen) <= 1
    assert all(s.recovered_step is not None for s in seen)


def test_phases_cover_the_log_without_gaps() -> None:
    for system in ("pyramid_flow", "radiodiff", "ldm", "unknown"):
        for at in (None, 0.0, 0.3, 0.8):
            run = healthy(system, 1, gan_at=at).run()
            phases = infer(run).phases.phases
            assert phases[0].first_row == 0 and phases[-1].last_row == len(run) - 1
            for a, b in itertools.pairwise(phases):
                assert b.first_row == a.last_row + 1
            for phase in phases:
                assert phase.first_step == run.steps[phase.first_row] and phase.last_step == run.steps[phase.last_row]


# --- origin, resume, decay -----------------------------------------------------------------------------------------------------------


def test_a_fine_tune_and_a_fresh_model_are_told_apart() -> None:
    tuned = infer(healthy("pyramid_flow", 0, fine_tune=True).run())
    assert tuned.phases.origin == "pretrained"
    assert any("learning rate is 0 at step 0" in f.text for f in tuned.statements)
    assert infer(healthy("pyramid_flow", 0).run()).phases.origin == "scratch"


def test_a_resume_is_a_fact_with_its_step() -> None:
    out = resumed("pyramid_flow", 0)
    found = infer(out.run())
    assert found.phases.resumes == (out.events[0].step,)
    assert any(f.name.startswith("resume_") for f in found.statements)
    out.events.append(Event("resume", None, None, "neither step nor line known"))
    assert len(infer(out.run()).phases.resumes) == 1
    out.events.append(Event("resume", None, 3, "placed by its line: before the fourth row"))
    assert infer(out.run()).phases.resumes == (out.events[0].step, int(out.steps[3]))


@given(st.floats(0.001, 0.9))
@settings(max_examples=10, deadline=None)
def test_learning_rate_decay_is_its_share_of_the_peak(floor: float) -> None:
    found = schedule(warm_up_then_cosine(200, 1e-4, 0.1, floor))
    assert found.phases.lr_now_share == pytest.approx(floor, rel=0.02)


def test_learning_rate_jumps_after_the_warm_up_are_listed_and_the_warm_up_is_not() -> None:
    rate = warm_up_then_cosine(200, 1e-4, 0.1)
    assert schedule(rate).optimiser.lr_jumps == ()
    rate[120:] *= 10
    ((step, ratio),) = schedule(rate).optimiser.lr_jumps
    assert step == 1200 and ratio == pytest.approx(10, rel=0.05)


def test_progress_counts_the_last_step() -> None:
    found = infer(healthy("pyramid_flow", 0, gan_at=None).head(150).run()).progress
    assert found.step == 149 * 20 and found.planned == 6000
    assert found.share == pytest.approx((149 * 20 + 1) / 6000)


def test_clipping_is_counted() -> None:
    out = healthy("pyramid_flow", 0)
    out.columns["grad_norm"] = np.r_[np.full(225, 4.0), np.full(75, 0.5)]
    found = infer(out.run()).optimiser
    assert found.clipped == pytest.approx(0.75) and found.cut == pytest.approx((0.25, 0.25))
    assert found.suggested == pytest.approx(4.0)


def test_an_empty_run_and_one_row_have_facts() -> None:
    for rows in (0, 1, 2):
        found = infer(healthy("pyramid_flow", 0).head(rows).run())
        assert found.progress.step == (rows - 1) * 20 if rows else found.phases.phases == ()


def test_a_generator_s_term_of_zero_says_that_the_discriminator_warms_up_alone() -> None:
    rows = np.arange(90)
    disc = np.where(rows < 30, np.nan, 0.9)
    g = np.where(rows < 60, 0.0, 0.4 + 0.01 * (rows % 3))
    run = draft({"rec_loss": 1 / (1 + rows), "g_loss": g, "disc_loss": disc}).run()
    phases = infer(run).phases
    assert [(p.kind, p.first_step) for p in phases.phases] == [("vae-only", 0), ("disc-warm-up", 300), ("gan", 600)]
    assert phases.gan.start_step == 600
