"""One screen for one run, the first view on top; one table for several. Colour only supports: everything is also said in words."""

from __future__ import annotations

import math
import re
import shlex
from collections import Counter
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vaelab.diagnosis import Diagnosis, MetricVerdict, RankedCause
from vaelab.facts.base import Evidence
from vaelab.report import reading
from vaelab.report.evidence import levels, now_text
from vaelab.report.first_view import FirstView, first_view
from vaelab.report.layout import (
    METRIC_STATUS_TEXT,
    WORST_FIRST,
    FindingNode,
    common_folder,
    evidence_text,
    finding_tree,
    flatten,
    marker_text,
    markers,
    natural_text,
    needed,
    new_patch_lines,
    phase_weights,
    plain,
    run_line,
    sentence,
    shown_phases,
)
from vaelab.report.numbers import number, step_range, steps
from vaelab.report.sparkline import sparkline
from vaelab.report.text_plot import text_plot
from vaelab.words import belief

COLOURS = {
    "healthy": "green", "watch": "yellow", "act": "red", "stop": "bold red", "cannot-tell": "cyan",
    "good": "green", "ok": "green", "bad": "red", "info": "", "warn": "yellow", "critical": "bold red",
}  # fmt: skip
FILL = {
    "warm-up": ".",
    "vae-only": "-",
    "disc-warm-up": ":",
    "gan-start": "+",
    "gan": "#",
    "lr-decay": "~",
    "whole": "=",
}

# Notes on reading that lose nothing of the run.
_ORDINARY = {"foreign_lines", "averaged_stats", "duplicate_column"}

# What one screen holds; the markdown and HTML reports hold the rest.
_METRICS, _FINDINGS, _CAUSES, _NEXT, _EVIDENCE, _NEEDS = 8, 3, 3, 2, 3, 6
_PLOT_LINES, _PLOT_COLUMNS, _SPARK, _SOURCE = 4, 100, 12, 30


def render(diagnoses: Sequence[Diagnosis], console: Console) -> None:
    """Print one diagnosis as one screen, or several as a table with one row a run."""
    if len(diagnoses) == 1:
        console.print(screen(diagnoses[0], console.width, console.options.ascii_only))
    elif diagnoses:
        folder = common_folder(diagnoses)
        if folder:
            console.print(Text(f"{len(diagnoses)} runs under {folder}", style="dim", overflow="fold"))
        console.print(overview(diagnoses, folder))
        worst = min(diagnoses, key=lambda d: WORST_FIRST.index(d.status))
        if worst.status in ("act", "stop"):
            command = f"vaelab diagnose {shlex.quote(plain(worst.run.source))}"
            console.print(Text.assemble((command, "bold"), "  says more."), soft_wrap=True)


def screen(diagnosis: Diagnosis, width: int = 100, ascii_only: bool = False) -> RenderableType:
    """Everything that matters of one run in about 45 lines of 100 columns: verdict, change, why and a plot in the first twelve."""
    sections = (
        ("Phases", _phases(diagnosis, width - 2)),
        ("Findings", _findings(diagnosis)),
        ("Possible causes", _causes(diagnosis)),
        ("What to expect", _next(diagnosis)),
        ("Metrics", _metrics(diagnosis, width, ascii_only)),
        ("What would change this verdict", _would_change(diagnosis)),
        ("Could not be checked", _skipped(diagnosis)),
    )
    parts: list[RenderableType] = [*_first(diagnosis, width, ascii_only), *_source(diagnosis)]
    for title, body in sections:
        if body:
            parts += [Text(title, style="bold"), Padding(Group(*body), (0, 0, 0, 2))]
    return Group(*parts)


