"""One screen for one run, one table for several. Colour only supports: everything is also said in words."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vaelab.diagnosis import Diagnosis, MetricVerdict, RankedCause
from vaelab.report.layout import (
    METRIC_STATUS_TEXT,
    STATUS_TEXT,
    FindingNode,
    evidence_text,
    finding_tree,
    flatten,
    marker_text,
    markers,
    needed,
    phase_weights,
    plain,
    run_line,
    sentence,
    shown_phases,
    skipped_by_missing,
)
from vaelab.report.numbers import number, percent, quantity, step_range, steps

_COLOUR = {
    "healthy": "green", "watch": "yellow", "act": "red", "stop": "bold red", "cannot-tell": "cyan",
    "good": "green", "ok": "green", "bad": "red", "info": "", "warn": "yellow", "critical": "bold red",
}  # fmt: skip
_FILL = {"warm-up": ".", "vae-only": "-", "gan-start": "+", "gan": "#", "lr-decay": "~", "whole": "="}

# What one screen holds; the markdown and HTML reports hold the rest.
_METRICS, _FINDINGS, _CAUSES, _NEXT, _EVIDENCE = 10, 5, 3, 2, 4


def render(diagnoses: Sequence[Diagnosis], console: Console) -> None:
    """Print one diagnosis as one screen, or several as a table with one row a run."""
    if len(diagnoses) == 1:
        console.print(screen(diagnoses[0], console.width))
    elif diagnoses:
        folder = _common_folder(diagnoses)
        if folder:
            console.print(Text(f"{len(diagnoses)} runs under {folder}", style="dim", overflow="fold"))
        console.print(overview(diagnoses, folder))


def screen(diagnosis: Diagnosis, width: int = 100) -> RenderableType:
    """Everything that matters of one run, worst first, in about 45 lines of 100 columns."""
    sections = (
        ("Metrics", _metrics(diagnosis)),
        ("Phases", _phases(diagnosis, width - 2)),
        ("Findings", _findings(diagnosis)),
        ("Possible causes", _causes(diagnosis)),
        ("What to do", _next(diagnosis)),
        ("What would change this verdict", [_item(text) for text in diagnosis.would_change[:2]]),
        ("Could not be checked", _skipped(diagnosis)),
    )
    parts: list[RenderableType] = _head(diagnosis)
    for title, body in sections:
        if body:
            parts += [Text(title, style="bold"), Padding(Group(*body), (0, 0, 0, 2))]
    return Group(*parts)


def overview(diagnoses: Sequence[Diagnosis], folder: str = "") -> Table:
    """One row a run: source (below ``folder``), trainer, status, headline, first finding, top cause, steps."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for title, options in (
        ("log", {"ratio": 2, "overflow": "fold"}),
        ("trainer", {"overflow": "fold"}),
        ("status", {"no_wrap": True}),
        ("verdict", {"ratio": 4}),
        ("first finding", {"ratio": 2}),
        ("top cause", {"ratio": 2}),
        ("steps", {"justify": "right", "no_wrap": True}),
    ):
        table.add_column(title, **options)
    table.expand = True
    for d in diagnoses:
        # names in words: they wrap at spaces
        first = next((f"{n.finding.code} {n.finding.name.replace('-', ' ')}" for n in finding_tree(d.findings)), "-")
        cause = f"{d.causes[0].id} {plain(d.causes[0].title)} ({percent(d.causes[0].score)})" if d.causes else "-"
        last = steps(int(d.run.steps[-1])) if len(d.run) else "0"
        cells = (plain(d.run.source).removeprefix(folder), d.run.trainer, d.status, plain(d.headline), first, cause, last)
        table.add_row(*(Text(c, style=_COLOUR.get(c, "")) for c in cells))
    return table


def _common_folder(diagnoses: Sequence[Diagnosis]) -> str:
    """The folder that all logs lie under, with a slash at its end; empty if there is none worth naming."""
    folders = [plain(d.run.source).rpartition("/")[0].split("/") for d in diagnoses]
    shared = []
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/".join(shared) + "/" if any(shared) else ""


def _head(diagnosis: Diagnosis) -> list[RenderableType]:
    status = Text.assemble(
        (f"{diagnosis.status.upper()}  ", _COLOUR[diagnosis.status]), (plain(diagnosis.headline), "bold")
    )
    sure = f"{STATUS_TEXT[diagnosis.status]}. Confidence {percent(diagnosis.confidence)}"
    sure += f": {plain(diagnosis.confidence_text)}" if diagnosis.confidence_text else ""
    source = Text(plain(diagnosis.run.source), style="dim", overflow="fold")
    return [status, Text(sentence(sure)), source, Text(run_line(diagnosis.run), style="dim")]


