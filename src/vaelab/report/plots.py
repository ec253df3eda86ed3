"""PNG plots of a run with matplotlib (the extra ``plots``): phases shaded, events marked, log axes where values span
decades, and captions that say what a plot can and cannot show."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vaelab.diagnosis import Diagnosis, MetricVerdict
from vaelab.errors import ConfigError
from vaelab.facts.base import Phase
from vaelab.report.downsample import keep_extremes
from vaelab.report.evidence import chance_level, natural_function
from vaelab.report.files import write_bytes
from vaelab.report.layout import markers, metric_title, phase_spans, plain, sentence, shown_phases
from vaelab.report.numbers import number, percent, quantity
from vaelab.run import FloatArray, IntArray, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 4000
_MEDIANS = 80
_LOG_FROM = 10.0  # a positive metric whose largest value is this many times its smallest gets a log axis

# Okabe-Ito: told apart by colour-blind readers and in grey print
_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_SHADES = {
    "warm-up": "#E69F00", "vae-only": "#56B4E9", "disc-warm-up": "#CC79A7", "gan-start": "#D55E00", "gan": "#009E73",
    "lr-decay": "#999999", "whole": "#FFFFFF",
}  # fmt: skip

OVERVIEW = ("total_loss", "rec_loss", "perceptual_loss", "kl_loss", "disc_loss", "g_loss")
COMPARED = ("total_loss", "rec_loss", "perceptual_loss", "kl_loss")


@dataclass(frozen=True)
class Plot:
    """One drawn file: its name in the plots folder, its title, and what it shows."""

    file: str
    title: str
    caption: str


def draw_plots(diagnosis: Diagnosis, out_dir: Path) -> tuple[list[Plot], list[str]]:
    """Draw every plot the log has columns for into ``out_dir`` (which exists).

    Returns the plots, and a sentence for each plot that could not be drawn.
    Raises ConfigError if matplotlib is not installed or ``out_dir`` cannot be written.
    """
    require_matplotlib()
    plots, missing = [], []
    for name, draw, needs in _catalogue():
        metrics = [m for m in needs if len(diagnosis.run.series(m)[0])]
        if not metrics:
            missing.append(f"{name}: the log has no values of {' or '.join(needs)}.")
            continue
        figure, title, caption = draw(diagnosis, metrics)
        _save(figure, out_dir / f"{name}.png")
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


def _single(diagnosis: Diagnosis, metrics: Sequence[str]) -> tuple[Figure, str, str]:
    metric = metrics[0]
    figure, (axes,) = _figure(1)
    _dress(axes, diagnosis)
    values = _line(axes, diagnosis, metric)
    _scale(axes, values)
    axes.set_ylabel(_label(diagnosis, metric))
    natural = _natural_axis(axes, diagnosis, metric)
    scale = axes.get_yscale().replace("symlog", "symmetric log")
    level = chance_level(diagnosis) if metric == "disc_loss" else None
    if level is not None:
        axes.axhline(level, color="black", lw=1, ls=":", label=f"chance level {number(level)}")
    title = metric_title(metric)
    _finish(figure, axes, f"{title[0].upper()}{title[1:]}")
    caption = f"{title[0].upper()}{title[1:]} over steps, {scale} axis{natural}."
    return figure, title, " ".join((caption, *_said_of(diagnosis, metric)))


def _overview(diagnosis: Diagnosis, metrics: Sequence[str]) -> tuple[Figure, str, str]:
    columns = 2 if len(metrics) > 1 else 1
    figure, panels = _figure(len(metrics), columns, height=3.0)
    for axes, metric in zip(panels, metrics, strict=True):
        _dress(axes, diagnosis, labels=axes is panels[0])
        _scale(axes, _line(axes, diagnosis, metric))
        axes.set_title(_label(diagnosis, metric), fontsize=10)
    _finish(figure, panels[0], "Overview")
    return figure, "overview", "Every main metric in its own panel with its own axis; the step axis is the same."


def _normalised(diagnosis: Diagnosis, metrics: Sequence[str]) -> tuple[Figure, str, str]:
    figure, (axes,) = _figure(1)
    _dress(axes, diagnosis)
    rows, basis = _reference_rows(diagnosis)
    left_out = []
    for i, metric in enumerate(metrics):
        steps, values = diagnosis.run.series(metric)
        values = _drawable(values)
        inside = _drawable(diagnosis.run[metric][rows])
        inside = inside[np.isfinite(inside)]
        level = float(np.median(inside)) if len(inside) else float("nan")
        if not level > 0 or not np.all(values > 0):
            left_out.append(metric)
            continue
        relative = values / level
        _curve(axes, steps, relative, _LINES[i % len(_LINES)], f"{plain(metric)} (1 = {number(level)})")
    axes.set_yscale("log")
    _plain_ticks(axes)
    axes.axhline(1, color="black", lw=0.8)
    axes.set_ylabel("times its own reference level")
    _finish(figure, axes, f"Each metric relative to {basis}")
    caption = (
        f"Each metric divided by {basis}, on a log axis: 2 means twice that level. Scaling each curve to 0..1 by its "
        "minimum and maximum would erase scale and is set by single outliers, so it is not done here."
    )
    if left_out:
        caption += f" Left out, because not positive there: {', '.join(plain(m) for m in left_out)}."
    return figure, "normalised comparison", caption


def _multi_axis(diagnosis: Diagnosis, metrics: Sequence[str]) -> tuple[Figure, str, str]:
    figure, (axes,) = _figure(1)
    figure.set_size_inches(12, 5)  # room for the axes on the right
    _dress(axes, diagnosis)
    handles = []
    for i, metric in enumerate(metrics):
        colour = _LINES[i % len(_LINES)]
        own = axes if i == 0 else axes.twinx()
        if i > 1:
            own.spines["right"].set_position(("outward", 78 * (i - 1)))
        steps, values = diagnosis.run.series(metric)
        values = _drawable(values)
        span = f"{number(float(values.min()), 3)} to {number(float(values.max()), 3)}"
        handles.append(_curve(own, steps, values, colour, f"{plain(metric)}: {span}"))
        _scale(own, values)
        own.set_ylabel(f"{plain(metric)} ({span})", color=colour)
        own.tick_params(axis="y", colors=colour)
    _finish(figure, axes, "One axis for each metric", handles)
    return figure, "multi-axis", (
        "Every curve has its own axis, so heights of different curves cannot be compared: independent axes hide "
        "magnitudes. The range of each metric stands in its label."
    )  # fmt: skip


def _gan(diagnosis: Diagnosis, metrics: Sequence[str]) -> tuple[Figure, str, str]:
    logits = [m for m in ("logits_real", "logits_fake") if m in metrics]
    panel_metrics = [p for p in (logits, *([m] for m in ("disc_loss", "d_weight") if m in metrics)) if p]
    figure, panels = _figure(len(panel_metrics), height=3.0)
    texts = [_facts(diagnosis, "disc_loss_family", "d_weight")]
    for axes, names in zip(panels, panel_metrics, strict=True):
        _dress(axes, diagnosis, labels=axes is panels[0])
        values = np.concatenate(
            [_line(axes, diagnosis, m, _LINES[i], legend=len(names) > 1) for i, m in enumerate(names)]
        )
        if names == ["logits_real", "logits_fake"]:
            gap = _drawable(diagnosis.run["logits_real"]) - _drawable(diagnosis.run["logits_fake"])
            finite = np.isfinite(gap)
            _curve(axes, diagnosis.run.steps[finite], gap[finite], _LINES[2], "gap (real - fake)")
            values = np.concatenate([values, gap[finite]])
            texts.insert(0, "The gap is the mean logit on real data minus the mean logit on reconstructions.")
        level = chance_level(diagnosis)
        if names == ["disc_loss"] and level is not None:
            axes.axhline(level, color="black", lw=1, ls=":", label=f"chance level {number(level)}")
        if names == ["d_weight"] and np.all(values > 0):
            axes.set_yscale("log")
            _plain_ticks(axes)
        else:
            _scale(axes, values)
        axes.set_ylabel("logit" if names is logits else names[0])
        axes.set_title(_label(diagnosis, names[0]) if len(names) == 1 else "mean logits", fontsize=10)
    lines = [h for axes in panels for h in axes.get_legend_handles_labels()[0]]
    _finish(figure, panels[0], "Discriminator and generator", lines)
    return figure, "GAN", " ".join(t for t in texts if t) or "The adversarial columns that the log holds."


def _optimiser(diagnosis: Diagnosis, metrics: Sequence[str]) -> tuple[Figure, str, str]:
    figure, panels = _figure(len(metrics), height=3.0)
    for axes, metric in zip(panels, metrics, strict=True):
        _dress(axes, diagnosis, labels=axes is panels[0])
        values = _line(axes, diagnosis, metric)
        clip = diagnosis.run.config.get("clip_grad")
        if metric == "grad_norm" and np.all(values > 0):
            axes.set_yscale("log")
            if isinstance(clip, int | float) and clip > 0:
                axes.axhline(clip, color="black", lw=1, ls=":", label=f"clip at {number(clip)}")
            _plain_ticks(axes)
        else:
            _scale(axes, values, log=False)
        axes.set_ylabel(_label(diagnosis, metric))
    lines = [h for axes in panels for h in axes.get_legend_handles_labels()[0]]
    _finish(figure, panels[0], "Optimiser", lines)
    return figure, "optimiser", _facts(diagnosis, "lr", "clip") or "What the log says of the optimiser."


# --- parts ----------------------------------------------------------------------------------------------------------


def _natural_axis(axes: Axes, diagnosis: Diagnosis, metric: str) -> str:
    """A second y axis in natural units where the verdict carries them; what to add to the caption."""
    verdict = _verdict(diagnosis, metric)
    found = natural_function(verdict) if verdict else None
    if verdict is None or found is None:
        return ""
    kind, constant = found
    if kind == "db":
        if not np.all(_drawable(diagnosis.run.series(metric)[1]) > 0):
            return ""
        axes.set_yscale("log")  # equal steps in dB are equal heights on a log axis
        _plain_ticks(axes)
        functions: tuple[Any, Any] = (lambda v: constant - 10 * np.log10(v), lambda v: 10 ** ((constant - v) / 10))
    else:
        functions = (lambda v: v * constant, lambda v: v / constant)
    second = axes.secondary_yaxis("right", functions=functions)
    second.set_ylabel(f"{verdict.natural_name} ({verdict.natural_unit})")
    if kind == "ratio":
        _plain_ticks(second, axes.get_yscale(), tuple(v * constant for v in axes.get_ylim()))
    else:
        _plain_ticks(second, "linear")
        low, high = sorted(functions[0](np.array(axes.get_ylim())))
        gap = next((g for g in (0.5, 1, 2, 5, 10, 20, 50) if (high - low) / g <= 8), 100)
        second.set_yticks(np.arange(np.ceil(low / gap), np.floor(high / gap) + 1) * gap)
    now = quantity(verdict.natural_now, verdict.natural_unit)
    return f"; right axis: {verdict.natural_name}, now {now}"


def _said_of(diagnosis: Diagnosis, metric: str) -> list[str]:
    """The verdict on ``metric``, and for the total what it is made of."""
    verdict = _verdict(diagnosis, metric)
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


def _verdict(diagnosis: Diagnosis, metric: str) -> MetricVerdict | None:
    return next((m for m in diagnosis.metrics if m.metric == metric), None)


def _label(diagnosis: Diagnosis, metric: str) -> str:
    original = diagnosis.run.columns[metric].original
    title = metric_title(metric)
    return title if original in (metric, title) else f"{title}, in the log: {_short(plain(original))}"


def _short(text: str, most: int = 30) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


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


def _line(axes: Axes, diagnosis: Diagnosis, metric: str, colour: str = _LINES[0], legend: bool = False) -> FloatArray:
    """Draw ``metric``; crosses at the bottom mark steps that logged NaN or inf. Returns the finite values."""
    run = diagnosis.run
    steps, values = run.series(metric)
    values = _drawable(values)
    _curve(axes, steps, values, colour, plain(metric) if legend else None)
    logged = run.rows(metric)
    bad = run.steps[logged[~np.isfinite(run[metric][logged])]]
    if len(bad):
        shown = bad[:: max(len(bad) // 200, 1)]
        axes.plot(shown, np.full(len(shown), 0.02), "x", color="red", ms=5, transform=axes.get_xaxis_transform(),
                  clip_on=False, label=f"NaN or inf ({len(bad):,} of {len(logged):,} rows)")  # fmt: skip
    return values


def _drawable(values: FloatArray) -> FloatArray:
    """Finite values within what matplotlib's axes can hold: beyond 1e40 they are drawn at 1e40, below 1e-40 at 0."""
    return np.where(np.abs(values) < 1e-40, 0.0, np.clip(values, -1e40, 1e40))


