"""What an expert would say where a setting changed in mid-run, or was wrong from the start: under the column names of several trainers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from expert_logs import ROW, ROWS, Log, codes, every_trainer, falls, noise, said

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
