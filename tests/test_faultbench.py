"""The fault bench's runs: what each dialect shows of the same measurements, recipes, labels, and one short real run."""

from __future__ import annotations

import math
import statistics
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks/faultbench"))

import dialects
import torch
from generate import doubled_step, judged
from recipe import Check, Recipe, logged, number
from recipes import RECIPES, SEEDS
from systems import SYSTEMS, configuration
from training import Result, Training, _without_guard
from truth import load

import vaelab
from vaelab.training.update import Updater

STEPS = 120


def result(system: str, steps: int = STEPS, rec: float = 0.5) -> Result:
    """Rows with values that tell the steps and the columns apart."""
    rows = []
    for step in range(steps):
        row = {
            "rec_loss": rec - 0.001 * step, "perceptual_loss": 0.2, "nll_loss": 3.0 + 0.01 * step, "kl_loss": 40.0 + step,
            "rec_mse": 0.1, "total_loss": 5.0 + (-1) ** step, "grad_norm": 2.0 + step, "clip_coefficient": 0.5,
            "clipped": float(step % 2), "finite": 1.0, "lr": 1.25e-4, "disc_factor": float(step >= 60),
        }  # fmt: skip
        gan = {"d_weight": 7.0, "g_loss": -0.5, "disc_loss": 0.75, "logits_real": 0.25, "logits_fake": -0.25}
        if step >= 60 or SYSTEMS[system].measures_before_start:
            row |= gan
        if step >= 60:
            row |= {"disc_lr": 2e-4, "disc_finite": 1.0}
        rows.append(row)
    config = configuration(SYSTEMS[system], 0, {"run.steps": steps, "loss.disc_start": 60})
    return Result(config, SYSTEMS[system], rows, [], [], {"mse": 0.1}, {"latent_shape": "3x1x8x8"}, {})


def written(dialect: str, run: Result, folder: Path) -> vaelab.run.Run:
    return vaelab.read(str(folder / dialects.write(dialect, run, folder)))