def overview(diagnoses: Sequence[Diagnosis], folder: str = "") -> Table:
    """One row a run, the worst first: status, source (below ``folder``), what to change, the likeliest cause, steps."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    # a path is broken before the name of its file only, as far as the screen allows
    sources = {id(d): "/\n".join(plain(d.run.source).removeprefix(folder).rsplit("/", 1)) for d in diagnoses}
    longest = max(len(part) for source in sources.values() for part in source.split("\n"))
    for title, options in (
        ("status", {"no_wrap": True}),
        ("log", {"overflow": "fold", "min_width": min(longest, _SOURCE)}),
        ("what to change", {"ratio": 1}),
        ("top cause", {"ratio": 1}),
        ("steps", {"justify": "right", "no_wrap": True}),
    ):
        table.add_column(title, **options)
    table.expand = True
    for d in sorted(diagnoses, key=lambda d: WORST_FIRST.index(d.status)):
        view = first_view(d)
        change = "; ".join(c.text for c in view.changes) or (view.todo if d.status in ("act", "stop") else "")
        cause = f"{d.causes[0].id} {plain(d.causes[0].title)} ({belief(d.causes[0].score)})" if d.causes else "-"
        last = steps(int(d.run.steps[-1])) if len(d.run) else "0"
        cells = (d.status, sources[id(d)], change or "-", cause, last)
        table.add_row(*(Text(c, style=COLOURS.get(c, "")) for c in cells))
    return table


def _first(diagnosis: Diagnosis, width: int, ascii_only: bool) -> list[RenderableType]:
    """Verdict, change, why, and the column in question as a plot."""
    view = first_view(diagnosis)
    lines: list[RenderableType] = [Text.assemble((f"{view.word}  ", COLOURS[view.status]), (view.verdict, "bold"))]
    told = Table.grid(padding=(0, 2, 0, 0))
    told.add_column(no_wrap=True, style="bold")
    told.add_column(overflow="fold")
    for i, change in enumerate(view.changes):
        text = Text(change.text, style="bold")
        if change.paste != change.text:
            text.append(f"   paste: {change.paste}", style="not bold")
        told.add_row(view.label if i == 0 else "", text)
    if view.todo:
        told.add_row(view.label, view.todo)
    if view.why:
        told.add_row("Why", Text(view.why))
    lines.append(told)
    lines += first_plot(diagnosis, view, width, ascii_only)
    lines.append(Text(view.sure, style="dim"))
    return lines


def first_plot(diagnosis: Diagnosis, view: FirstView, width: int, ascii_only: bool) -> list[Text]:
    """The first column of the first plot, with its levels, the events and the finding's steps."""
    if not view.plots:
        return []
    plot = view.plots[0]
    metric = plot.metrics[0]
    at, values = diagnosis.run.series(metric)
    found, lines = markers(diagnosis), levels(diagnosis, metric)
    shown = text_plot(
        at, values, min(width, _PLOT_COLUMNS), _PLOT_LINES, [level.value for level in lines],
        [(m.step, m.letter) for m in found], plot.shade, ascii_only,
    )  # fmt: skip
    said = [marker_text(found)] if found else []
    said += [f"{'-' if ascii_only else '╌'} {level.label}" for level in lines]
    said += [f"{'=' if ascii_only else '━'} {plot.code}"] if plot.shade else []
    title = Text.assemble(
        (plain(diagnosis.run.columns[metric].original), "bold"), f" now {now_text(diagnosis, metric)}"
    )
    body = [title, *(Text(line, no_wrap=True, overflow="crop") for line in shown)]
    return [*body, Text("; ".join(said), style="dim")] if said else body


def _source(diagnosis: Diagnosis) -> list[RenderableType]:
    """Where the rows come from, and what reading them lost."""
    source = f"{plain(diagnosis.run.source)}: {run_line(diagnosis.run)}"
    lines: list[RenderableType] = [Text(source, style="dim", overflow="fold")]
    lost = [plain(n.text).split(" (the first")[0] for n in diagnosis.run.notes if n.kind not in _ORDINARY]
    if lost:
        more = f"; and {len(lost) - 2} more notes on reading in the full report" if len(lost) > 2 else ""
        lines.append(Text(f"Reading: {'; '.join(lost[:2])}{more}", style="yellow"))
    lines += [Text(f"Columns {plain(text)}", style="dim", overflow="fold") for text in reading.summary(diagnosis.run)]
    return lines


