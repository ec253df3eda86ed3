"""Interrupted runs go on: killed at any moment, also while saving, the numbers are those of a run never interrupted."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from forked_processes import Forked, finished, vaelab
from small_runs import command, environment, events, rows, small, written
from vaelab.errors import CheckpointError, TrainError
from vaelab.training import train

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """In an interpreter with a hash seed of its own, which the numbers must not depend on."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    config = written(folder.parent / "small.yaml", small())
    subprocess.run(command("train", config, "-o", folder), env=environment(), check=True, capture_output=True)
    return rows(folder)


def wait_for(condition: Callable[[], bool], process: Forked) -> bool:
    """Whether ``condition`` came true while the process ran."""
    while process.poll() is None:
        if condition():
            return True
        time.sleep(0.005)
    return condition()


def test_killed_at_random_moments_and_while_saving(uninterrupted: list[dict], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    config = written(tmp_path / "small.yaml", small())
    chance = random.Random(4)

    def steps_logged() -> int:
        path = folder / "metrics.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def is_saving() -> bool:
        return any((folder / "checkpoints").glob(".unfinished-*"))

    def killed(moment: Callable[[], bool]) -> None:
        process = Forked(vaelab, "train", config, "-o", folder, "--resume")
        assert wait_for(moment, process), process.output
        time.sleep(chance.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()

    killed(lambda: steps_logged() >= 2)
    killed(is_saving)
    killed(lambda: steps_logged() >= 6)
    killed(is_saving)
    finished(Forked(vaelab, "resume", folder))
    assert rows(folder) == uninterrupted
    assert any(event["event"] == "resume" for event in events(folder))
    assert not list((folder / "checkpoints").glob(".unfinished-*"))


def test_interrupt_saves_first_and_resume_goes_on(uninterrupted: list[dict], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    config = written(tmp_path / "small.yaml", small())
    process = Forked(vaelab, "train", config, "-o", folder)
    assert wait_for(lambda: (folder / "metrics.jsonl").exists() and bool(rows(folder)), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 130, process.output
    assert f"vaelab resume {folder}" in process.output.replace("\n", " ")
    finished(Forked(vaelab, "resume", folder))
    assert rows(folder) == uninterrupted


SHORT = {"optim__warmup_steps": 0, "loss__disc_start": 2, "loss__disc_warmup": 0}


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of five steps that went through its start of the GAN; tests that change it copy it."""
    folder = tmp_path_factory.mktemp("short") / "run"
    train(small(run__steps=5, **SHORT), folder)
    return folder


def test_a_run_is_not_overwritten(short: Path) -> None:
    before = rows(short)
    with pytest.raises(TrainError, match="already holds a run"):
        train(small(run__steps=5, **SHORT), short)
    assert rows(short) == before


def test_a_damaged_checkpoint_is_named(short: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(short, tmp_path / "run")
    newest = max((folder / "checkpoints").glob("step-*"))
    (newest / "training.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match=r"training\.pt cannot be read.*another checkpoint"):
        train(small(run__steps=9, **SHORT), folder, resume=True)
    (newest / "training.pt").unlink()
    with pytest.raises(CheckpointError, match="is missing"):
        train(small(run__steps=9, **SHORT), folder, resume=True)


def test_other_networks_are_refused(short: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(short, tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"discriminator\.safetensors do not fit"):
        train(small(run__steps=9, loss__disc_channels=16, **SHORT), folder, resume=True)


def test_trained_autoencoder_loads_with_diffusers(short: Path) -> None:
    from diffusers import AutoencoderKL

    for name in ("autoencoder", "autoencoder_ema"):
        network = AutoencoderKL.from_pretrained(short / "checkpoints" / "step-00000005" / name)
        assert network.config.latent_channels == 4


def test_checkpoints_kept(tmp_path: Path) -> None:
    train(small(run__steps=17, run__checkpoint_every=2, run__validate_every=2), tmp_path / "run")
    kept = sorted(p.name for p in (tmp_path / "run" / "checkpoints").glob("step-*"))
    assert kept[-2:] == ["step-00000016", "step-00000017"]
    assert len(kept) <= 4  # the best one beside the newest two
