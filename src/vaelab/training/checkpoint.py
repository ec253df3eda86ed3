"""Checkpoints: complete, and atomic, so that a run killed at any moment goes on from a whole one.

A checkpoint is a folder ``checkpoints/step-00001000`` (1000 updates done):

- ``autoencoder/`` and ``autoencoder_ema/``: as diffusers saves them (config.json, safetensors), ready for from_pretrained
- ``discriminator.safetensors``
- ``training.pt``: optimizers, loss scalers, LeCam, running means, counters, position in the data
- ``rank-0.pt`` ...: the random generators of each process

It is written under a temporary name, flushed to the disk, and renamed. ``checkpoints/index.json`` names the best one and
the last one that was judged healthy.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from vaelab.errors import CheckpointError, reason
from vaelab.files import read_text
from vaelab.training.distributed import Ranks
from vaelab.training.step import TrainingStep

_NAME = re.compile(r"step-(\d{8,})")
_UNFINISHED = ".unfinished-"
_REPLACED = f"{_UNFINISHED}replaced-"
_ROLLBACK = "rollback.json"


class Checkpoints:
    """The checkpoints of one run. All ranks call ``save`` and ``restore``; rank 0 writes what is shared."""

    def __init__(self, run_folder: Path, keep: int, ranks: Ranks) -> None:
        self.folder, self.keep, self.ranks = run_folder / "checkpoints", keep, ranks
        if ranks.is_main:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._tidy()
        ranks.barrier()

    def _tidy(self) -> None:
        """What a killed process left: a checkpoint that was moved aside for a newer one comes back where that one is missing."""
        for left_over in self.folder.glob(f"{_UNFINISHED}*"):
            name = left_over.name.removeprefix(_REPLACED)
            if name != left_over.name and not (self.folder / name).exists():
                left_over.rename(self.folder / name)
            else:
                shutil.rmtree(left_over, ignore_errors=True)

    def save(self, step: TrainingStep, done: int, plain: Mapping[str, Any]) -> Path:
        """Write the state after ``done`` updates; ``plain`` is what ``restore`` gives back: numbers, text, lists, dicts."""
        final, work = self.folder / f"step-{done:08d}", self.folder / f"{_UNFINISHED}step-{done:08d}"
        try:
            self._write(work, step, done, plain)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            raise CheckpointError(
                f"the checkpoint after {done} steps cannot be written in {self.folder} ({reason(error)}). Older ones are"
                f" whole: make room and go on with vaelab resume {self.folder.parent}"
            ) from None
        if self.ranks.is_main:
            self._move_into_place(work, final)
            self._delete_old()
        self.ranks.barrier()
        return final

    def _write(self, work: Path, step: TrainingStep, done: int, plain: Mapping[str, Any]) -> None:
        if self.ranks.is_main:
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
        self.ranks.barrier()
        torch.save(_random_state(self.ranks.device), work / f"rank-{self.ranks.rank}.pt")
        if self.ranks.is_main:
            step.autoencoder.save(work / "autoencoder")
            if step.ema is not None:
                step.ema.network.save(work / "autoencoder_ema")
            if step.discriminator is not None:
                weights = {name: value.contiguous() for name, value in step.discriminator.state_dict().items()}
                save_file(weights, work / "discriminator.safetensors")
            state = {"done": done, "world": self.ranks.world, "step": step.state_dict(), "plain": dict(plain)}
            torch.save(state, work / "training.pt")
        self.ranks.barrier()

    def _move_into_place(self, work: Path, final: Path) -> None:
        _flush(work)
        replaced = self.folder / f"{_REPLACED}{final.name}"
        if final.exists():
            final.rename(replaced)
        work.rename(final)
        _flush_folder(self.folder)
        shutil.rmtree(replaced, ignore_errors=True)

    def restore(self, step: TrainingStep, path: Path) -> dict[str, Any]:
        """Load the state in ``path`` into ``step`` and the random generators; returns the plain data given to ``save``.

        Raises CheckpointError if a part is missing, damaged or does not fit.
        """
        state = _load(path / "training.pt")
        networks: list[tuple[str, torch.nn.Module]] = [("autoencoder", step.autoencoder.module)]
        if step.ema is not None:
            networks.append(("autoencoder_ema", step.ema.network.module))
        for name, network in networks:
            _load_weights(network, path / name / "diffusion_pytorch_model.safetensors")
        # a run that was too short for a GAN and goes on for longer begins with a new discriminator
        if step.discriminator is not None and state["step"]["discriminator"] is not None:
            _load_weights(step.discriminator, path / "discriminator.safetensors")
        try:
            step.load_state_dict(state["step"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{path} does not fit this run's networks ({reason(error)}). Resume with the config.yaml it was written with."
            ) from None
        own = path / f"rank-{self.ranks.rank}.pt"
        if state["world"] == self.ranks.world and own.exists():
            _set_random_state(_load(own), self.ranks.device)
        self.ranks.barrier()
        return state["plain"]

    def latest(self) -> Path | None:
        """The newest whole checkpoint."""
        found = self._all()
        return found[-1] if found else None

    def mark(self, label: str, path: Path) -> None:
        """Remember ``path`` as ``best`` or ``healthy``; it is then kept."""
        index = self._index()
        index[label] = path.name
        _write_json(self.folder / "index.json", index)
        self._delete_old()

    def plan_rollback(self, plan: Mapping[str, Any] | None) -> None:
        """Remember a rollback that is about to happen (None: it is done), so that a run killed in it finishes it at its next start."""
        if not self.ranks.is_main:
            return
        path = self.folder / _ROLLBACK
        if plan is None:
            path.unlink(missing_ok=True)
        else:
            _write_json(path, plan)

    def planned_rollback(self) -> dict[str, Any] | None:
        """The rollback that was begun and not finished."""
        try:
            plan: dict[str, Any] = json.loads(read_text(self.folder / _ROLLBACK))
        except (OSError, ValueError):
            return None
        return plan

    def marked(self, label: str) -> Path | None:
        """The checkpoint last marked with ``label``, if it still exists."""
        name = self._index().get(label)
        return self.folder / name if name and (self.folder / name).is_dir() else None

    def discard_after(self, done: int) -> None:
        """Delete checkpoints of more than ``done`` updates, as a rollback does."""
        for path in self._all():
            if _done(path) > done:
                shutil.rmtree(path, ignore_errors=True)

    def _all(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted((p for p in self.folder.iterdir() if _NAME.fullmatch(p.name) and p.is_dir()), key=_done)

    def _index(self) -> dict[str, str]:
        try:
            return json.loads(read_text(self.folder / "index.json"))
        except (OSError, ValueError):
            return {}

    def _delete_old(self) -> None:
        kept = set(self._index().values())
        for path in self._all()[: -self.keep]:
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(json.dumps(value, indent=1) + "\n")
    temporary.replace(path)


def _done(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _load(path: Path) -> dict[str, Any]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: the checkpoint is not whole. Resume from another one.") from None
    except Exception as error:
        raise CheckpointError(f"{path} cannot be read ({reason(error)}). Resume from another checkpoint.") from None


def _load_weights(network: torch.nn.Module, path: Path) -> None:
    try:
        network.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: the checkpoint is not whole. Resume from another one.") from None
    except Exception as error:
        raise CheckpointError(
            f"the weights in {path} do not fit or cannot be read ({reason(error)}). Resume with the config.yaml they"
            " were written with, or from another checkpoint."
        ) from None


def _random_state(device: torch.device) -> dict[str, Any]:
    name, keys, position, has_gauss, gauss = np.random.get_state()
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss],
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _set_random_state(state: dict[str, Any], device: torch.device) -> None:
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    name, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
