"""PNG plots of a run with matplotlib (the extra ``plots``): phases shaded, events marked, log axes where values span
decades, and captions that say what a plot can and cannot show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from vaelab.diagnosis import Diagnosis
from vaelab.errors import ConfigError
from vaelab.facts.base import Phase
from vaelab.report.axes import (
    LINES,
    draw_curve,
    draw_levels,
    draw_line,
    draw_shade,
    drawable,
    dress,
    finish,
    label_of,
    natural_axis,
    new_figure,
    plain_ticks,
    save,
    set_scale,
    verdict_of,
)
from vaelab.report.evidence import EvidencePlot, evidence_plots
from vaelab.report.layout import metric_title, plain, sentence, shown_phases
from vaelab.report.limits import chance_level
from vaelab.report.numbers import number, percent
from vaelab.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OVERVIEW = ("total_loss", "rec_loss", "perceptual_loss", "kl_loss", "disc_loss", "g_loss")
COMPARED = ("total_loss", "rec_loss", "perceptual_loss", "kl_loss")


@dataclass(frozen=True)
class Plot:
    """One drawn file: its name in the plots folder, its title, and what it shows."""

    file: str
    title: str
    caption: str


def draw_plots(
    diagnosis: Diagnosis, out_dir: Path, which: Literal["first", "all"] = "all"
) -> tuple[list[Plot], list[str]]:
    """Draw plots into ``out_dir`` (which exists).

    which: those of the first view and an overview, or every plot that the log has columns for as well. Returns the plots, and a
    sentence for each plot that could not be drawn.
    Raises ConfigError if matplotlib is not installed or ``out_dir`` cannot be written.
    """
    require_matplotlib()
    plots, missing = [], []
    evidence = evidence_plots(diagnosis) if len(diagnosis.run) else []
    for i, plot in enumerate(evidence, 1):
        figure, title, caption = _single(diagnosis, plot.metrics, plot)
        save(figure, out_dir / f"first_view_{i}.png")
        plots.append(Plot(f"first_view_{i}.png", title, caption))
    for name, draw, needs in _catalogue():
        if which == "first" and name != "overview":
            continue
        metrics = [m for m in needs if len(diagnosis.run.series(m)[0])]
        if not metrics:
            missing.append(f"{name}: the log has no values of {' or '.join(needs)}.")
            continue
        figure, title, caption = draw(diagnosis, metrics)
        save(figure, out_dir / f"{name}.png")
        plots.append(Plot(f"{name}.png", title, caption))
    return plots, missing


def require_matplotlib() -> None:
    """Raise ConfigError with the command to run if matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ConfigError("Plots need matplotlib, which is not installed: run  pip install 'vaelab[plots]'") from None


Draw = Callable[[Diagnosis, Sequence[str]], "tuple[Figure, str, str]"]


def _catalogue() -> list[tuple[str, Draw, tuple[str, ...]]]:
    """File name, the function that draws it, and the metrics of which it needs at least one."""
    return [
        *((name, _single, (name,)) for name in ("total_loss", "kl_loss", "rec_loss", "disc_loss")),
        ("overview", _overview, OVERVIEW),
        ("normalised_comparison", _normalised, COMPARED),
        ("multi_axis", _multi_axis, OVERVIEW[:5]),
        ("gan", _gan, ("logits_real", "logits_fake", "disc_loss", "d_weight")),
        ("optimiser", _optimiser, ("lr", "grad_norm")),
    ]


# --- the plots ------------------------------------------------------------------------------------------------------


def _single(
    diagnosis: Diagnosis, metrics: Sequence[str], evidence: EvidencePlot | None = None
) -> tuple[Figure, str, str]:
    metric = metrics[0]
    figure, (axes,) = new_figure(1)
    dress(axes, diagnosis)
    values = draw_line(axes, diagnosis, metric)
    set_scale(axes, values)
    axes.set_ylabel(label_of(diagnosis, metric))
    natural = natural_axis(axes, diagnosis, metric)
    scale = axes.get_yscale().replace("symlog", "symmetric log")
    draw_levels(axes, diagnosis, metric)
    if evidence is not None:
        draw_shade(axes, evidence.shade, evidence.code)
    title = metric_title(metric)
    finish(figure, axes, f"{title[0].upper()}{title[1:]}")
    caption = f"{title[0].upper()}{title[1:]} over steps, {scale} axis{natural}."
    return figure, title, " ".join((caption, *_said_of(diagnosis, metric)))


