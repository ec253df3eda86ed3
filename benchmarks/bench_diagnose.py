"""How long does the diagnosis take against reading the same log?

    python benchmarks/bench_diagnose.py [--rows 1000000] [--runs 400]

Writes a MetricLogger console log and a CSV of the same run to a temporary folder, reads and diagnoses both in one run,
and prints seconds and the ratio diagnosis / reading (below 1: the diagnosis takes less time than reading).

Then a folder of many small runs is judged by one process and on all cores, in turns, as ``vaelab diagnose FOLDER`` does it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from unittest.mock import Mock, patch

import numpy as np

from vaelab import diagnose, processes, read
from vaelab.cli.diagnose import diagnose_paths


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=400)
    options = parser.parse_args()
    rows = options.rows
    data = columns(rows)
    print("| log | MB | rows | reading s | diagnosis s | diagnosis / reading | status |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, write in (("console.log", write_console), ("metrics.csv", write_csv)):
            path = Path(folder) / name
            write(path, data)
            start = time.perf_counter()
            run = read(path)
            middle = time.perf_counter()
            diagnosis = diagnose(run)
            end = time.perf_counter()
            size = path.stat().st_size / 1e6
            print(
                f"| {name} | {size:.0f} | {len(run):,} | {middle - start:.2f} | {end - middle:.2f} |"
                f" {(end - middle) / (middle - start):.2f} | {diagnosis.status} |"
            )
    folder_of_runs(options.runs)


if __name__ == "__main__":
    main()
