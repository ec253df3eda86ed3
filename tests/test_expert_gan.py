"""What an expert would say of a GAN's own columns: a discriminator that wins or leads, terms out of all range, a weight at its clamp."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from expert_logs import ROW, ROWS, Log, codes, every_trainer, falls, noise, said

RATE = np.full(ROWS, 1.37e-4)
ON = ROW >= 60


@pytest.fixture
def log(tmp_path: Path, trainer: str) -> Log:
    return Log(tmp_path, trainer)


def with_the_gan(values: np.ndarray) -> np.ndarray:
    return np.where(ON, values, math.nan)


@every_trainer
@pytest.mark.parametrize("began_lost", [True, False])
def test_a_discriminator_at_no_loss_beside_a_rising_generators_term_has_won(log: Log, began_lost: bool) -> None:
    disc = 0.005 + (0.0 if began_lost else 0.6) * np.exp(-ROW / 10)
    diagnosis = log.judged(rec=falls(), disc=disc * noise(0.3, 3), g=np.linspace(5, 25, ROWS) * noise(0.05, 4), lr=RATE)
    assert diagnosis.status == "watch" and diagnosis.causes[0].id == "D4" and "has won" in diagnosis.headline


@every_trainer
@pytest.mark.parametrize("sign", [1, -1])
def test_a_generators_term_that_leaves_all_range_is_watched(log: Log, sign: int) -> None:
    g = sign * np.exp(np.maximum(ROW - 100, 0) / 10) * noise(0.05, 4)
    diagnosis = log.judged(rec=falls(), disc=0.7 * noise(0.05, 3), g=g, lr=RATE)
    assert diagnosis.status == "watch" and "MET1006" in codes(diagnosis)


@every_trainer
def test_a_generators_term_that_begins_near_zero_may_grow(log: Log) -> None:
    g = (0.01 + 3 * (1 - np.exp(-np.maximum(ROW - 40, 0) / 60))) * noise(0.1, 4)
    assert "MET1006" not in codes(log.judged(rec=falls(), disc=0.7 * noise(0.05, 3), g=g, lr=RATE))


@every_trainer
def test_a_discriminators_loss_far_beyond_chance_is_watched(log: Log) -> None:
    disc = 2 * np.exp(np.maximum(ROW - 150, 0) / 11)
    diagnosis = log.judged(rec=falls(), disc=disc * noise(0.05, 3), lr=RATE)
    assert diagnosis.status == "watch" and "MET1006" in codes(diagnosis)


@every_trainer
@pytest.mark.parametrize("clamp", [1e4, 8000.0, 500.0])
def test_an_adaptive_weight_at_its_clamp_is_watched_without_the_columns_to_solve_it(log: Log, clamp: float) -> None:
    weight = np.minimum(clamp, 10 * np.exp((ROW - 60.0).clip(0) / 8))
    diagnosis = log.judged(
        rec=falls(),
        disc=with_the_gan(noise(seed=3)),
        g=with_the_gan(0.1 * noise(seed=4)),
        dw=with_the_gan(weight),
        lr=RATE,
    )
    assert diagnosis.status == "watch" and "at its clamp" in diagnosis.headline
    below = np.minimum(clamp, 10 * np.exp((ROW - 60.0).clip(0) / 8)) * noise(0.02, 6)
    assert "ADV310" not in codes(
        log.judged(rec=falls(), disc=with_the_gan(noise(seed=3)), dw=with_the_gan(below), lr=RATE)
    )


@every_trainer
def test_a_discriminator_that_leads_is_told_and_is_no_alarm(log: Log) -> None:
    disc = with_the_gan((0.17 + 0.8 * np.exp(-(ROW - 60.0).clip(0) / 5)) * noise(0.2, 3))
    diagnosis = log.judged(
        rec=falls(), disc=disc, real=with_the_gan(1.6 * noise(seed=4)), fake=with_the_gan(-1.6 * noise(seed=5)), lr=RATE
    )
    assert (
        diagnosis.status in ("healthy", "watch") and "The discriminator leads" in said(diagnosis)
    ) or "has won" in said(diagnosis)


@every_trainer
def test_a_gan_start_that_is_undone_only_at_the_end_is_watched(log: Log) -> None:
    def run(pace: float) -> str:
        hit = np.where(ON, 1 + 3.7 * np.exp(-(ROW - 60.0).clip(0) / pace), 1)
        rec = (0.2 + 0.8 * np.exp(-ROW / 10)) * hit * noise(seed=2)
        return log.judged(
            rec=rec, disc=with_the_gan(0.9 * noise(seed=3)), g=with_the_gan(0.1 * noise(seed=4)), lr=RATE
        ).status

    assert run(35) == "watch" and run(6) == "healthy"
