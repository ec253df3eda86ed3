"""Generate the runs of the fault bench: train, verify against the healthy twin, write the log and its truth.

    python benchmarks/faultbench/generate.py [--only id ...] [--seeds 0 1 2] [--jobs 2] [--out benchmarks/faultbench/logs]

Runs whose truth file is there are left alone, so an interrupted generation goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import shutil
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import dialects
import torch
from recipe import Recipe
from recipes import RECIPES, SEEDS
from systems import SYSTEMS
from training import CACHE, Result, Training
from truth import FILE_NAME, Truth

HERE = Path(__file__).parent
PRETRAINING_STEPS = 600
SMOOTHED = 5
"""Steps over which the reconstruction term is averaged for "doubled"."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate the runs of the fault bench.")
    parser.add_argument("--only", nargs="*", default=[], help="recipe ids; all by default")
    parser.add_argument("--seeds", nargs="*", type=int, default=list(SEEDS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "logs")
    options = parser.parse_args()
    unknown = set(options.only) - set(RECIPES)
    if unknown:
        raise SystemExit(f"no such recipe: {', '.join(sorted(unknown))}; there are {', '.join(RECIPES)}")
    wanted = [
        (name, seed)
        for seed in options.seeds
        for name in (options.only or RECIPES)
        if not (options.out / f"{name}-{seed}" / FILE_NAME).exists()
    ]
    begun = time.time()
    with ProcessPoolExecutor(options.jobs) as pool:
        tasks = [pool.submit(generate, name, seed, options.out) for name, seed in wanted]
        for done, task in enumerate(as_completed(tasks), 1):
            left = (time.time() - begun) / done * (len(tasks) - done)
            try:
                line = summary(task.result())
            except Exception as error:  # one failed run must not lose the others
                line = f"FAILED {type(error).__name__}: {error}"
            print(f"[{done}/{len(tasks)}, {left / 60:.1f} min left] {line}", flush=True)


def generate(name: str, seed: int, out: Path) -> Truth:
    """One run with its twin, log and truth file."""
    torch.set_num_threads(1)
    recipe = RECIPES[name]
    system, dialect = recipe.system(seed), recipe.dialect(seed)
    base, changes = recipe.settings(system)
    start = pretrained(system.name, seed) if recipe.start else None
    twin = healthy(system.name, seed, base, recipe.start)
    training = Training(system, seed, changes, start, guarded=dialects.guarded(dialect, system))
    if recipe.plant is not None:
        recipe.plant(training)
    result = training.run(dialect)
    if recipe.start:
        result.derived["pretrained"] = True
        model = result.config.model.model_copy(update={"pretrained": "/data/vae"})
        result.config = result.config.model_copy(update={"model": model})  # as such a run would have logged it
    folder = out / f"{name}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    log = dialects.write(dialect, result, folder)
    truth = judged(recipe, seed, dialect, log, result, twin)
    truth.save(folder)
    return truth


def judged(recipe: Recipe, seed: int, dialect: str, log: str, result: Result, twin: Result) -> Truth:
    """The label, after the fault was looked for."""
    verified = recipe.check.verify(result, twin)
    kind = "faulty" if recipe.faulty and verified.present else "harmless" if recipe.faulty else "healthy"
    if not recipe.faulty and not verified.present:
        raise ValueError(f"{recipe.id}-{seed} should be healthy but is not: {verified}")
    steps = result.config.run.steps
    doubled = doubled_step(result, twin, recipe.onset) if kind == "faulty" and recipe.diverges else None
    return Truth(
        id=recipe.id, kind=kind, causes=recipe.causes if kind == "faulty" else (),
        also_accepted=recipe.also if kind == "faulty" else (), onset_step=recipe.onset if kind == "faulty" else None,
        steps=steps, system=recipe.system(seed).name, dialect=dialect, seed=seed, log=log, verified=verified,
        relabelled=kind == "harmless", diverges=doubled is not None, doubled_step=doubled,
    )  # fmt: skip


def doubled_step(result: Result, twin: Result, onset: int) -> int | None:
    """First step at which rec_loss is twice the twin's and stays above it, or None where the run does not diverge."""
    ratios = [_mean(result, step) / _mean(twin, step) for step in range(onset, len(twin.rows))]
    above = [not ratio < 2 for ratio in ratios]
    if not above or sum(above[-25:]) < 20:
        return None
    return onset + above.index(True)


def _mean(result: Result, step: int) -> float:
    """Of SMOOTHED steps to `step`; infinite where the run has ended or is not finite."""
    values = [row["rec_loss"] for row in result.rows[max(0, step - SMOOTHED + 1) : step + 1]]
    if step >= len(result.rows) or not all(math.isfinite(value) for value in values):
        return math.inf
    return statistics.fmean(values)


def healthy(system: str, seed: int, base: dict[str, Any], start: str) -> Result:
    """The twin, from the cache if it has been trained before."""
    described = json.dumps([system, seed, base, start, SYSTEMS[system].settings], sort_keys=True, default=str)
    path = CACHE / f"twin-{hashlib.sha256(described.encode()).hexdigest()[:16]}.pt"
    if not path.exists():
        weights = pretrained(system, seed) if start else None
        _save(Training(SYSTEMS[system], seed, base, weights).run(), path)
    return torch.load(path, weights_only=False)


def pretrained(system: str, seed: int) -> dict[str, torch.Tensor]:
    """Weights of a longer run without a GAN."""
    path = CACHE / f"pretrained-{system}-{seed}.pt"
    if not path.exists():
        changes = {"run.steps": PRETRAINING_STEPS, "loss.disc": "none", "optim.schedule": "cosine"}
        _save(Training(SYSTEMS[system], 100 + seed, changes).run().weights, path)
    return torch.load(path, weights_only=False)


def _save(value: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    torch.save(value, part)
    part.replace(path)


def summary(truth: Truth) -> str:
    ratio = truth.verified.ratio
    return (
        f"{truth.name} {truth.system} {truth.dialect} {truth.kind}: {truth.verified.what}"
        f" {truth.verified.fault_value} against {truth.verified.twin_value} (ratio {'inf' if ratio is None else f'{ratio:.3g}'})"
        + (f" doubled at {truth.doubled_step}" if truth.diverges else "")
    )


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main()