def _metrics(diagnosis: Diagnosis) -> list[RenderableType]:
    if not diagnosis.metrics:
        return []
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("metric", overflow="fold", max_width=24)
    for title in ("first", "now", "best"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("trend", no_wrap=True)
    table.add_column("in natural units")
    table.add_column("verdict", no_wrap=True)
    shown = _worst_first(diagnosis.metrics)[:_METRICS]
    for m in (m for m in diagnosis.metrics if m in shown):
        verdict = Text(METRIC_STATUS_TEXT[m.status], style=_COLOUR.get(m.status, ""))
        table.add_row(
            Text(plain(m.metric)), number(m.first), number(m.now), number(m.best), m.trend, _natural(m), verdict
        )
    body: list[RenderableType] = [table]
    if len(diagnosis.metrics) > len(shown):
        body.append(Text(f"and {len(diagnosis.metrics) - len(shown)} more in the full report", style="dim"))
    return body


def _worst_first(metrics: Sequence[MetricVerdict]) -> list[MetricVerdict]:
    order = ("bad", "watch", "good", "ok", "cannot-tell", "info")
    return sorted(metrics, key=lambda m: order.index(m.status))


def _natural(m: MetricVerdict) -> str:
    if m.natural_now is None:
        return ""
    now = quantity(m.natural_now, m.natural_unit)
    first = f"{quantity(m.natural_first, m.natural_unit).removesuffix(m.natural_unit).strip()} to "
    return f"{m.natural_name} {first if m.natural_first is not None else ''}{now}".strip()


def _phases(diagnosis: Diagnosis, width: int) -> list[RenderableType]:
    phases = shown_phases(diagnosis)
    if not phases:
        return []
    cells = phase_weights(phases, width)
    bar = Text("".join(_FILL[p.kind] * n for p, n in zip(phases, cells, strict=True)), no_wrap=True, overflow="crop")
    body: list[RenderableType] = [bar]
    found = markers(diagnosis)
    if found:
        line = [" "] * width
        for marker in found:
            line[min(_cell(marker.step, diagnosis, cells), width - 1)] = marker.letter
        body.append(Text("".join(line).rstrip(), no_wrap=True, overflow="crop"))
    legend = (f"{_FILL[p.kind]} {p.title} {steps(p.first_step)} to {steps(p.last_step)}" for p in phases)
    body.append(Text("   ".join(legend)))
    if found:
        body.append(Text(marker_text(found), style="dim"))
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
    body: list[RenderableType] = [Padding(_finding(node), (0, 0, 0, 3 * depth)) for depth, node in rows[:_FINDINGS]]
    if len(rows) > _FINDINGS:
        rest = ", ".join(f"{n.finding.code} {n.finding.name} ({n.finding.severity})" for _, n in rows[_FINDINGS:])
        body.append(Text(f"and {len(rows) - _FINDINGS} more: {rest}", style="dim"))
    return body or [Text("nothing found")]


def _finding(node: FindingNode) -> RenderableType:
    f = node.finding
    where = step_range(f.first_step, f.last_step)
    text = Text.assemble((f.severity, _COLOUR[f.severity]), f" {f.code} {f.name}" + (f", {where}" if where else ""))
    if node.follows_from:
        text.append(f" (follows from {node.follows_from})", style="dim")
    text.append(f": {plain(f.message)}")
    if not f.evidence:
        return text
    return Group(text, Text("   " + "; ".join(evidence_text(e) for e in f.evidence[:_EVIDENCE]), style="dim"))


def _causes(diagnosis: Diagnosis) -> list[RenderableType]:
    body: list[RenderableType] = [_cause(cause) for cause in diagnosis.causes[:_CAUSES]]
    if len(diagnosis.causes) > _CAUSES:
        body.append(Text(f"and {len(diagnosis.causes) - _CAUSES} less likely", style="dim"))
    return body


def _cause(cause: RankedCause) -> RenderableType:
    grounds = [f"{word} {', '.join(codes)}" for word, codes in
               (("for", cause.supporting), ("against", cause.opposing)) if codes]  # fmt: skip
    text = Text.assemble(
        (f"{percent(cause.score):>5} ", "bold"), f"{cause.id} {plain(cause.title)} ({cause.name}): {'; '.join(grounds)}"
    )
    return Group(text, Text(f"      Test: {plain(cause.test)}", style="dim")) if cause.test else text


def _next(diagnosis: Diagnosis) -> list[RenderableType]:
    body: list[RenderableType] = []
    for i, step in enumerate(diagnosis.next[:_NEXT], 1):
        body.append(Text(f"{i}. {plain(step.text)}"))
        lines = [f"   {plain(flag)}" for flag in step.patch]
        body += [Text(line, style="bold", overflow="fold") for line in lines]
        if step.expected:
            falsified = f" Not it if: {sentence(step.falsify)}" if step.falsify else ""
            body.append(Text(f"   Expect: {sentence(step.expected)}{falsified}", style="dim"))
        if step.command:
            body.append(Text(f"   {plain(step.command)}", style="dim", overflow="fold"))
    if len(diagnosis.next) > _NEXT:
        body.append(Text(f"and {len(diagnosis.next) - _NEXT} more in the full report", style="dim"))
    return body


def _skipped(diagnosis: Diagnosis) -> list[RenderableType]:
    groups = (
        f"{', '.join(rule.code for rule in rules)} need {', '.join(map(needed, missing))}"
        for missing, rules in skipped_by_missing(diagnosis.skipped)
    )
    text = "; ".join(groups)
    return [Text(text, style="dim")] if text else []


def _item(text: str) -> Text:
    return Text(f"- {plain(text)}")
