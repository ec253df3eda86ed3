"""VaelabCallback in the real Trainer of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainingArguments

import vaelab
from vaelab.integrations.transformers import VaelabCallback


class Autoencoder(torch.nn.Module):
    def __init__(self, bad: bool = False) -> None:
        super().__init__()
        self.bad = bad
        self.encode, self.decode = torch.nn.Linear(16, 8), torch.nn.Linear(4, 16)

    def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        mean, logvar = self.encode(pixel_values).chunk(2, -1)
        y = self.decode(mean + torch.randn_like(mean) * torch.exp(0.5 * logvar))
        rec = ((pixel_values - y) ** 2).mean()
        kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum(-1).mean()
        loss = rec + 1e-6 * kl
        return {"loss": loss * float("nan") if self.bad else loss, "rec": rec.detach(), "kl": kl.detach()}


class VAETrainer(Trainer):
    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
        out = model(**inputs)
        if self.model.training and self.state.global_step % self.args.logging_steps == 0:
            self.log({"rec_loss": out["rec"].item(), "kl_loss": out["kl"].item()})
        return (out["loss"], out) if return_outputs else out["loss"]


def train(folder: Path, callback: VaelabCallback, steps: int = 20, bad: bool = False, resume: bool = False) -> Trainer:
    torch.manual_seed(0)
    data = [{"pixel_values": torch.randn(16)} for _ in range(32)]
    args = TrainingArguments(
        str(folder), max_steps=steps, logging_steps=2, save_steps=10, eval_steps=10, eval_strategy="steps", report_to=[],
        per_device_train_batch_size=4, learning_rate=1e-3, use_cpu=True, disable_tqdm=True, logging_nan_inf_filter=False, label_names=["pixel_values"],
    )  # fmt: skip
    trainer = VAETrainer(Autoencoder(bad), args, train_dataset=data, eval_dataset=data[:4], callbacks=[callback])
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def history(trainer: Trainer, name: str) -> dict[int, float]:
    return {row["step"]: row[name] for row in trainer.state.log_history if name in row}


def recorded(callback: VaelabCallback, name: str) -> dict[int, float]:
    assert callback.monitor.diagnosis is not None
    run = callback.monitor.diagnosis.run
    return {int(s): float(v) for s, v in zip(run.steps, run[name], strict=True) if not np.isnan(v)}


def test_the_same_rows_as_the_trainers_history(tmp_path: Path) -> None:
    callback = VaelabCallback(path=tmp_path / "monitor")
    trainer = train(tmp_path / "out", callback)
    for own, name in (
        ("loss", "total_loss"),
        ("rec_loss", "rec_loss"),
        ("grad_norm", "grad_norm"),
        ("eval_loss", "val/total_loss"),
    ):
        assert len(history(trainer, own)) >= 2
        assert recorded(callback, name) == pytest.approx(history(trainer, own)), name
    run = vaelab.read(tmp_path / "monitor")
    assert run.config["lr"] == 1e-3 and run.config["total_steps"] == 20 and run.config["clip_grad"] == 1.0


def test_a_resume_knows_the_rows_before_it(tmp_path: Path) -> None:
    first = train(tmp_path, VaelabCallback(), 10)
    callback = VaelabCallback()
    train(tmp_path, callback, 20, resume=True)
    rec = recorded(callback, "rec_loss")
    assert set(rec) == set(range(0, 20, 2))
    assert {s: rec[s] for s in range(0, 10, 2)} == pytest.approx(history(first, "rec_loss"))


def test_a_run_of_nan_is_stopped(tmp_path: Path) -> None:
    callback = VaelabCallback(stop_on="stop", interval=0.0)
    trainer = train(tmp_path, callback, 100_000, bad=True)
    assert callback.monitor.status == "stop" and trainer.state.global_step < 100_000