def _metrics(diagnosis: Diagnosis, width: int, ascii_only: bool) -> list[RenderableType]:
    """The metrics that matter: judged ones before others, those that never move last."""
    if not diagnosis.metrics:
        return []
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("metric", overflow="fold", max_width=24)
    for title in ("first", "now"):
        table.add_column(title, justify="right", no_wrap=True)
    spark = min(max(width - 72, 6), _SPARK)
    table.add_column("course", no_wrap=True)
    table.add_column("in natural units")
    table.add_column("verdict", no_wrap=True)
    shown = _worst_first(diagnosis.metrics)[:_METRICS]
    for m in (m for m in diagnosis.metrics if m in shown):
        verdict = Text(METRIC_STATUS_TEXT[m.status], style=COLOURS.get(m.status, ""))
        values = diagnosis.run.series(m.metric)[1]
        line = Text(sparkline(values, spark, ascii_only), style="cyan")
        table.add_row(Text(plain(m.metric)), number(m.first), number(m.now), line, natural_text(m), verdict)
    body: list[RenderableType] = [table]
    if len(diagnosis.metrics) > len(shown):
        body.append(Text(f"and {len(diagnosis.metrics) - len(shown)} more in the full report", style="dim"))
    return body


def _worst_first(metrics: Sequence[MetricVerdict]) -> list[MetricVerdict]:
    order = ("bad", "watch", "good", "ok", "cannot-tell", "info")
    return sorted(metrics, key=lambda m: (order.index(m.status), m.low is not None and m.low == m.high))


def _phases(diagnosis: Diagnosis, width: int) -> list[RenderableType]:
    phases = shown_phases(diagnosis)
    if not phases:
        return []
    cells = phase_weights(phases, width)
    bar = Text("".join(FILL[p.kind] * n for p, n in zip(phases, cells, strict=True)), no_wrap=True, overflow="crop")
    body: list[RenderableType] = [bar]
    found = markers(diagnosis)
    if found and not first_view(diagnosis).plots:  # else they stand on the plot's axis
        line = [" "] * width
        for marker in found:
            line[min(_cell(marker.step, diagnosis, cells), width - 1)] = marker.letter
        body.append(Text("".join(line).rstrip(), no_wrap=True, overflow="crop"))
        body.append(Text(marker_text(found), style="dim"))
    legend = (f"{FILL[p.kind]} {p.title} {step_range(p.first_step, p.last_step).split(' ', 1)[1]}" for p in phases)
    body.append(Text("   ".join(legend)))
    return body


def _cell(step: int, diagnosis: Diagnosis, cells: Sequence[int]) -> int:
    """The cell of the strip that ``step`` falls into."""
    start = 0
    for phase, width in zip(shown_phases(diagnosis), cells, strict=True):
        if step < phase.last_step or phase.last_step == phase.first_step == step:
            share = (step - phase.first_step) / max(phase.last_step - phase.first_step, 1)
            return start + int(max(share, 0) * width)
        start += width
    return start


def _findings(diagnosis: Diagnosis) -> list[RenderableType]:
    rows = flatten(finding_tree(diagnosis.findings))
    worse = [row for row in rows if row[1].finding.severity != "info"]
    shown = (worse or rows)[:_FINDINGS]
    rest = [node.finding for depth, node in rows if (depth, node) not in shown]
    verdict = first_view(diagnosis).verdict
    body: list[RenderableType] = [
        Padding(_finding(node, verdict), (0, 0, 0, 3 * min(depth, 2))) for depth, node in shown
    ]
    if rest:
        names = ", ".join(f"{f.code} {f.name} ({f.severity})" for f in rest)
        body.append(Text(f"and {len(rest)} more: {names}", style="dim"))
    return body or [Text("nothing found")]


def _finding(node: FindingNode, verdict: str) -> RenderableType:
    """A finding with its evidence; a sentence that the verdict has told is not told again."""
    f = node.finding
    first, _, rest = plain(f.message).partition(". ")
    message = f"as said above. {rest}".strip() if first.rstrip(".") in verdict else plain(f.message)
    where = step_range(f.first_step, f.last_step)
    text = Text.assemble((f.severity, COLOURS[f.severity]), f" {f.code} {f.name}" + (f", {where}" if where else ""))
    if node.follows_from:
        text.append(f" (follows from {node.follows_from})", style="dim")
    text.append(f": {message}")
    # of what follows from another finding the message is enough
    evidence = [] if node.follows_from else [e for e in f.evidence if _adds(e, f.message)][:_EVIDENCE]
    return Group(text, _indented("; ".join(map(evidence_text, evidence)), 3)) if evidence else text


