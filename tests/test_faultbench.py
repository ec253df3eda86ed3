"""The fault bench's runs: what each dialect shows of the same measurements, what is drawn, labels, and short real runs."""

from __future__ import annotations

import math
import statistics
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks/faultbench"))

import dialects
import harm
import splits
import torch
from draw import BASES, FAULTS, FAULTS_EACH, HEALTHY, SLOTS, draw, draw_group
from generate import doubled_step, judged
from mechanism import KL_SYSTEMS, between
from networks import Weights, decode, encode
from plan import FAULT_DIALS, Plan, planned
from result import Result
from systems import SYSTEMS, configuration
from training import SideBySide

import vaelab
from vaelab.config import LossConfig
from vaelab.losses import Objective, disc_loss

STEPS = 120
SHAPE = {"model.config": {"latent_channels": 3}}


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
    config = configuration(
        SYSTEMS[system],
        0,
        {
            "run.steps": steps,
            "run.log_every": 10 if system in ("pyramid", "radio") else 5,
            **SHAPE,
            "loss.disc_start": 60,
        },
    )
    return Result(config, SYSTEMS[system], 100, rows, [], [], [], {"latent_shape": "3x1x4x4"})


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
        assert len(read.steps) == 3
        values = [c.values[0] for name, c in read.columns.items() if "total" in name]
        assert values == [pytest.approx((6.0 + 0.75) / 2)]

    def test_two_writings_are_equal_bytes(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            dialects.write("radiodiff", result("radio"), tmp_path / name)
        assert (tmp_path / "a/train.log.gz").read_bytes() == (tmp_path / "b/train.log.gz").read_bytes()

    def test_taming_and_a_hand_written_loop_show_a_codebook(self, tmp_path: Path) -> None:
        run = result("vq")
        for row in run.rows:
            row |= {"quant_loss": 0.3, "commit_loss": 0.2, "perplexity": 7.0, "codebook_usage": 0.5}
        read = written("taming", run, tmp_path / "taming")
        assert read.trainer == "taming"
        assert read.columns["quant_loss"].values[0] == 0.3
        plain = written("plain", run, tmp_path / "plain")
        assert {"perplexity", "vq_loss"} <= set(plain.columns)


class TestDraw:
    def test_a_run_is_drawn_from_its_seed_alone(self) -> None:
        draw_group.cache_clear()
        first = draw(305)
        draw_group.cache_clear()
        draw(901)
        assert draw(305) == first and first.seed == 305
        with pytest.raises(ValueError, match="there is no run 399"):
            draw(399)

    def test_a_group_has_twins_faults_and_look_alikes(self) -> None:
        runs = draw_group(3).runs
        assert len(runs) == SLOTS
        assert sum(run.twin == run.seed for run in runs) == BASES
        assert sum(bool(run.faults) for run in runs) == FAULTS_EACH * BASES
        assert sum(bool(run.lookalike) for run in runs) == BASES

    def test_draws_are_wide(self) -> None:
        runs = [run for group in range(40) for run in draw_group(group).runs]
        assert {run.system for run in runs} == set(SYSTEMS)
        assert {run.dialect for run in runs} == set(dialects.WRITERS)
        assert len({run.interval for run in runs}) >= 4 and max(run.steps for run in runs) > 1000
        severities = [fault.severity for run in runs for fault in run.faults]
        assert min(severities) < 0.05 and max(severities) > 0.95
        assert any(len(run.faults) == 2 for run in runs)
        assert any(fault.end < run.steps for run in runs for fault in run.faults)
        assert {splits.held_out(run) for run in runs} == {"", "seed", "system", "mechanism"}

    def test_most_causes_have_three_mechanisms(self) -> None:
        counts = Counter(cause for mechanism in FAULTS.values() for cause in mechanism.causes)
        assert sum(count >= 3 for count in counts.values()) >= 38

    @pytest.mark.parametrize("name", [*FAULTS, *HEALTHY])
    def test_every_mechanism_can_be_planted(self, name: str) -> None:
        mechanism = (FAULTS | HEALTHY)[name]
        system = SYSTEMS[mechanism.systems[0]]
        changes = {"run.steps": STEPS, "loss.disc_start": 60, **SHAPE}
        for severity in (0.0, 1.0):
            if mechanism.settings is not None:
                for option, value in mechanism.settings(severity, STEPS).items():
                    times = isinstance(value, tuple) and value[0] == "times"
                    changes[option] = value if not times else type(value[1])(0)
            plan = planned(configuration(system, 0, {k: v for k, v in changes.items() if v != 0}), 1)
            before = {dial: values.clone() for dial, values in plan.dials.items()}
            mechanism.plant(plan, severity, 40, STEPS)
            assert (
                all(torch.equal(before[dial][:40], values[:40]) for dial, values in plan.dials.items())
                or name == "warm-restarts"
            )
            assert set(FAULT_DIALS) < set(plan.dials)

    def test_severity_is_even_on_a_logarithmic_scale(self) -> None:
        size = between(2, 200)
        assert [size(s) for s in (0, 0.5, 1)] == pytest.approx([2, 20, 200])


def numbers(psnr: float, perceptual: float = 0.1) -> dict[str, float]:
    return {
        "psnr": psnr, "psnr_ema": psnr, "perceptual": perceptual, "detail": 0.5, "latent_std": 1.0, "active": 1.0,
        "per_element": 2.0,
    }  # fmt: skip


class TestLabels:
    def test_a_fault_is_what_cost_something(self) -> None:
        twin = [(0, numbers(12)), (50, numbers(18)), (99, numbers(20))]
        assert harm.kind([(0, numbers(12)), (50, numbers(18)), (99, numbers(19.4))], twin, 10) == "faulty"
        assert harm.kind([(0, numbers(12)), (50, numbers(15)), (99, numbers(20))], twin, 10) == "passed"
        assert harm.kind([(0, numbers(9)), (50, numbers(18)), (99, numbers(19.9))], twin, 10) == "harmless"
        assert harm.kind([(99, numbers(math.nan))], [(99, numbers(20))], 10) == "faulty"
        assert harm.kind([(99, numbers(20, perceptual=0.2))], [(99, numbers(20))], 10) == "faulty"

    def test_a_run_of_a_group_whose_twin_learned_nothing_is_not_scored(self) -> None:
        drawn = next(run for run in draw_group(3).runs if run.faults)
        run = {"log": "x", "numbers": [(99, numbers(10))], "doubled_step": None}
        good = {"log": "x", "numbers": [(99, numbers(20))], "doubled_step": None}
        assert judged(drawn, run, run, mean_picture=12.0).kind == "undecided"
        truth = judged(drawn, run, good, mean_picture=12.0)
        assert truth.kind == "faulty" and truth.lost_db == pytest.approx(10)

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


def plans(system: str, count: int, steps: int = 16) -> list[Plan]:
    settings = {
        "run.steps": steps, "loss.disc_start": steps // 2, "loss.disc_warmup": 2, "run.batch_size": 2,
        "optim.warmup_steps": 4, "optim.disc_warmup_steps": 2, **SHAPE,
    }  # fmt: skip
    return [planned(configuration(SYSTEMS[system], 0, settings), 1 + k) for k in range(count)]


@pytest.fixture(autouse=True)
def made_up_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures without the time that real ones take."""

    def pictures(system: object, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        inside = system.inside  # type: ignore[attr-defined]
        generator = torch.Generator().manual_seed(seed)
        return tuple(torch.randint(0, 256, (n, inside, 16, 16), generator=generator).to(torch.uint8) for n in (64, 8))  # type: ignore[return-value]

    monkeypatch.setattr("training.samples", pictures)


class TestSideBySide:
    @pytest.mark.parametrize("system", SYSTEMS)
    def test_a_run_is_the_same_beside_others(self, system: str) -> None:
        torch.set_num_threads(1)
        alone = SideBySide(SYSTEMS[system], 6, 20, 0, plans(system, 1)).run()[0]
        beside = SideBySide(SYSTEMS[system], 6, 20, 0, plans(system, 3)).run()[0]
        for name in ("total_loss", "grad_norm", "disc_loss"):
            here, there = ([row.get(name, 0.0) for row in run.rows] for run in (alone, beside))
            assert here == pytest.approx(there, rel=2e-3, abs=1e-5)

    def test_repeated_runs_are_equal(self) -> None:
        torch.set_num_threads(1)
        runs = [SideBySide(SYSTEMS["rgb"], 6, 20, 0, plans("rgb", 2)).run()[1] for _ in range(2)]
        assert runs[0].rows == runs[1].rows and runs[0].numbers == runs[1].numbers

    def test_nan_stays_in_its_run_and_ends_it(self) -> None:
        two = plans("pyramid", 2)
        two[0].dials["gradient"][5:] = math.nan
        two[0].guarded, two[0].stops_at_nan = False, True
        broken, sound = SideBySide(SYSTEMS["pyramid"], 6, 20, 0, two).run()
        assert len(broken.rows) == 6 and broken.events == [("nan_stop", 6, {})]
        assert len(sound.rows) == 16 and all(math.isfinite(row["total_loss"]) for row in sound.rows)

    def test_a_guard_skips_what_is_not_finite_and_gives_up(self) -> None:
        (plan,) = plans("video", 1)
        plan.dials["gradient"][2:] = math.nan
        (run,) = SideBySide(SYSTEMS["video"], 6, 20, 0, [plan]).run()
        assert [kind for kind, _, _ in run.events] == ["non_finite"] * 10 + ["stopped"]
        assert math.isfinite(run.numbers[-1][1]["psnr"])

    @pytest.mark.parametrize("system", KL_SYSTEMS)
    def test_the_losses_are_those_of_vaelab(self, system: str) -> None:
        side = SideBySide(SYSTEMS[system], 6, 20, 0, plans(system, 2))
        side.now = 10
        side.dials["sample"][10] = 0.0
        side.turned.add("sample")
        x, w = side.batches(10), Weights(side.generator.layout, side.generator.matrix)
        mean, logvar = encode(w, x.flatten(1, 2)).view(2, 2, 6, 4, 4).chunk(2, dim=2)
        r = decode(w, mean.flatten(1, 2)).view(x.shape)
        logits = [side._logits(Weights(side.discriminator.layout, side.discriminator.matrix), v)[:, 1] for v in (x, r)]
        row = side._step(x)
        loss = side.loss.model_copy(update={"perceptual_weight": 0.0})
        assert isinstance(loss, LossConfig)
        objective = Objective(loss, None)

        def clip(v: torch.Tensor) -> torch.Tensor:
            frames = side.system.frames
            return v[:, 1].view(2, frames, -1, 16, 16).transpose(1, 2)

        terms = objective.reconstruction(clip(x), clip(r))
        assert float(row["rec_loss"][1]) == pytest.approx(float(terms.rec), rel=1e-4)
        share = (
            side.loss.pixelloss_weight
            * terms.rec
            / (side.loss.pixelloss_weight * terms.rec + side.loss.perceptual_weight * row["perceptual_loss"][1])
        )
        assert float(row["nll_loss"][1] * share) == pytest.approx(float(terms.nll), rel=1e-4)
        kl = objective.kl(mean[:, 1].unsqueeze(2), logvar[:, 1].unsqueeze(2))
        assert float(row["kl_loss"][1]) == pytest.approx(float(kl), rel=1e-4)
        assert float(row["disc_loss"][1]) == pytest.approx(float(disc_loss("hinge", *logits)), rel=1e-4)
        assert float(row["g_loss"][1]) == pytest.approx(float(-logits[1].mean()), rel=1e-3, abs=1e-6)
        total = objective.total(10, row["nll_loss"][1], row["kl_loss"][1], row["g_loss"][1], row["d_weight"][1])
        assert float(row["total_loss"][1]) == pytest.approx(float(total), rel=1e-4)

    def test_the_update_is_adamw(self) -> None:
        side = SideBySide(SYSTEMS["rgb"], 6, 20, 0, plans("rgb", 1))
        weights = torch.nn.Parameter(side.generator.matrix.clone())
        betas = side.generator.betas
        reference = torch.optim.AdamW([weights], lr=1e-3, betas=betas, weight_decay=0.0)
        for k in range(3):
            gradient = torch.randn(weights.shape, generator=torch.Generator().manual_seed(k))
            weights.grad = gradient.clone()
            reference.step()
            one = torch.ones(1)
            side.generator.update(gradient, 1e-3 * one, math.inf * one, 0 * one, one > 0, one > 0)
        torch.testing.assert_close(side.generator.matrix, weights.detach())
