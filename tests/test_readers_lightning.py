"""Logs of VidTok's names that Lightning's own loggers wrote: the same run whichever logger it was."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

import vaelab
from vaelab.errors import LogError

STEPS = range(49, 1000, 50)
LOGGERS: dict[str, Callable[[Path], Logger]] = {
    "csv": lambda folder: CSVLogger(folder),
    "tensorboard": lambda folder: TensorBoardLogger(folder),
    "wandb": lambda folder: WandbLogger(save_dir=folder, offline=True, mode="offline", project="vae"),
}


def value(name: str, step: int) -> float:
    return float(np.float32(len(name) / (step + 1)))


def until_written(folder: Path) -> None:
    """W&B writes in a process of its own, which may end after ``finish`` has returned: wait for the record of the exit."""
    for _ in range(600):
        with suppress(LogError):
            if any(event.kind == "finished" for event in vaelab.read(folder).events):
                return
        time.sleep(0.1)


@pytest.mark.parametrize("format", LOGGERS)
def test_one_run_in_every_logger(format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = LOGGERS[format](tmp_path)
    names = ("rec_loss", "nll_loss", "kl_loss", "non_saturated_d_loss", "lecam_loss")
    logger.log_hyperparams({"loss": {"kl_weight": 1e-6, "disc_start": 20001}, "lr": 1e-5})
    for step in STEPS:
        logger.log_metrics({f"train/{name}_step": value(name, step) for name in names} | {"epoch": step // 500}, step)
        if step % 500 == 499:
            ends = {f"train/{name}_epoch": value(name, step) for name in names}
            logger.log_metrics({"val/rec_loss": 2.0, "epoch": step // 500} | ends, step)
    logger.save()
    logger.finalize("success")
    if format == "wandb":
        logger.experiment.finish()
        until_written(tmp_path)
    run = vaelab.read(tmp_path)
    assert (run.format, run.trainer) == (format, "vidtok")
    assert run.steps.tolist() == list(STEPS)
    for name in names:
        np.testing.assert_allclose(run.series(name)[1], [value(name, step) for step in STEPS], rtol=1e-6)
    assert run.series("val/rec_loss")[0].tolist() == [499, 999]
    assert {"kl_weight": 1e-6, "disc_start": 20001, "lr": 1e-5}.items() <= run.config.items()
