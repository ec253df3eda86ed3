"""VaelabTracker with the real Accelerate."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

import vaelab
from vaelab.integrations.accelerate import VaelabTracker


def test_a_loop_with_accelerate(tmp_path: Path) -> None:
    accelerator = Accelerator(cpu=True, log_with=VaelabTracker(path=tmp_path))
    accelerator.init_trackers("first", config={"learning_rate": 1e-3, "kl_weight": 1e-6, "note": None})
    model = torch.nn.Linear(8, 8)
    model, optimizer = accelerator.prepare(model, torch.optim.Adam(model.parameters(), 1e-3))
    x = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
    for step in range(60):
        rec = ((model(x) - x) ** 2).mean()
        accelerator.backward(rec)
        optimizer.step()
        optimizer.zero_grad()
        accelerator.log({"rec_loss": rec, "kl_loss": 10.0, "name": "first"}, step=step)
    tracker = accelerator.get_tracker("vaelab")
    assert isinstance(tracker, VaelabTracker) and tracker.status in ("cannot-tell", "healthy", "watch", "act")
    monitor = accelerator.get_tracker("vaelab", unwrap=True)
    accelerator.end_training()
    assert monitor.diagnosis is not None
    run = vaelab.read(tmp_path)
    assert run.steps.tolist() == list(range(60)) and run.config == {"lr": 1e-3, "kl_weight": 1e-6}
    assert run["rec_loss"][-1] == pytest.approx(rec.item())


def test_calls_without_a_step_are_counted() -> None:
    accelerator = Accelerator(cpu=True, log_with=VaelabTracker())
    accelerator.init_trackers("first")
    for _ in range(3):
        accelerator.log({"rec_loss": 1.0})
    monitor = accelerator.get_tracker("vaelab", unwrap=True)
    accelerator.end_training()
    assert monitor.diagnosis.run.steps.tolist() == [0, 1, 2]
