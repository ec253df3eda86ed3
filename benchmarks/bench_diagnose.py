"""How long does the diagnosis take against reading the same log?

    python benchmarks/bench_diagnose.py [--rows 1000000] [--runs 400]
    python benchmarks/bench_diagnose.py --whole

Writes one run in every kind of format (console lines of several shapes, CSV, JSON lines, TensorBoard) to a temporary folder, reads
and diagnoses each, and prints CPU seconds and the ratio diagnosis / reading (below 1: the diagnosis takes less time than reading).

Then a folder of many small runs is judged by one process and on all cores, in turns, as ``vaelab diagnose FOLDER`` does it.

``--whole``: CPU seconds of ``vaelab diagnose`` of a CSV of 1,000 rows as a whole process, and of processes that only import what it needs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock, patch

import numpy as np

from vaelab import diagnose, processes, read
from vaelab.cli.judging import diagnose_paths


def columns(rows: int) -> dict[str, np.ndarray]:
    """A VAE-GAN run of ``rows`` logged rows whose GAN starts at 30%."""
    rng = np.random.default_rng(0)
    t = np.arange(rows) / rows
    on = t >= 0.3
    rec = (0.02 + 0.2 * np.exp(-8 * t)) * np.exp(rng.normal(0, 0.1, rows))
    perception = 0.8 * rec
    fake = np.where(on, rng.normal(-0.1, 0.05, rows), 0.0)
    real = np.where(on, rng.normal(0.2, 0.05, rows), 0.0)
    kl = 3000.0 * (1 - 0.8 * np.exp(-5 * t))
    nll = 10 * rec + perception
    weight = np.where(on, 0.5, 0.0)
    return {
        "lr": 1e-4 * np.minimum(1, t / 0.01),
        "vae_loss": nll + 1e-6 * kl - weight * fake,
        "kl_loss": kl,
        "nll_loss": nll,
        "rec_loss": rec,
        "perception_loss": perception,
        "d_weight": weight,
        "disc_factor": on.astype(float),
        "g_loss": -fake,
        "disc_loss": 1 - (real - fake) / 2,
        "logits_real": real,
        "logits_fake": fake,
        "grad_norm": np.exp(rng.normal(0, 0.3, rows)),
    }


def write_console(path: Path, data: dict[str, np.ndarray], per_epoch: int = 2000) -> None:
    names = list(data)
    table = np.stack(list(data.values()), axis=1)
    with path.open("w") as out:
        for row, values in enumerate(table.tolist()):
            epoch, i = divmod(row, per_epoch)
            meters = "  ".join(
                f"{n}: {v:.6f}" if n == "lr" else f"{n}: {v:.4f} ({v:.4f})" for n, v in zip(names, values, strict=True)
            )
            out.write(f"Epoch: [{epoch}]  [{i:>4}/{per_epoch}]  eta: 0:00:10  {meters}  time: 0.5000  data: 0.0010\n")


def write_csv(path: Path, data: dict[str, np.ndarray]) -> None:
    table = np.column_stack([np.arange(len(data["lr"])), *data.values()])
    np.savetxt(path, table, delimiter=",", header="step," + ",".join(data), comments="", fmt="%.6g")


def write_json_lines(path: Path, data: dict[str, np.ndarray]) -> None:
    with path.open("w") as out:
        for row, values in enumerate(np.stack(list(data.values()), axis=1).tolist()):
            out.write(
                json.dumps({"step": row, **{n: float(f"{v:.6g}") for n, v in zip(data, values, strict=True)}}) + "\n"
            )


def write_lines(path: Path, data: dict[str, np.ndarray], start: str, item: str, between: str, end: str) -> None:
    """A line a row: ``start`` with ``{row}``, ``item`` with ``{name}`` and ``{value}`` for every column, ``end``."""
    with path.open("w") as out:
        for row, values in enumerate(np.stack(list(data.values()), axis=1).tolist()):
            items = (item.format(name=n, value=v) for n, v in zip(data, values, strict=True))
            clock = f"{row // 3600 % 24:02d}:{row // 60 % 60:02d}:{row % 60:02d}"
            out.write(start.format(row=row, rows=len(data["lr"]), clock=clock) + between.join(items) + end + "\n")


def write_key_value(path: Path, data: dict[str, np.ndarray]) -> None:
    write_lines(path, data, "2026-01-01 {clock},123 - trainer - INFO - step {row}: ", "{name}: {value:.5f}", ", ", "")


def write_bars(path: Path, data: dict[str, np.ndarray]) -> None:
    start = "Epoch 0:  50%|█████     | {row}/{rows} [00:01<1:14:10,  1.01s/it, "
    write_lines(path, data, start, "{name}={value:.3g}", ", ", "]")


def write_dicts(path: Path, data: dict[str, np.ndarray]) -> None:
    write_lines(path, {"step": np.arange(len(data["lr"])), **data}, "{{", "'{name}': {value:.6g}", ", ", "}")


def write_radiodiff(path: Path, data: dict[str, np.ndarray]) -> None:
    """Two lines a row, as RadioDiff prints its generator and its discriminator."""
    named = {{"vae_loss": "total_loss", "perception_loss": "p_loss"}.get(n, n): v for n, v in data.items() if n != "lr"}
    disc = [n for n in named if n in ("disc_loss", "logits_real", "logits_fake")]
    with path.open("w") as out:
        for row in range(len(data["lr"])):
            clock = f"2026-01-01 {row // 3600 % 24:02d}:{row // 60 % 60:02d}:{row % 60:02d},123"
            for names in ([n for n in named if n not in disc], disc):
                text = "".join(f"train/{n}: {named[n][row]:.5f}, " for n in names)
                out.write(f"{clock} [Train Step] {row}/{len(data['lr'])}: {text}lr: {data['lr'][row]:.5f}, \n")


def write_tensorboard(folder: Path, data: dict[str, np.ndarray]) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for row, values in enumerate(np.stack(list(data.values()), axis=1).tolist()):
            for name, value in zip(data, values, strict=True):
                writer.add_scalar(f"train/{name}", value, row)


FORMATS: dict[str, tuple[str, Callable[[Path, dict[str, np.ndarray]], None]]] = {
    "MetricLogger text": ("console.log", write_console),
    "RadioDiff text": ("train.log", write_radiodiff),
    "key: value text": ("run.log", write_key_value),
    "tqdm bars": ("bars.log", write_bars),
    "a dict a line": ("dicts.log", write_dicts),
    "JSON lines": ("metrics.jsonl", write_json_lines),
    "CSV": ("metrics.csv", write_csv),
    "TensorBoard": ("events", write_tensorboard),
}


def folder_of_runs(runs: int, rows: int = 200) -> None:
    """One process against all cores, twice in turns; the better of the two times counts."""
    print(f"\n| runs of {rows} rows | processes | s | runs a second | times one process |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(runs):
            place = Path(folder, f"run-{number:04d}")
            place.mkdir()
            data = {name: values * (1 + number / runs) for name, values in columns(rows).items()}
            write_console(place / "train.log", data, per_epoch=100)
        best = {1: float("inf"), processes.cores_for(runs, float("inf")): float("inf")}
        for count in [*best] * 2:
            chosen = Mock(return_value=count)
            with patch.object(processes, "cores_for", chosen), patch("vaelab.readers.cores_for", chosen):
                start = time.perf_counter()
                assert len(diagnose_paths([folder], None)) == runs
                best[count] = min(best[count], time.perf_counter() - start)
        for count, seconds in best.items():
            print(f"| {runs} | {count} | {seconds:.2f} | {runs / seconds:.0f} | {best[1] / seconds:.2f} |")
    if len(best) == 1:
        print(f"This machine has {os.cpu_count()} core: there is nothing to compare.")


def whole_process(repeats: int = 10) -> None:
    """Least and median CPU seconds, in turns; the first time, which compiles the modules, is not counted."""
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "metrics.csv")
        write_csv(log, columns(1000))
        commands = {
            "vaelab diagnose": ["-m", "vaelab", "diagnose", str(log)],
            **{f"import {name}": ["-c", f"import {name}"] for name in ("numpy", "typer, pydantic", "rich.console")},
            "only Python": ["-c", ""],
        }
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": ""}
        for repeat in range(repeats + 1):
            for title, command in commands.items():
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                subprocess.run([sys.executable, *command], env=environment, capture_output=True, check=False)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                if repeat:
                    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                    times.setdefault(title, []).append(seconds)
    print("| process | least CPU s | median |\n|---|---|---|")
    for title, seconds_of in times.items():
        print(f"| {title} | {min(seconds_of):.3f} | {statistics.median(seconds_of):.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=400, help="runs of the folder; 0 leaves it out")
    parser.add_argument("--only", default="", help="formats whose name contains this text")
    parser.add_argument("--whole", action="store_true", help="only the whole process of a small log")
    options = parser.parse_args()
    if options.whole:
        whole_process()
        return
    rows = options.rows
    data = columns(rows)
    print("| log | MB | rows read | reading, CPU s | diagnosis, CPU s | diagnosis / reading | status |")
    print("|---|---|---|---|---|---|---|")
    for title, (name, write) in FORMATS.items():
        if options.only not in title:
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            write(path, data)
            start = time.process_time()
            run = read(path)
            middle = time.process_time()
            diagnosis = diagnose(run)
            end = time.process_time()
            size = sum(f.stat().st_size for f in [path, *path.rglob("*")] if f.is_file()) / 1e6
            print(
                f"| {title} | {size:.0f} | {len(run):,} | {middle - start:.2f} | {end - middle:.2f} |"
                f" {(end - middle) / (middle - start):.2f} | {diagnosis.status} |",
                flush=True,
            )
    if options.runs:
        folder_of_runs(options.runs)


if __name__ == "__main__":
    main()
