"""What an expert would say where a setting changed in mid-run, or was wrong from the start: under the column names of several trainers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from expert_logs import NAMES, ROW, ROWS, Log, codes, every_trainer, falls, noise, said
from vaelab.diagnosis import diagnose
from vaelab.readers import read

RATE = np.full(ROWS, 1.37e-4)
LATE = ROW >= 100


@pytest.fixture
def log(tmp_path: Path, trainer: str) -> Log:
    return Log(tmp_path, trainer)


def since(row: int, pace: float) -> np.ndarray:
    """0 before ``row``, then rising to 1."""
    return np.where(row <= ROW, 1 - np.exp(-(ROW - float(row)).clip(0) / pace), 0.0)


# --- weights of the loss ------------------------------------------------------------------------------------------------------


@every_trainer
@pytest.mark.parametrize("at_once", [True, False])
def test_a_kl_weight_that_rises_a_thousand_times_is_the_cause(log: Log, at_once: bool) -> None:
    weight = np.where(LATE, 1e-3, 1e-6) if at_once else 1e-6 * 1000 ** (ROW / ROWS)
    worse = since(100, 5) if at_once else (ROW / ROWS) ** 3
    rec = (0.05 + 0.5 * np.exp(-ROW / 10) + 0.2 * worse) * noise()
    diagnosis = log.judged(rec=rec, kl=3000 * (1 - 0.95 * worse) * noise(seed=1), klw=weight, lr=RATE)
    assert diagnosis.status in ("act", "stop") and diagnosis.causes[0].id == "C2"
    assert "DAT701" not in codes(diagnosis) and log.names["klw"].rpartition("/")[2] in diagnosis.headline


@every_trainer
def test_two_settings_that_change_in_one_row_are_both_named(log: Log) -> None:
    rec = falls() * np.where(LATE, 4, 1)
    diagnosis = log.judged(rec=rec, kl=np.where(LATE, 500, 3000) * noise(seed=1), klw=np.where(LATE, 1e-4, 1e-6),
                           lr=RATE * np.where(LATE, 10, 1))  # fmt: skip
    assert diagnosis.status in ("act", "stop") and [c.id for c in diagnosis.causes[:2]] == ["E1", "C2"]
    assert diagnosis.causes[1].also and "DAT701" not in codes(diagnosis)


@every_trainer
@pytest.mark.parametrize("steps", [1, 40])
def test_a_kl_weight_that_is_annealed_by_plan_needs_no_change(log: Log, steps: int) -> None:
    weight = 1e-4 * np.clip((ROW + 1) / steps, 0, 1)
    diagnosis = log.judged(rec=falls(), kl=falls(3000, 1500, seed=1), klw=weight, lr=RATE)
    assert diagnosis.status == "healthy" and "SCH607" not in codes(diagnosis)


@every_trainer
def test_a_weight_that_is_changed_without_harm_is_no_alarm(log: Log) -> None:
    diagnosis = log.judged(rec=falls(), kl=falls(3000, 2000, seed=1), klw=np.where(LATE, 1e-5, 1e-6), lr=RATE)
    assert diagnosis.status == "healthy" and "1e-05 at step 1,000" in said(diagnosis)


# --- learning rates -----------------------------------------------------------------------------------------------------------


@every_trainer
@pytest.mark.parametrize("end", [0.47, 0.445])
def test_a_rate_that_moves_nothing_is_acted_on_though_the_loss_creeps_down(log: Log, end: float) -> None:
    diagnosis = log.judged({"lr": "{:.3e}"}, rec=np.linspace(0.5, end, ROWS) * noise(0.02), lr=np.full(ROWS, 1e-9))
    assert diagnosis.status == "act" and diagnosis.causes[0].id == "E2"
    assert diagnosis.causes[0].fix.changes.get("lr", 1e-4) == 1e-4  # five times nothing is nothing


@every_trainer
def test_a_small_rate_is_no_fault_where_the_run_becomes_better(log: Log) -> None:
    assert log.judged({"lr": "{:.3e}"}, rec=falls(), lr=np.full(ROWS, 1e-7)).status == "healthy"


@every_trainer
def test_a_rate_below_zero_is_said(log: Log) -> None:
    diagnosis = log.judged(rec=falls(), lr=-RATE)
    assert diagnosis.status == "act" and "below zero" in diagnosis.headline
    assert all(value > 0 for step in diagnosis.next for key, value in step.changes.items() if key == "lr")


@every_trainer
def test_a_missing_warm_up_at_a_huge_rate_goes_to_the_range_of_the_family(log: Log) -> None:
    rec = 0.05 * noise() * np.where((ROW > 0) & (ROW < 20), 4 - 0.15 * ROW, 1)
    diagnosis = log.judged(rec=rec, kl=3000 * noise(seed=2), lr=np.full(ROWS, 0.05))
    rates = {c.fix.changes["lr"] for c in diagnosis.causes if "lr" in c.fix.changes}
    assert "E3" in [c.id for c in diagnosis.causes] and rates == {1e-4}


# --- runs that do not become better -------------------------------------------------------------------------------------------


@every_trainer
@pytest.mark.parametrize("end", [0.29, 0.36])
def test_a_run_that_stands_still_since_its_first_rows_is_not_healthy(log: Log, end: float) -> None:
    rec = (np.linspace(0.31, end, ROWS) + 0.5 * np.exp(-ROW / 3)) * noise(0.03)
    diagnosis = log.judged(rec=rec, lr=RATE)
    told = "has hardly become better since" if end < 0.31 else "has not become better since"
    assert diagnosis.status == "watch" and told in said(diagnosis)
    better = 20 + 3 * (1 - np.exp(-ROW / 50)) + 0.2 * np.random.default_rng(0).normal(size=ROWS)
    assert "MET1009" not in codes(log.judged(rec=rec, psnr=better, lr=RATE))


@every_trainer
@pytest.mark.parametrize("pace", [4.0, 10.0])
def test_a_run_that_learns_fast_and_then_slowly_is_healthy(log: Log, pace: float) -> None:
    rec = (0.05 + 0.02 * np.exp(-ROW / 60) + 0.95 * np.exp(-ROW / pace)) * noise(0.03)
    assert log.judged(rec=rec, lr=RATE).status == "healthy"


@every_trainer
def test_a_run_that_never_improves_while_held_out_data_become_worse_is_acted_on(log: Log) -> None:
    val = (0.43 + 0.1 * np.minimum(1, ROW / 120)) * noise(0.02, 5)
    rec = (np.linspace(0.31, 0.34, ROWS) + 0.3 * np.exp(-ROW / 3)) * noise(0.03)
    assert log.judged(rec=rec, val=val, lr=RATE).status == "act"


@every_trainer
@pytest.mark.parametrize("rows", [1, 6])
def test_a_start_that_throws_the_weights_far_out_is_the_rate_though_it_comes_back(log: Log, rows: int) -> None:
    hit = (ROW >= 5) & (5 + rows > ROW)
    rec = (0.3 + 0.3 * np.exp(-ROW / 30)) * noise() * np.where(hit, 300, 1)
    kl = (30 + 2000 * (1 - np.exp(-ROW / 20))) * noise(seed=1) * np.where(hit, 1e6, 1)
    for columns in ({"rec": rec}, {"rec": rec, "kl": kl}, {"rec": rec / np.where(hit, 300, 1), "kl": kl}):
        diagnosis = log.judged(**columns)
        assert "MET1010" in codes(diagnosis) and diagnosis.causes[0].id == "E1"
    assert diagnosis.status == "act"


@every_trainer
def test_a_kl_that_rises_from_nothing_and_collapses_did_not_explode(log: Log) -> None:
    kl = (0.01 + 30 * (1 - np.exp(-ROW / 3)) * np.exp(-ROW / 15)) * noise(seed=1)
    diagnosis = log.judged(rec=(0.4 + 0.2 * np.exp(-ROW / 5)) * noise(), kl=kl, lr=RATE)
    assert "MET1010" not in codes(diagnosis) or diagnosis.causes[0].id == "C1"


@every_trainer
def test_what_the_first_epochs_learned_counts(trainer: str, tmp_path: Path) -> None:
    rec = (0.05 + 0.07 * np.exp(-np.arange(60) / 3.0)) * noise(0.01)[:60]
    path = tmp_path / "log.csv"
    path.write_text("\n".join([f"epoch,{NAMES[trainer]['rec']}", *(f"{i + 1},{v:.5g}" for i, v in enumerate(rec))]))
    assert diagnose(read(path)).status == "healthy"


# --- causes and what they rest on ---------------------------------------------------------------------------------------------


@every_trainer
@pytest.mark.parametrize("times", [5, 30])
def test_spikes_that_are_gone_at_the_next_row_are_no_shock_of_the_optimizer(log: Log, times: float) -> None:
    rec = falls()
    rec[60::20] *= times
    diagnosis = log.judged(rec=rec, lr=RATE)
    assert diagnosis.causes[0].id == "A2" and not {"E3", "E5", "E11"} & {c.id for c in diagnosis.causes}
    assert "not the optimiser" not in said(diagnosis)