def _adds(evidence: Evidence, message: str) -> bool:
    """Whether ``evidence`` says more than the message: a place in the log, or a number that is not there yet."""
    if evidence.line is not None or isinstance(evidence.value, str) or not math.isfinite(evidence.value):
        return True
    said = (float(n) for n in re.findall(r"-?\d+\.?\d*(?:e[-+]?\d+)?", message.replace(",", "")))
    return not any(math.isclose(value, evidence.value, rel_tol=0.02) for value in said)


def _causes(diagnosis: Diagnosis) -> list[RenderableType]:
    why = first_view(diagnosis).why
    body: list[RenderableType] = [_cause(cause, i == 0, why) for i, cause in enumerate(diagnosis.causes[:_CAUSES])]
    if len(diagnosis.causes) > _CAUSES:
        body.append(Text(f"and {len(diagnosis.causes) - _CAUSES} less likely", style="dim"))
    return body


def _cause(cause: RankedCause, with_test: bool, why: str) -> RenderableType:
    codes = [
        f"{word} {', '.join(finding.split()[0] for finding in findings)}"
        for word, findings in (("for", cause.supporting), ("against", cause.opposing))
        if findings
    ]
    beside = "besides: " if cause.also else ""
    text = Text.assemble(
        (f"{belief(cause.score):>8} ", "bold"),
        f"{beside}{cause.id} {plain(cause.title)} ({cause.name}): {'; '.join(codes)}",
    )
    lines = [f"Test: {sentence(cause.test)}"] if cause.test and with_test else []
    lines += [f"This log: {sentence(cause.tested)}"] if cause.tested and plain(cause.tested) not in why else []
    return Group(text, *(_indented(line, 6) for line in lines))


def _next(diagnosis: Diagnosis) -> list[RenderableType]:
    """What is expected of the first step, which stands on top, and the step after it. The test of a cause is not repeated."""
    tests = {cause.test for cause in diagnosis.causes}
    on_top = bool(first_view(diagnosis).changes)
    body: list[RenderableType] = []
    for i, (step, patch) in enumerate(zip(diagnosis.next[:_NEXT], new_patch_lines(diagnosis.next), strict=False), 1):
        same = " The same change as above." if step.patch and not patch else ""
        if i > 1 or on_top:
            body.append(Text(f"{i}. {sentence(step.text)}{same}"))
        if i > 1:
            body += [Text(f"   {plain(flag)}", style="bold", overflow="fold") for flag in patch]
        if step.expected and i == 1:
            falsified = f" Not it if: {sentence(step.falsify)}" if step.falsify else ""
            body.append(_indented(f"Expect: {sentence(step.expected)}{falsified}", 3))
        if step.command and step.command not in tests:
            decides = "Decide: " if step.cause and step.command.startswith("vaelab ") else ""
            body.append(_indented(decides + plain(step.command), 3))
    if len(diagnosis.next) > _NEXT:
        body.append(Text(f"and {len(diagnosis.next) - _NEXT} more in the full report", style="dim"))
    return body


def _would_change(diagnosis: Diagnosis) -> list[RenderableType]:
    """What is not already said under *Not it if*."""
    said = [step.falsify for step in diagnosis.next[:1] if step.falsify]
    texts = [t for t in diagnosis.would_change if not any(s in t for s in said)]
    return [Text(f"- {plain(t)}") for t in texts[:2]]


def _skipped(diagnosis: Diagnosis) -> list[RenderableType]:
    """How many rules missed what; the full report names them."""
    if not diagnosis.skipped:
        return []
    lacks = Counter(text for rule in diagnosis.skipped for text in dict.fromkeys(map(needed, rule.missing)))
    groups = ", ".join(f"{text} ({count})" for text, count in lacks.most_common(_NEEDS))
    groups += f" and {len(lacks) - _NEEDS} more" if len(lacks) > _NEEDS else ""
    count = len(diagnosis.skipped)
    return [Text(f"{count} rule{'s' if count > 1 else ''}, for lack of: {groups}", style="dim")]


def _indented(text: str, by: int) -> RenderableType:
    """Secondary text whose wrapped lines stay indented."""
    return Padding(Text(text, style="dim", overflow="fold"), (0, 0, 0, by))