def _curve(axes: Axes, steps: IntArray, values: FloatArray, colour: str, label: str | None) -> Any:
    """The values, and over many noisy ones the median of each of 80 stretches as a bold line."""
    keep = keep_extremes(values, POINTS)
    many = len(values) > 2 * _MEDIANS
    mark = "o" if len(values) <= 40 else ""
    (handle,) = axes.plot(
        steps[keep], values[keep], color=colour, lw=0.7 if many else 1.4, alpha=0.4 if many else 1, marker=mark, ms=3,
        label=None if many else label,
    )  # fmt: skip
    if many:
        parts = np.array_split(np.arange(len(values)), _MEDIANS)
        x = [float(np.median(steps[p])) for p in parts]
        y = [float(np.median(values[p])) for p in parts]
        (handle,) = axes.plot(x, y, color=colour, lw=1.8, label=label)
    return handle


def _scale(axes: Axes, values: FloatArray, log: bool = True) -> None:
    """Set a log, symmetric-log or linear y axis by the span of ``values``."""
    low, high = float(values.min()), float(values.max())
    if log and low > 0 and high / low > _LOG_FROM:
        axes.set_yscale("log")
    elif log and low < 0:
        size = np.abs(values[values != 0])
        typical = float(np.median(size))
        # symmetric log hides size: only where a linear axis would flatten most of the curve
        if max(-low, high) > 20 * _LOG_FROM * typical:
            axes.set_yscale("symlog", linthresh=10 ** np.ceil(np.log10(typical)))
    _plain_ticks(axes)


