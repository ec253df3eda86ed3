"""Every public trainer's log format: recognised, read, and its loss algebra closed with the constants that made it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import vaelab
from dialect_logs import DIALECTS, Log, ldm_csv, open_sora_bar, vidtok_tensorboard, write_csv
from vaelab.diagnosis import Diagnosis
from vaelab.dialects import DIALECTS as TRAINERS
from vaelab.dialects import bare_name, detect
from vaelab.explain import explain_in_run, explain_trainer
from vaelab.facts import infer
from vaelab.run import Run

CLOSED = {
    "pyramid_flow_console": {"nll", "total-before-gan", "total-with-gan"},
    "pyramid_flow_log_txt": {"nll", "total-before-gan"},
    "radiodiff_text": {"nll", "total-with-gan"},
    "radiodiff_tensorboard": set(),
    "taming_csv": {"nll", "total-with-gan"},
    "ldm_csv": {"nll", "total-with-gan"},
    "sgm_csv": {"nll", "total-before-gan", "total-with-gan"},
    "vidtok_tensorboard": {"nll", "total-before-gan", "total-with-gan"},
    "wf_vae_csv": set(),
    "open_sora_bar": {"nll", "total-with-gan"},
    "seed_voken_tensorboard": {"nll", "total-with-gan"},
    "diffusers_bar": {"nll", "total-with-gan"},
    "diffusers_tensorboard": {"nll", "total-with-gan"},
    "magvit2_stdout": set(),
    "vqgan_training_text": set(),
    "vidtok_bar": {"nll", "total-with-gan"},
    "open_sora_plan_wandb": set(),
    "open_sora_wandb": {"nll", "total-with-gan"},
    "open_sora_v1_wandb": set(),
    "seed_voken_ibq_tensorboard": {"nll", "total-with-gan"},
    "diffusers_wandb": {"nll", "total-with-gan"},
    "diffusers_vqgan_tensorboard": set(),
}
"""Identities that must close; the others are not there, or say that they cannot tell."""


@dataclass
class Case:
    name: str
    log: Log
    run: Run
    diagnosis: Diagnosis

    def said(self, name: str) -> str:
        return next(s.text for s in self.diagnosis.statements if s.name == name)


@pytest.fixture(scope="module", params=list(DIALECTS))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    log = DIALECTS[request.param](tmp_path_factory.mktemp(request.param))
    run = vaelab.read(log.path).with_config(log.config)
    yield Case(request.param, log, run, vaelab.diagnose(run))


def test_the_trainer_is_recognised_with_a_reason(case: Case) -> None:
    assert (case.run.trainer, case.run.format) == (case.log.trainer, case.log.format)
    assert case.run.trainer_confidence >= 0.75 and len(case.run.trainer_reason) > 10


def test_columns_have_canonical_names(case: Case) -> None:
    assert case.log.columns <= set(case.run)
    assert not {"disc_weight", "loss", "all", "gen_w", "discr_loss"} & set(case.run)


def test_steps_decimals_and_smoothing(case: Case) -> None:
    assert (int(case.run.steps[0]), int(case.run.steps[-1])) == case.log.steps
    assert {name: case.run.decimals[name] for name in case.log.decimals} == case.log.decimals
    metric = next(m for m in ("rec_loss", "total_loss", "nll_loss") if m in case.run)
    assert case.run.smoothing[metric].kind == case.log.smoothing


def test_the_folder_reads_as_the_file(case: Case) -> None:
    top = next(p for p in case.log.path.parents if p.name.startswith(case.name))
    again = vaelab.read(top)
    assert (again.trainer, again.format, list(again)) == (case.run.trainer, case.run.format, list(case.run))
    for name in again:
        np.testing.assert_array_equal(again[name], case.run[name])


def test_the_hidden_constants_are_found(case: Case) -> None:
    solved = case.diagnosis.facts.algebra.solved
    for name, truth in case.log.truth.items():
        found = solved[name]
        assert found.status == "closes" and found.low is not None and found.high is not None
        assert found.low <= truth * (1 + 1e-9) and truth * (1 - 1e-9) <= found.high, found
        if found.value is not None and found.high < 1.02 * max(found.low, 0):
            assert found.value == pytest.approx(truth, rel=0.02)


def test_the_sums_close_or_it_is_said_that_nobody_can_tell(case: Case) -> None:
    identities = {i.name: i.status for i in case.diagnosis.facts.algebra.identities}
    assert {name for name, status in identities.items() if status == "closes"} == CLOSED[case.name]
    assert "does-not-close" not in identities.values()


def test_the_gan_start_is_found(case: Case) -> None:
    gan = case.diagnosis.facts.phases.gan
    assert gan.state == "active"
    if case.log.gan_step is None:
        assert gan.before_step is None  # on from the first row
    else:
        assert gan.start_row is not None and gan.before_step is not None and gan.start_step is not None
        first = int(case.run.steps[gan.start_row])
        # where the discriminator's rows come between the generator's, one of them can be the first to show it
        assert first in (case.log.gan_step, case.log.gan_step + 25 * (case.name == "sgm_csv"))
        assert gan.before_step < gan.start_step <= first


def test_the_quality_is_given_as_far_as_the_column_allows(case: Case) -> None:
    scales, trainer = case.diagnosis.facts.scales, TRAINERS[case.log.trainer]
    if "rec_loss" not in case.run:
        return
    late = float(np.median(case.run.series("rec_loss")[1][-16:]))
    text = case.said("psnr")
    if trainer.rec_kind == "mse":
        peak = 1.0 if case.log.trainer == "magvit2" else 2.0
        assert scales.psnr(late) == pytest.approx(10 * math.log10(peak**2 / late), abs=1e-6)
        assert "dB PSNR" in text
    else:
        assert scales.psnr(late) is None
        known = trainer.rec_kind not in ("weighted-nll-sum", "unknown")
        assert (scales.psnr_bound(late) is not None) == known
        assert ("PSNR at least" in text) == known
        if known:  # the mean squared error is about 0.004 at the end
            bound = scales.psnr_bound(late)
            assert bound is not None and 5 < bound < 10 * math.log10(4 / 0.004) + 1


def test_the_kl_is_given_in_nats_per_element(case: Case) -> None:
    if case.log.latent is None:
        assert case.diagnosis.facts.scales.nats is None
        return
    shape = tuple(int(v) for v in case.log.latent.split("x"))
    run = case.run.with_config({"latent_shape": list(shape)})
    scales = infer(run).scales
    late = float(np.median(run.series("kl_loss")[1][-16:]))
    nats = scales.nats_per_element(late)
    assert scales.latent is not None and scales.latent.shape == shape
    assert nats is not None and nats == pytest.approx(case.log.nats, rel=0.05)


def test_a_healthy_run_is_healthy_in_every_dialect(case: Case) -> None:
    # a log that holds no reconstruction, only a total, cannot be called healthy
    quiet = ("healthy", "watch") if "rec_loss" in case.run or "nll_loss" in case.run else ("cannot-tell", "watch")
    assert case.diagnosis.status in quiet, case.diagnosis.headline
    findings = case.diagnosis.findings
    assert not [f for f in findings if f.severity == "critical"]
    # what is left to watch: a disc_start in optimizer steps, and SGM's KL weight of 1 beside a learned logvar
    assert {f.code for f in findings if f.severity == "warn"} <= {"ADV315", "KL203"}


def test_explain_shows_the_formulas_of_that_trainer(case: Case) -> None:
    trainer = TRAINERS[case.log.trainer]
    assert trainer.formulas
    page = str(explain_trainer(trainer))
    for metric, formula in trainer.formulas.items():
        assert formula in page
        if metric in case.run:
            assert formula in str(explain_in_run(metric, case.run))


@pytest.mark.parametrize("name", ["radiodiff_text", "open_sora_bar", "taming_csv", "vidtok_tensorboard"])
def test_other_seeds_give_the_same_constants(name: str, tmp_path: Path) -> None:
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        log = DIALECTS[name](tmp_path / str(seed), seed)  # type: ignore[call-arg]
        solved = infer(vaelab.read(log.path).with_config(log.config)).algebra.solved
        for key, truth in log.truth.items():
            low, high = solved[key].low, solved[key].high
            assert low is not None and high is not None
            assert low <= truth * (1 + 1e-9) and truth * (1 - 1e-9) <= high


# --- points of single dialects ---------------------------------------------------------------------------------------------


def test_the_printed_disc_weight_of_diffusers_is_the_adaptive_weight(tmp_path: Path) -> None:
    run = vaelab.read(DIALECTS["diffusers_tensorboard"](tmp_path).path)
    assert run.columns["d_weight"].original == "disc_weight"
    assert "disc_weight" not in infer(run).algebra.solved  # the constant is not in the log


@pytest.mark.parametrize(("printed", "disc_weight"), [("1.2e+3", None), ("5e+3", 0.5)])
def test_three_digits_that_repeat_are_no_clamp_unless_they_are_round(
    printed: str, disc_weight: float | None, tmp_path: Path
) -> None:
    path = DIALECTS["diffusers_bar"](tmp_path).path
    path.write_text(re.sub(r"disc_weight=[^,]+", f"disc_weight={printed}", path.read_text()))
    solved = infer(vaelab.read(path)).algebra.solved.get("disc_weight")
    assert (solved.value if solved else None) == disc_weight


def test_the_g_loss_of_seed_voken_is_already_weighted_in_training_only(tmp_path: Path) -> None:
    log = DIALECTS["seed_voken_tensorboard"](tmp_path)
    run = vaelab.read(log.path)
    assert run.columns["g_loss_weighted"].original == "train/g_loss_step" and "g_loss" not in run
    rows = [{"step": i, "train/reconstruct_loss_step": 0.1, "train/perceptual_loss_step": 0.2, "train/g_loss_step": 0.01,
             "train/g_loss_epoch": 0.01, "val/g_loss": 0.3} for i in range(20)]  # fmt: skip
    of_csv = vaelab.read(write_csv(tmp_path / "metrics.csv", rows))
    assert {"g_loss_weighted", "epoch/g_loss_weighted", "val/g_loss"} <= set(of_csv)


def test_the_entropy_term_of_seed_voken_may_be_annealed_early_on(tmp_path: Path) -> None:
    log = DIALECTS["seed_voken_tensorboard"](tmp_path)
    run = vaelab.read(log.path)
    total = run["total_loss"] + 0.1 * run["entropy_loss"] * np.clip(1 - np.arange(len(run)) / 60, 0, 1)
    total = np.asarray(total, np.float32).astype(np.float64)
    columns = {**run.columns, "total_loss": replace(run.columns["total_loss"], values=total)}
    annealed = replace(run, columns=columns)
    algebra = infer(annealed).algebra
    assert algebra.solved["codebook_weight"].value == pytest.approx(0.1)
    assert algebra.solved["commit_weight"].value == pytest.approx(0.25)


def test_two_optimizer_steps_per_batch_are_told(tmp_path: Path) -> None:
    for make in (vidtok_tensorboard, ldm_csv):
        (tmp_path / make.__name__).mkdir()
        log = make(tmp_path / make.__name__)
        diagnosis = vaelab.diagnose(vaelab.read(log.path).with_config(log.config))
        assert diagnosis.facts.phases.gan.unit_ratio == 2
        (finding,) = [f for f in diagnosis.findings if f.code == "ADV315"]
        assert "8,001" in finding.message and "4,049" in finding.message
        ahead = infer(vaelab.read(log.path).with_config({"disc_start": 30001, "total_steps": 60000}))
        assert ahead.phases.gan.state == "active"  # what the columns show counts


def test_a_scheduled_start_is_also_given_in_logged_steps(tmp_path: Path) -> None:
    rows = [{"epoch": 0, "step": 50 * i, "aeloss_step": 1e4, "train/kl_loss": 100.0, "train/rec_loss": 0.1 + 0.001 * i,
             "train/disc_factor": 0.0, "train/disc_loss": 0.0} for i in range(30)]  # fmt: skip
    run = vaelab.read(write_csv(tmp_path / "metrics.csv", rows)).with_config({"disc_start": 50001})
    text = next(s.text for s in infer(run).statements if s.name == "gan_start")
    assert "50,001" in text and "25,000" in text


def test_lecam_is_taken_out_of_disc_loss(tmp_path: Path) -> None:
    log = vidtok_tensorboard(tmp_path)
    solved = infer(vaelab.read(log.path)).algebra.solved["lecam_weight"]
    assert solved.value == 0.005 and "non_saturated_d_loss" in solved.text


def test_half_of_the_total_in_radiodiffs_tensorboard_is_told(tmp_path: Path) -> None:
    log = DIALECTS["radiodiff_tensorboard"](tmp_path)
    facts = infer(vaelab.read(log.path))
    assert any("/ 2" in s.text for s in facts.statements if s.name == "total_halved")


def test_chance_of_magvit2_is_two(tmp_path: Path) -> None:
    adversary = infer(vaelab.read(DIALECTS["magvit2_stdout"](tmp_path).path)).adversary
    assert adversary is not None and adversary.chance == 2.0


def test_open_sora_without_a_resolution_says_what_to_declare(tmp_path: Path) -> None:
    run = vaelab.read(open_sora_bar(tmp_path).path)
    (text,) = [s.text for s in infer(run).statements if s.name == "psnr"]
    assert "resolution" in text and "dB" not in text


def test_bare_names() -> None:
    assert bare_name(" Train/Rec_Loss_step") == "rec_loss"
    assert bare_name("validation recon loss") == "recon_loss"
    assert bare_name("train.rec_loss") == "rec_loss"  # W&B's name of a nested value
    assert bare_name("global_step") == "global_step"


@pytest.mark.parametrize("trainer", [t for t in TRAINERS.values() if t.columns], ids=lambda t: t.id)
def test_own_names_are_bare_and_lower_case(trainer) -> None:  # type: ignore[no-untyped-def]
    assert all(name == bare_name(name) for name in trainer.columns)


def test_unknown_columns_are_no_trainers() -> None:
    assert detect(["loss"], "tensorboard", {})[0] == "unknown"
    assert detect(["loss_.nll_rec", "loss_.nll_per", "loss"], "csv", {})[0] == "open_sora"


def test_explicit_steps_of_wandb_count_and_not_the_micro_batches(tmp_path: Path) -> None:
    run = vaelab.read(DIALECTS["open_sora_wandb"](tmp_path).path)
    assert run.steps[:3].tolist() == [50, 100, 150] and "iter" not in run
    assert run.columns["rec_loss"].original == "loss_.nll_rec"


def test_the_loss_of_open_sora_1_2_is_not_taken_for_the_sum_of_all_terms(tmp_path: Path) -> None:
    run = vaelab.read(DIALECTS["open_sora_v1_wandb"](tmp_path).path)
    assert run.columns["training_loss"].original == "loss" and "total_loss" not in run
    assert not [f for f in vaelab.diagnose(run).findings if f.severity in ("warn", "critical")]


def test_two_g_losses_of_ibq(tmp_path: Path) -> None:
    run = vaelab.read(DIALECTS["seed_voken_ibq_tensorboard"](tmp_path).path)
    assert run.columns["g_loss_weighted"].original == "train/g_loss_step"
    assert run.columns["g_loss"].original == "train/unsacled_g_loss_step"  # their spelling
    assert run.columns["codebook_loss"].original == "train/codebook_loss_step"
