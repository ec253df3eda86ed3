"""Draw the worked examples of docs/faultbench.md: what the log showed, when the fault began, when vaelab spoke.

    python benchmarks/faultbench/examples.py

Writes docs/images/faultbench-*.png and what was said between the page's markers.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from measures import first_alarm
from replay import Judged, first_rows, judge
from score import LOGS, PAGE, write_page
from truth import Truth, load_all

from vaelab import diagnose, read
from vaelab.report.layout import plain

IMAGES = PAGE.parent / "images"


class Example(NamedTuple):
    """run: folder of the run. metrics: one panel each. story: what the reader should see, written by hand."""

    run: str
    metrics: tuple[str, ...]
    story: str


EXAMPLES = (
    Example(
        "kl-switch-0",
        ("rec_loss", "kl_loss"),
        "The KL weight is multiplied in mid-run and no setting says so. The pattern of the two curves is what tells it from a"
        " learning rate that is too high: the KL falls smoothly and stays down, and the reconstruction rises to a new level.",
    ),
    Example(
        "learned-logvar-0",
        ("nll_loss", "rec_loss"),
        "A healthy look-alike. nll_loss falls far below zero, which people take for a bug; with a learned log-variance it is"
        " as designed, and rec_loss falls with it. At none of 25 points of its growth was there an alarm.",
    ),
    Example(
        "disc-restarts-1",
        ("rec_loss", "disc_loss"),
        "A miss. The discriminator gets new random weights again and again. Each time its loss goes back to chance and falls again"
        " (rows 250, 290, 330, 370): a saw tooth that no rule looks for, in few noisy rows, and the reconstruction does not"
        " suffer.",
    ),
)


def draw(judged: Judged, folder: Path, metrics: tuple[str, ...], out: Path) -> None:
    """One panel for each metric; the true onset and the first right alarm as vertical lines."""
    run = read(folder / judged.truth.log)
    figure, panels = pyplot.subplots(len(metrics), 1, figsize=(7, 2.1 * len(metrics)), dpi=100, sharex=True)
    alarm = first_alarm(judged, right=True)
    for axes, metric in zip(panels, metrics, strict=True):
        steps, values = run.series(metric)
        axes.plot(steps, values, color="C0", linewidth=1, marker=".", markersize=3)
        if (values > 0).all() and values.max() > 10 * values.min():
            axes.set_yscale("log")
        if judged.truth.onset_step is not None:
            axes.axvline(
                judged.truth.onset_step, color="C3", label=f"fault begins, step {judged.truth.onset_step}", linewidth=1
            )
        if alarm is not None:
            axes.axvline(
                alarm.step, color="C2", linestyle="--", label=f"first right alarm, step {alarm.step}", linewidth=1
            )
        axes.set_ylabel(metric)
        axes.grid(alpha=0.3)
    panels[-1].set_xlabel("step")
    if panels[0].get_legend_handles_labels()[0]:
        panels[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(out)
    pyplot.close(figure)


def said(judged: Judged, folder: Path) -> str:
    """What vaelab says of the whole log and, where there is one, at the first right alarm."""
    run = read(folder / judged.truth.log)
    alarm = first_alarm(judged, right=True)
    lines = []
    if alarm is not None and alarm.step < judged.final.step:
        early = diagnose(first_rows(run, int((run.steps <= alarm.step).sum())))
        lines.append(f"At step {alarm.step}: {plain(early.headline)}")
    whole = diagnose(run)
    lines.append(f"At the end: {plain(whole.headline)}")
    if whole.causes:
        first = whole.causes[0]
        lines.append(f"Evidence for {first.id} ({first.score:.0%}): {', '.join(first.supporting)}. Test: {first.test}")
    return "\n".join(f"> {line}  " for line in lines)


def main() -> None:
    entries: dict[str, tuple[Path, Truth]] = {folder.name: (folder, truth) for folder, truth in load_all(LOGS)}
    parts = []
    for number, example in enumerate(EXAMPLES, 1):
        folder, truth = entries[example.run]
        judged = judge(folder, truth)
        picture = IMAGES / f"faultbench-{example.run}.png"
        draw(judged, folder, example.metrics, picture)
        what = f"{truth.verified.what}: {truth.verified.fault_value:.3g} against {truth.verified.twin_value:.3g} of the twin"
        parts.append(
            f"**{number}. {example.run}** ({truth.system}, {truth.dialect}, {truth.kind}; {what})\n\n"
            f"![{example.run}](images/{picture.name})\n\n{example.story}\n\n{said(judged, folder)}"
        )
    write_page(PAGE, {"examples": "\n\n".join(parts)})


if __name__ == "__main__":
    main()