def _plain_ticks(axes: Any, scale: str | None = None, limits: tuple[float, ...] | None = None) -> None:
    """Tick labels as plain numbers (0.002, 37,881) on every kind of y axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if (scale or axes.get_yscale()) == "log":
        low, high = limits or axes.get_ylim()
        parts = (1, 1.5, 2, 3, 5, 7) if high < 10 * low else (1, 2, 5) if high < 1000 * low else (1,)
        axes.yaxis.set_major_locator(LogLocator(subs=parts, numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: number(v, 3)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _figure(panels: int, columns: int = 1, height: float = 5.0) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-panels // columns)
    figure = Figure(figsize=(10, max(height * rows, 4.5)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    first: Any = None
    axes = []
    for i in range(panels):
        first = figure.add_subplot(rows, columns, i + 1, sharex=first)
        axes.append(first)
    return figure, axes


def _dress(axes: Axes, diagnosis: Diagnosis, labels: bool = True) -> None:
    """Shade the phases, mark the events, name the step axis."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    named: set[str] = set()
    for phase, first, last in phase_spans(diagnosis):
        label = plain(phase.title) if labels and phase.title not in named and phase.kind != "whole" else None
        named.add(phase.title)
        axes.axvspan(first, last, color=_SHADES[phase.kind], alpha=0.10, lw=0, label=label)
    for marker in markers(diagnosis)[:50]:
        label = marker.label if labels and marker.label not in named else None
        named.add(marker.label)
        style, colour = ("--", "#D55E00") if marker.kind == "phase" else ("-.", "#555555")
        axes.axvline(marker.step, color=colour, lw=1.2, ls=style, label=label)
    axes.set_xlabel(diagnosis.run.step_unit)
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    axes.grid(True, color="#000000", alpha=0.12, lw=0.6)
    axes.set_axisbelow(True)


def _finish(figure: Figure, legend_of: Axes, title: str, more: Sequence[Any] = ()) -> None:
    """Title, and one legend under the plot for the labelled parts of ``legend_of`` and ``more``."""
    figure.suptitle(title, fontsize=12)
    found = {h.get_label(): h for h in (*legend_of.get_legend_handles_labels()[0], *more)}
    if found:
        figure.legend(handles=list(found.values()), loc="outside lower center", ncols=4, fontsize=8, frameon=False)


def _save(figure: Figure, path: Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_bytes(path, content.getvalue())
