"""Generate the runs of the fault bench: train groups of runs, write their logs, label them by what they lost.

    python benchmarks/faultbench/generate.py --groups 0:80 [--out DIR] [--jobs 2]
    python benchmarks/faultbench/generate.py --run 1207

Logs go to a cache folder outside of the repository, each with its truth.  Groups that are there are left alone, so that
an interrupted generation goes on where it was.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import shutil
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import dialects
import torch
from draw import FAULTS, Drawn, Group, draw, draw_group
from harm import WORST_DB, costs, db_lost, kind, learned
from result import Result
from splits import held_out, split
from systems import samples
from training import SideBySide
from truth import RUNS, Planted, Truth

PRETRAINING = 250
UGLY_DB = 1.5
"""A look-alike that is so much worse than its twin is no healthy way to train."""
SMOOTHED = 5
"""Steps over which the reconstruction term is averaged for "doubled"."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", default="0:80", help="first:last of the groups, 30 runs each")
    parser.add_argument(
        "--run", type=int, nargs="*", default=[], help="seeds of single runs; their group is trained again"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RUNS, help="folder for logs and truths")
    options = parser.parse_args()
    if options.run:
        for seed in options.run:
            print(generate(draw(seed).seed // 100, options.out, again=True)[seed % 100])
        return
    first, last = (int(part) for part in options.groups.split(":"))
    wanted = [g for g in range(first, last) if not measured_file(options.out, g).exists()]
    begun = time.time()
    with ProcessPoolExecutor(options.jobs) as pool:
        tasks = {pool.submit(generate, group, options.out): group for group in wanted}
        for done, task in enumerate(as_completed(tasks), 1):
            left = (time.time() - begun) / done * (len(tasks) - done)
            try:
                truths = task.result()
                line = ", ".join(f"{k} {sum(t.kind == k for t in truths)}" for k in sorted({t.kind for t in truths}))
            except Exception as error:  # one failed group must not lose the others
                line = f"FAILED {type(error).__name__}: {error}"
            print(f"[{done}/{len(tasks)}, {left / 60:.1f} min left] group {tasks[task]}: {line}", flush=True)


def generate(number: int, out: Path, again: bool = False) -> list[Truth]:
    """All runs of a group: their logs, and what the label is made of in one file a group."""
    torch.set_num_threads(1)
    done = measured_file(out, number)
    if again or not done.exists():
        group = draw_group(number)
        results = trained(group)
        runs = []
        for drawn, result in zip(group.runs, results, strict=True):
            folder = out / f"own-{drawn.seed}"
            shutil.rmtree(folder, ignore_errors=True)
            log = dialects.write(drawn.dialect, result, folder)
            doubled = doubled_step(result, results[drawn.twin % 100], drawn.faults[0].onset) if drawn.faults else None
            runs.append({"log": log, "numbers": result.numbers, "doubled_step": doubled})
        data = {"mean_picture": _mean_picture(group), "runs": runs}
        done.write_bytes(gzip.compress(json.dumps(data).encode(), 9, mtime=0))
    return labelled(number, out)


def measured_file(out: Path, number: int) -> Path:
    return out / f"group-{number}.json.gz"


def labelled(number: int, out: Path) -> list[Truth]:
    """The truths of a group that was trained."""
    data = json.loads(gzip.decompress(measured_file(out, number).read_bytes()))
    runs = draw_group(number).runs
    return [
        judged(drawn, data["runs"][i], data["runs"][drawn.twin % 100], data["mean_picture"])
        for i, drawn in enumerate(runs)
    ]


def trained(group: Group) -> list[Result]:
    first = group.runs[0]
    side = SideBySide(group.system, group.width, first.epoch, group.seed, list(group.plans))
    if group.pretrained:
        side.pretrain(PRETRAINING)
    return side.run()


def judged(drawn: Drawn, run: dict[str, Any], twin: dict[str, Any], mean_picture: float) -> Truth:
    """The label of a run from what it measured."""
    planted = tuple(
        Planted(f.mechanism, round(f.severity, 4), f.onset, f.end, FAULTS[f.mechanism].causes, FAULTS[f.mechanism].also)
        for f in drawn.faults
    )
    mine, other = run["numbers"], twin["numbers"]
    lost: dict[str, float] = {}
    worst = 0.0
    if not learned(other, mean_picture, drawn.pretrained):
        label, planted = "undecided", ()
    elif planted:
        onset = planted[0].onset
        label, lost = kind(mine, other, onset), costs(mine[-1][1], other[-1][1])
        worst = max(
            (db_lost(a, b) for (step, a), (_, b) in zip(mine, other, strict=True) if step >= onset), default=0.0
        )
    else:
        sound = learned(mine, mean_picture, drawn.pretrained) and db_lost(mine[-1][1], other[-1][1]) < UGLY_DB
        label = "healthy" if sound else "undecided"
    return Truth(
        name=f"own-{drawn.seed}", kind=label, split=split(drawn), held_out=held_out(drawn), faults=planted, steps=drawn.steps,
        system=drawn.system, dialect=drawn.dialect, log=run["log"], lookalike=drawn.lookalike, costs=tuple(lost.items()),
        lost_db=lost.get("dB", 0.0), worst_db=worst, doubled_step=run["doubled_step"] if label == "faulty" else None,
    )  # fmt: skip


def doubled_step(result: Result, twin: Result, onset: int) -> int | None:
    """First step at which rec_loss is twice the twin's and stays above it, or None where the run does not diverge."""
    ratios = [_mean(result, step) / _mean(twin, step) for step in range(onset, len(twin.rows))]
    above = [not ratio < 2 for ratio in ratios]
    if not above or sum(above[-25:]) < 0.8 * min(25, len(above)):
        return None
    return onset + above.index(True)


def _mean(result: Result, step: int) -> float:
    """Of SMOOTHED steps to `step`; infinite where the run has ended or is not finite."""
    values = [row["rec_loss"] for row in result.rows[max(0, step - SMOOTHED + 1) : step + 1]]
    if step >= len(result.rows) or not all(math.isfinite(value) for value in values):
        return math.inf
    return statistics.fmean(values)


def _mean_picture(group: Group) -> float:
    """PSNR of the mean training picture on the held-out ones, in dB: what a decoder without a latent reaches."""
    train, held = (x.float() / 127.5 - 1 for x in samples(group.system, group.seed))
    error = (held - train.mean(0)).square().mean((1, 2, 3))
    return float((10 * torch.log10(4 / error.clamp(min=10 ** (-WORST_DB / 10)))).mean())


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