def _overview(diagnosis: Diagnosis, metrics: Sequence[str]) -> tuple[Figure, str, str]:
    columns = 2 if len(metrics) > 1 else 1
    figure, panels = new_figure(len(metrics), columns, height=3.0)
    for axes, metric in zip(panels, metrics, strict=True):
        dress(axes, diagnosis, labels=axes is panels[0])
        set_scale(axes, draw_line(axes, diagnosis, metric))
        axes.set_title(label_of(diagnosis, metric), fontsize=10)
    finish(figure, panels[0], "Overview")
    return figure, "overview", "Every main metric in its own panel with its own axis; the step axis is the same."


def _normalised(diagnosis: Diagnosis, metrics: Sequence[str]) -> tuple[Figure, str, str]:
    figure, (axes,) = new_figure(1)
    dress(axes, diagnosis)
    rows, basis = _reference_rows(diagnosis)
    left_out = []
    for i, metric in enumerate(metrics):
        steps, values = diagnosis.run.series(metric)
        values = drawable(values)
        inside = drawable(diagnosis.run[metric][rows])
        inside = inside[np.isfinite(inside)]
        level = float(np.median(inside)) if len(inside) else float("nan")
        if not level > 0 or not np.all(values > 0):
            left_out.append(metric)
            continue
        relative = values / level
        draw_curve(axes, steps, relative, LINES[i % len(LINES)], f"{plain(metric)} (1 = {number(level)})")
    axes.set_yscale("log")
    plain_ticks(axes)
    axes.axhline(1, color="black", lw=0.8)
    axes.set_ylabel("times its own reference level")
    finish(figure, axes, f"Each metric relative to {basis}")
    caption = (
        f"Each metric divided by {basis}, on a log axis: 2 means twice that level. Scaling each curve to 0..1 by its "
        "minimum and maximum would erase scale and is set by single outliers, so it is not done here."
    )
    if left_out:
        caption += f" Left out, because not positive there: {', '.join(plain(m) for m in left_out)}."
    return figure, "normalised comparison", caption


def _multi_axis(diagnosis: Diagnosis, metrics: Sequence[str]) -> tuple[Figure, str, str]:
    figure, (axes,) = new_figure(1)
    figure.set_size_inches(12, 5)  # room for the axes on the right
    dress(axes, diagnosis)
    handles = []
    for i, metric in enumerate(metrics):
        colour = LINES[i % len(LINES)]
        own = axes if i == 0 else axes.twinx()
        if i > 1:
            own.spines["right"].set_position(("outward", 78 * (i - 1)))
        steps, values = diagnosis.run.series(metric)
        values = drawable(values)
        span = f"{number(float(values.min()), 3)} to {number(float(values.max()), 3)}"
        handles.append(draw_curve(own, steps, values, colour, f"{plain(metric)}: {span}"))
        set_scale(own, values)
        own.set_ylabel(f"{plain(metric)} ({span})", color=colour)
        own.tick_params(axis="y", colors=colour)
    finish(figure, axes, "One axis for each metric", handles, right=0.85 + 1.08 * max(len(metrics) - 2, 0))
    return figure, "multi-axis", (
        "Every curve has its own axis, so heights of different curves cannot be compared: independent axes hide "
        "magnitudes. The range of each metric stands in its label."
    )  # fmt: skip


