"""Draw the validation PSNR of runs against that of simple predictors: ``python docs/make_curves.py RUN OUT.png``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

LINES = {"val_ema/psnr": ("EMA weights", "C0"), "val/psnr": ("raw weights", "C1")}
BASELINES = {"blurred": "blurred over 8 x 8 pixels", "constant": "mean colour of each sample"}


def draw(run: Path, out: Path) -> None:
    """One picture: the PSNR curves, the predictors as dashed lines, the GAN start as a vertical one."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    figure, axes = pyplot.subplots(figsize=(7, 3.6), dpi=100)
    for name, (title, colour) in LINES.items():
        points = [(row["step"] + 1, row[name]) for row in rows if name in row]
        axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=3, label=title)
    baselines = next(event for event in events if event["event"] == "baselines")
    for name, title in BASELINES.items():
        value = baselines[name]["psnr"]
        axes.axhline(
            value, color="grey", linestyle="--" if name == "blurred" else ":", label=f"{title}: {value:.1f} dB"
        )
    start = next((row["step"] for row in rows if row.get("disc_factor", 0) > 0), None)
    if start is not None:
        axes.axvline(start, color="C3", linewidth=1, label=f"GAN start, step {start}")
    axes.set_xlabel("step")
    axes.set_ylabel("PSNR of held-out samples (dB)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(out)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
