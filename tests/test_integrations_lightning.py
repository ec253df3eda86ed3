"""VaelabCallback in fits of the real Lightning, under both names of the package."""

from __future__ import annotations

import csv
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import lightning.pytorch
import numpy as np
import pytest
import pytorch_lightning
import torch
from torch import nn

import vaelab
from vaelab.integrations.lightning import VaelabCallback


def images(count: int = 32) -> torch.utils.data.DataLoader[Any]:
    x = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, torch.zeros(count)), batch_size=4)


def module(package: ModuleType, manual: bool = False, bad_from: int | None = None) -> Any:
    class Autoencoder(package.LightningModule):
        def __init__(self, kl_weight: float = 1e-6) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.automatic_optimization = not manual
            self.encode, self.decode = nn.Conv2d(1, 4, 4, 4), nn.ConvTranspose2d(2, 1, 4, 4)
            self.judge = nn.Conv2d(1, 1, 4, 4)

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor | None:
            x = batch[0]
            mean, logvar = self.encode(x).chunk(2, 1)
            y = self.decode(mean + torch.randn_like(mean) * torch.exp(0.5 * logvar))
            rec = (x - y).abs().mean()
            if bad_from is not None and self.trainer.global_step >= bad_from:
                rec = rec * float("nan")
            kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum((1, 2, 3)).mean()
            loss = rec + self.hparams.kl_weight * kl
            self.log_dict({"train/rec_loss": rec, "train/kl_loss": kl}, on_step=True, on_epoch=False)
            self.log("aeloss", loss, on_step=True, on_epoch=True)
            if not manual:
                return loss
            for optimizer, own in zip(self.optimizers(), (loss, self.judge(y.detach()).mean()), strict=True):
                optimizer.zero_grad()
                self.manual_backward(own)
                optimizer.step()
            return None

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            y = self.decode(self.encode(batch[0]).chunk(2, 1)[0])
            self.log("val/rec_loss", (batch[0] - y).abs().mean())

        def configure_optimizers(self) -> Any:
            autoencoder = torch.optim.Adam([*self.encode.parameters(), *self.decode.parameters()], lr=1e-3)
            return [autoencoder, torch.optim.Adam(self.judge.parameters())] if manual else autoencoder

    return Autoencoder()


def fit(
    package: ModuleType, model: Any, callback: Any, folder: Path, resume: Path | None = None, **options: Any
) -> Any:
    logger = package.loggers.CSVLogger(folder)
    trainer = package.Trainer(
        **{"max_epochs": 2, **options}, accelerator="cpu", devices=1, logger=logger, callbacks=[callback],
        log_every_n_steps=2, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, images(), images(8), ckpt_path=resume)
    return trainer


def written_by_lightning(folder: Path, name: str) -> dict[int, float]:
    with next(folder.rglob("metrics.csv")).open() as file:
        return {int(row["step"]): float(row[name]) for row in csv.DictReader(file) if row.get(name)}


def recorded(callback: VaelabCallback, name: str) -> dict[int, float]:
    assert callback.monitor.diagnosis is not None
    run = callback.monitor.diagnosis.run
    values = next(run[c] for c in run if run.columns[c].original == name)
    return {int(s): float(v) for s, v in zip(run.steps, values, strict=True) if not np.isnan(v)}


@pytest.mark.parametrize("package", [lightning.pytorch, pytorch_lightning])
@pytest.mark.parametrize("manual", [False, True])
def test_the_same_rows_as_lightnings_own_log(package: ModuleType, manual: bool, tmp_path: Path) -> None:
    callback = VaelabCallback(path=tmp_path / "monitor")
    fit(package, module(package, manual), callback, tmp_path / "csv")
    for name in ("train/rec_loss", "train/kl_loss", "aeloss_step", "val/rec_loss", "aeloss_epoch"):
        own = written_by_lightning(tmp_path / "csv", name)
        assert len(own) >= 2
        assert recorded(callback, name) == pytest.approx(own), name
    assert callback.monitor.diagnosis is not None
    config = callback.monitor.diagnosis.run.config
    assert config["kl_weight"] == 1e-6 and config["total_steps"] == 16
    assert config["clip_shape"] == [1, 8, 8] and config["input_range"] == [-1.0, 1.0]
    assert callback.monitor.diagnosis.run.trainer == "ldm"  # by the names of its columns
    assert len(vaelab.read(tmp_path / "monitor")) == len(callback.monitor.diagnosis.run)


def test_gradient_accumulation(tmp_path: Path) -> None:
    callback = VaelabCallback()
    fit(lightning.pytorch, module(lightning.pytorch), callback, tmp_path, accumulate_grad_batches=2)
    assert recorded(callback, "train/rec_loss") == pytest.approx(written_by_lightning(tmp_path, "train/rec_loss"))
    assert callback.monitor.diagnosis is not None
    assert not any(note.kind == "duplicate_steps" for note in callback.monitor.diagnosis.run.notes)


def test_a_checkpoint_carries_the_rows(tmp_path: Path) -> None:
    first = VaelabCallback()
    trainer = fit(lightning.pytorch, module(lightning.pytorch), first, tmp_path / "a")
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    second = VaelabCallback()
    fit(lightning.pytorch, module(lightning.pytorch), second, tmp_path / "b", tmp_path / "last.ckpt", max_epochs=3)
    before, after = recorded(first, "train/rec_loss"), recorded(second, "train/rec_loss")
    assert {step: after[step] for step in before} == before
    assert max(after) == 23


def test_a_run_of_nan_is_stopped(tmp_path: Path) -> None:
    callback = VaelabCallback(stop_on="stop", interval=0.0)
    callback.monitor.on_change(lambda change: None)
    trainer = fit(lightning.pytorch, module(lightning.pytorch, bad_from=4), callback, tmp_path, max_epochs=2000)
    assert callback.monitor.status == "stop"
    assert trainer.current_epoch < 2000


def test_a_callback_of_one_package_serves_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when vaelab is imported before Lightning: which package comes is not known yet."""
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "pytorch_lightning")
        callback = runpy.run_module("vaelab.integrations.lightning")["VaelabCallback"]()
    assert not isinstance(callback, pytorch_lightning.Callback)
    fit(pytorch_lightning, module(pytorch_lightning), callback, tmp_path)
    assert recorded(callback, "train/rec_loss") == pytest.approx(written_by_lightning(tmp_path, "train/rec_loss"))