def _gan(diagnosis: Diagnosis, metrics: Sequence[str]) -> tuple[Figure, str, str]:
    logits = [m for m in ("logits_real", "logits_fake") if m in metrics]
    panel_metrics = [p for p in (logits, *([m] for m in ("disc_loss", "d_weight") if m in metrics)) if p]
    figure, panels = new_figure(len(panel_metrics), height=3.0)
    texts = [_facts(diagnosis, "disc_loss_family", "d_weight")]
    for axes, names in zip(panels, panel_metrics, strict=True):
        dress(axes, diagnosis, labels=axes is panels[0])
        values = np.concatenate(
            [draw_line(axes, diagnosis, m, LINES[i], legend=len(names) > 1) for i, m in enumerate(names)]
        )
        if names == ["logits_real", "logits_fake"]:
            gap = drawable(diagnosis.run["logits_real"]) - drawable(diagnosis.run["logits_fake"])
            finite = np.isfinite(gap)
            draw_curve(axes, diagnosis.run.steps[finite], gap[finite], LINES[2], "gap (real - fake)")
            values = np.concatenate([values, gap[finite]])
            texts.insert(0, "The gap is the mean logit on real data minus the mean logit on reconstructions.")
        level = chance_level(diagnosis)
        if names == ["disc_loss"] and level is not None:
            axes.axhline(level, color="black", lw=1, ls=":", label=f"chance level {number(level)}")
        if names == ["d_weight"] and np.all(values > 0):
            axes.set_yscale("log")
            plain_ticks(axes)
        else:
            set_scale(axes, values)
        axes.set_ylabel("logit" if names is logits else names[0])
        axes.set_title(label_of(diagnosis, names[0]) if len(names) == 1 else "mean logits", fontsize=10)
    lines = [h for axes in panels for h in axes.get_legend_handles_labels()[0]]
    finish(figure, panels[0], "Discriminator and generator", lines)
    return figure, "GAN", " ".join(t for t in texts if t) or "The adversarial columns that the log holds."


def _optimiser(diagnosis: Diagnosis, metrics: Sequence[str]) -> tuple[Figure, str, str]:
    figure, panels = new_figure(len(metrics), height=3.0)
    for axes, metric in zip(panels, metrics, strict=True):
        dress(axes, diagnosis, labels=axes is panels[0])
        values = draw_line(axes, diagnosis, metric)
        clip = diagnosis.run.config.get("clip_grad")
        if metric == "grad_norm" and np.all(values > 0):
            axes.set_yscale("log")
            if isinstance(clip, int | float) and clip > 0:
                axes.axhline(clip, color="black", lw=1, ls=":", label=f"clip at {number(clip)}")
            plain_ticks(axes)
        else:
            set_scale(axes, values, log=False)
        axes.set_ylabel(label_of(diagnosis, metric))
    lines = [h for axes in panels for h in axes.get_legend_handles_labels()[0]]
    finish(figure, panels[0], "Optimiser", lines)
    return figure, "optimiser", _facts(diagnosis, "lr", "clip") or "What the log says of the optimiser."


# --- parts ----------------------------------------------------------------------------------------------------------


def _said_of(diagnosis: Diagnosis, metric: str) -> list[str]:
    """The verdict on ``metric``, and for the total what it is made of."""
    verdict = verdict_of(diagnosis, metric)
    texts = [sentence(verdict.text)] if verdict and verdict.text else []
    if metric == "total_loss":
        texts += [_copy_of_rec(diagnosis.run), _facts(diagnosis, "shares_now", "total_halved")]
    return [text for text in texts if text]


def _facts(diagnosis: Diagnosis, *names: str) -> str:
    """The sentences of the facts with these names."""
    return " ".join(sentence(f.text) for f in diagnosis.statements if f.name in names)


def _copy_of_rec(run: Run) -> str:
    """Says so where total_loss is rec_loss times one constant: both plots then show one curve."""
    if "total_loss" not in run or "rec_loss" not in run:
        return ""
    total, rec = run["total_loss"], run["rec_loss"]
    rows = np.isfinite(total) & np.isfinite(rec) & (rec > 0)
    ratios = total[rows] / rec[rows]
    if len(ratios) < 5 or (ratio := float(np.median(ratios))) <= 0:
        return ""
    share = float(np.mean(np.abs(ratios / ratio - 1) < 0.02))
    if share < 0.9:
        return ""
    return (
        f"total_loss is rec_loss times {number(ratio)} (to within 2% in {percent(share)} of the rows): this plot "
        "is a second copy of the reconstruction plot."
    )


def _reference_rows(diagnosis: Diagnosis) -> tuple[slice, str]:
    """The rows whose median is 1 in the normalised plot, and their name: the last quarter before the GAN starts, or
    the first quarter after warm-up where no GAN starts."""
    phases = shown_phases(diagnosis)
    gan = next((i for i, p in enumerate(phases) if p.kind in ("gan-start", "gan")), None)
    if gan:
        before: Phase = phases[gan - 1]
        size = max((before.last_row - before.first_row) // 4, 1)
        return slice(max(before.last_row - size, before.first_row), before.last_row), "its level before the GAN started"
    start = next((p.first_row for p in phases if p.kind != "warm-up"), 0)
    size = max((len(diagnosis.run) - start) // 4, 1)
    return slice(start, start + size), "its level in the first quarter after warm-up"