class TestDialects:
    def test_vaelab_keeps_every_digit_and_hides_single_steps(self, tmp_path: Path) -> None:
        read = written("vaelab", result("video"), tmp_path)
        assert list(read.steps[:3]) == [0, 5, 10]
        assert read.columns["nll_loss"].values[1] == 3.05
        assert "finite" not in read.columns and "clipped" not in read.columns
        assert read.trainer == "vaelab"

    def test_vaelab_has_no_adversarial_terms_before_the_start(self, tmp_path: Path) -> None:
        read = written("vaelab", result("rgb"), tmp_path)
        g_loss = read.columns["g_loss"].values
        assert np.isnan(g_loss[read.steps < 60]).all() and (g_loss[read.steps >= 60] == -0.5).all()
        assert (read.columns["d_weight"].values[read.steps < 60] == 0).all()

    def test_clip_share_is_the_mean_since_the_last_row(self, tmp_path: Path) -> None:
        read = written("vaelab", result("video"), tmp_path)
        assert read.columns["clip_share"].values[1] == pytest.approx(3 / 5)  # steps 1, 3 and 5 of 1 ... 5

    def test_pyramid_flow_prints_the_lower_median_of_twenty(self, tmp_path: Path) -> None:
        run = result("pyramid")
        read = written("pyramid_flow", run, tmp_path)
        assert read.trainer == "pyramid_flow"
        at = list(read.steps).index(90)
        expected = statistics.median_low(row["kl_loss"] for row in run.rows[71:91])
        assert read.columns["kl_loss"].values[at] == pytest.approx(expected, abs=1e-4)

    def test_pyramid_flow_starts_anew_each_epoch(self, tmp_path: Path) -> None:
        run = result("pyramid")
        read = written("pyramid_flow", run, tmp_path)
        at = list(read.steps).index(110)
        expected = statistics.median_low(row["kl_loss"] for row in run.rows[100:111])
        assert read.columns["kl_loss"].values[at] == pytest.approx(expected, abs=1e-4)

    def test_pyramid_flow_announces_nan_and_resume(self, tmp_path: Path) -> None:
        run = result("pyramid")
        run.events += [("resume", 50, {}), ("nan_stop", STEPS, {})]
        kinds = {event.kind for event in written("pyramid_flow", run, tmp_path).events}
        assert {"resume", "non_finite_stop"} <= kinds

    def test_radiodiff_prints_five_decimals_of_the_step(self, tmp_path: Path) -> None:
        read = written("radiodiff", result("radio"), tmp_path)
        at = list(read.steps).index(20)
        assert read.columns["total_loss"].values[at] == 6.0
        assert read.columns["rec_loss"].values[at] == pytest.approx(0.48 + 0.2, abs=1e-9)  # with LPIPS
        assert (
            read.columns["lr"].values[at] == pytest.approx(0.00013, abs=1e-9)
            or read.columns["lr"].values[at] == 0.00012
        )

    def test_lightning_logs_steps_4_9_14(self, tmp_path: Path) -> None:
        run = result("rgb")
        scores = {name: 1.5 for name in ("rec_loss", "nll_loss", "kl_loss", "total_loss", "d_weight", "disc_loss")}
        run.validations.append((99, scores))
        read = written("lightning", run, tmp_path)
        assert list(read.steps[:3]) == [4, 9, 14]
        assert read.columns["kl_loss"].values[0] == 44.0

    def test_tensorboard_of_radiodiff_halves_the_sum_of_both_losses(self, tmp_path: Path) -> None:
        pytest.importorskip("tensorboard")
        read = written("tensorboard", result("radio", 30), tmp_path)
        assert len(read.steps) == 30
        values = [c.values[0] for name, c in read.columns.items() if "total" in name]
        assert values == [pytest.approx((6.0 + 0.75) / 2)]

    def test_two_writings_are_equal_bytes(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            dialects.write("radiodiff", result("radio"), tmp_path / name)
        assert (tmp_path / "a/train.log.gz").read_bytes() == (tmp_path / "b/train.log.gz").read_bytes()


class TestRecipes:
    def test_numbers_that_the_issue_asks_for(self) -> None:
        assert sum(recipe.faulty for recipe in RECIPES.values()) >= 40
        assert sum(not recipe.faulty for recipe in RECIPES.values()) >= 15

    @pytest.mark.parametrize("name", RECIPES)
    def test_every_run_has_valid_settings_and_a_dialect_of_its_system(self, name: str) -> None:
        recipe = RECIPES[name]
        for seed in SEEDS:
            system = recipe.system(seed)
            assert recipe.dialect(seed) in system.dialects
            for settings in recipe.settings(system):
                config = configuration(system, seed, settings)
            assert 0 <= recipe.onset < config.run.steps

    def test_seeds_and_systems_are_spread(self) -> None:
        used = [recipe.system(seed).name for recipe in RECIPES.values() for seed in SEEDS]
        assert all(used.count(name) >= 0.15 * len(used) for name in SYSTEMS)
        dialect = {recipe.dialect(seed) for recipe in RECIPES.values() for seed in SEEDS}
        assert dialect == set(dialects.WRITERS)


FAULT = Recipe(
    "x", "a fault", Check("MSE", number("mse"), at_least=2), ("E1",), onset=40, systems=("video",), diverges=True
)


class TestLabels:
    def test_a_fault_that_shows_keeps_its_label(self) -> None:
        run = result("video")
        run.numbers["mse"] = 0.3
        truth = judged(FAULT, 0, "vaelab", "metrics.jsonl.gz", run, result("video"))
        assert truth.kind == "faulty" and truth.onset_step == 40 and truth.verified.ratio == pytest.approx(3)

    def test_a_fault_without_effect_is_relabelled(self) -> None:
        truth = judged(FAULT, 0, "vaelab", "metrics.jsonl.gz", result("video"), result("video"))
        assert truth.kind == "harmless" and truth.relabelled and truth.onset_step is None

    def test_nan_proves_a_fault_and_is_stored_as_null(self, tmp_path: Path) -> None:
        run = result("video")
        run.numbers["mse"] = math.nan
        judged(FAULT, 0, "vaelab", "metrics.jsonl.gz", run, result("video")).save(tmp_path)
        truth = load(tmp_path)
        assert truth.kind == "faulty" and truth.verified.fault_value is None

    def test_a_healthy_run_that_is_damaged_is_refused(self) -> None:
        recipe = replace(FAULT, causes=(), check=Check("MSE", number("mse"), at_most=1.5))
        run = result("video")
        run.numbers["mse"] = 0.3
        with pytest.raises(ValueError, match="should be healthy"):
            judged(recipe, 0, "vaelab", "metrics.jsonl.gz", run, result("video"))

    def test_doubling_needs_no_return(self) -> None:
        twin, spike, gone = result("video"), result("video"), result("video")
        for step in range(50, 60):
            spike.rows[step]["rec_loss"] *= 9
        for step in range(50, STEPS):
            gone.rows[step]["rec_loss"] *= 9
        assert doubled_step(spike, twin, 40) is None
        assert doubled_step(gone, twin, 40) == 50
        del gone.rows[70:]
        assert doubled_step(gone, twin, 40) == 50

    def test_logged_leaves_out_steps_without_the_term(self) -> None:
        assert logged("g_loss", 0, 100)(result("video")) == -0.5
        assert math.isnan(logged("g_loss", 0, 50)(result("video")))


def test_without_a_guard_nan_reaches_the_weights() -> None:
    for guarded in (True, False):
        weight = torch.nn.Parameter(torch.ones(2, 2))
        updater = Updater(
            [weight], betas=(0.9, 0.9), weight_decay=0.0, clip=None, fp16=False, device=torch.device("cpu")
        )
        weight.grad = torch.full((2, 2), math.nan)
        (updater.apply if guarded else _without_guard(updater))(0.1)
        assert bool(weight.isfinite().all()) == guarded


def test_a_short_real_run_is_repeatable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("training.CACHE", tmp_path)
    torch.set_num_threads(1)
    runs = [Training(SYSTEMS["radio"], 0, {"run.steps": 22, "loss.disc_start": 12}).run() for _ in range(2)]
    assert [row["total_loss"] for row in runs[0].rows] == [row["total_loss"] for row in runs[1].rows]
    assert "g_loss" in runs[0].rows[0] and runs[0].rows[0]["disc_factor"] == 0
    assert runs[0].rows[12]["disc_factor"] == 1 and runs[0].numbers["mse"] < 2
