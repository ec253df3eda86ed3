"""The terminal screen of ``vaelab watch``: one run in full, or one line a run and the worst one below."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from vaelab.diagnosis import Diagnosis
from vaelab.live.changes import clean
from vaelab.live.hysteresis import STATUS_ORDER
from vaelab.live.milestones import duration, milestones
from vaelab.live.page import TALL, Page, clip, clip_left, one_line
from vaelab.live.watched import WatchedRun
from vaelab.report.first_view import finding_only, first_view, without_cause
from vaelab.report.layout import (
    METRIC_STATUS_TEXT,
    STATUS_TEXT,
    marker_text,
    markers,
    phase_weights,
    shown_phases,
)
from vaelab.report.numbers import number, percent, steps
from vaelab.report.sparkline import sparkline
from vaelab.report.terminal import COLOURS, FILL, first_plot

if TYPE_CHECKING:
    from vaelab.live.alerts import Alerts

MOST_METRICS = 12
MOST_FINDINGS = 6
FRESH_GONE = 4  # findings that are gone and still shown
_FIRST = ("bad", "watch")  # metrics that are shown before the others, which keep their reading order


def page(
    runs: Sequence[WatchedRun],
    console: Console,
    width: int,
    height: int,
    alerts: Alerts | None = None,
    selected: WatchedRun | None = None,
    keys: str = "",
) -> list[Text]:
    """The screen as lines: at most ``height`` of at most ``width`` columns. selected: of several runs the one shown in full, the
    worst one without. keys: what to press, told in the last line."""
    foot = _foot(runs, console, width, alerts, keys)
    top = Page(console, width, max(height - len(foot), 1))
    if not runs:
        top.add(Text("reading the logs ...", style="dim"))
    elif len(runs) > 1:
        worst = selected or worst_run(runs)
        _overview(top, runs, worst)
        top.add(Text())
        _one_run(top, worst)
    else:
        _one_run(top, runs[0])
    return [*top.lines, *foot][:height]


def worst_run(runs: Sequence[WatchedRun]) -> WatchedRun:
    """The run with the gravest status; of several the first that has not ended."""
    return max(
        runs, key=lambda r: (STATUS_ORDER[r.status], r.problem is not None and r.run is not None, not r.finished)
    )


# Several runs --------------------------------------------------------------------------------------------------------


def _overview(page: Page, runs: Sequence[WatchedRun], worst: WatchedRun) -> None:
    """The runs, the worst first, with their verdicts in up to four lines where there is room; only the worst where not all fit."""
    counts = {status: sum(r.status == status for r in runs) for status in reversed(STATUS_ORDER)}
    said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    page.add(Text(f"{len(runs)} runs: {said}", style="bold"))
    most = max(3, page.height // 3 - 1)
    ordered = sorted(runs, key=lambda r: -STATUS_ORDER[r.status])
    shown = ordered if len(runs) <= most else [worst, *(r for r in ordered if r is not worst)][: most - 1]
    shown.sort(key=lambda r: -STATUS_ORDER[r.status])
    lines_each = min(max(most // len(shown), 1), 4)
    names = short_names(runs)
    name_width = min(max(len(names[r.id]) for r in shown), max(page.width // 3, 12))
    wide = page.width >= 100
    words = {r.id: r.status.upper() if r.diagnosis else "WAITING" for r in shown}
    word_width = max(map(len, words.values()))
    ahead = max(len(_progress_of(r)) for r in shown) if wide else 0
    for run in shown:
        head = Text.assemble(
            "> " if run is worst else "  ",
            (f"{words[run.id]:<{word_width}}  ", COLOURS[run.status]),
            f"{clip_left(names[run.id], name_width):<{name_width}}  ",
            (f"{_progress_of(run):<{ahead}}  " if wide else "", "dim"),
        )
        silent = f"{_silence(run)}: " if not wide and _silence(run) else ""
        page.add_column(head, Text(silent + one_line(run.problem or finding_only(run.headline))), lines_each)
    if len(shown) < len(runs):
        page.add(Text(f"  and {len(runs) - len(shown)} more that are no worse", style="dim"))


def short_names(runs: Sequence[WatchedRun]) -> dict[str, str]:
    """The part of each path that tells the runs apart, by id."""
    parts = {r.id: one_line(r.source).split("/") for r in runs}
    files_in_folders = all(len(p) > 1 and "." in p[-1] for p in parts.values())
    if files_in_folders and len({tuple(p[:-1]) for p in parts.values()}) == len(parts):
        parts = {i: p[:-1] for i, p in parts.items()}  # the folder tells enough
    front = 0
    while all(len(p) > front + 1 for p in parts.values()) and len({p[front] for p in parts.values()}) == 1:
        front += 1
    return {i: "/".join(p[front:]) for i, p in parts.items()}


def _progress_of(run: WatchedRun) -> str:
    """How far the run is, and for how long its log has been silent."""
    if run.step is None:
        return ""
    share = run.diagnosis.facts.progress.share if run.diagnosis else None
    done = f"step {steps(run.step)}" + (f" ({percent(share)})" if share is not None else "")
    return ", ".join(filter(None, (done, _silence(run))))


def _silence(run: WatchedRun) -> str:
    return f"silent {duration(run.stale)}" if run.stalled and not run.finished and run.step is not None else ""


# One run -------------------------------------------------------------------------------------------------------------


def _one_run(page: Page, run: WatchedRun) -> None:
    if run.diagnosis is None:
        page.add(Text.assemble(("WAITING  ", "cyan"), run.problem or f"no row yet in {clean(run.source)}"), 3)
        return
    _first(page, run, run.diagnosis)
    page.add(Text(one_line(run.source), style="dim"))
    page.add(_progress(run, page.width))
    for text in _next(run):
        page.add(text)
    if run.problem is not None:
        page.add(Text(run.problem, style="yellow"), 2)
    _strip(page, run)
    findings = [s for s in run.findings if s.active and s.finding.severity != "info"]
    # on a low screen metrics and findings share the room; on a high one there is air between them
    for_findings = min(2 * len(findings) + 2, max(page.room // 2, 4)) if findings else 2
    page.space()
    _metrics(page, run.diagnosis, page.room - for_findings)
    page.space()
    _findings(page, run)


def _first(page: Page, run: WatchedRun, diagnosis: Diagnosis) -> None:
    """Verdict, change and why of the shown status, and on a high screen the column in question as a plot."""
    ended = run.finished or diagnosis.facts.ended
    late = ended and run.status == "stop"
    word = "SHOULD HAVE STOPPED" if late else run.status.upper()
    tells = "" if ended else f"{STATUS_TEXT[run.status]}. "
    told = (finding_only if late else without_cause)(run.headline)
    page.add(Text.assemble((f"{word}  ", COLOURS[run.status]), (tells, "bold"), told), 4)
    if run.status != diagnosis.status:
        return  # the newest rows alone say something else: nothing to act on yet
    view = first_view(diagnosis)
    for i, change in enumerate(view.changes[:3]):
        paste = f"   paste: {change.paste}" if change.paste != change.text else ""
        page.add(Text.assemble((f"{view.label if i == 0 else '':<7} ", "bold"), (change.text, "bold"), paste))
    for label, text in ((view.label, view.todo), ("Why", view.why)):
        if text:
            page.add_column(Text(f"{label:<7} ", style="bold"), Text(text), 3)
    if page.height >= TALL and page.room > 20:
        for line in first_plot(diagnosis, view, page.width, page.console.options.ascii_only):
            page.add(line)


def _progress(run: WatchedRun, width: int) -> Text:
    assert run.diagnosis is not None and run.run is not None
    progress = run.diagnosis.facts.progress
    parts = []
    if progress.share is not None and progress.planned:
        cells = 20 if width >= 70 else 10
        done = int(progress.share * cells)
        bar = f"[{'#' * done}{'.' * (cells - done)}]"
        parts.append(f"{bar} {percent(progress.share)}, step {steps(run.step)} of {steps(progress.planned)}")
    else:
        parts.append(f"{run.run.step_unit} {steps(run.step)}")
    pace = progress.seconds or run.seconds_per_step
    if pace:
        parts.append(f"{number(pace, 2)} s a step")
    parts.append("finished" if run.finished else f"last row {_age(run.stale)}")
    return Text(", ".join(parts), style="yellow" if run.stalled and not run.finished else "")


def _next(run: WatchedRun) -> list[Text]:
    assert run.diagnosis is not None
    ahead = [] if run.finished else milestones(run.diagnosis.facts, run.seconds_per_step)[:2]
    if not ahead:
        return []
    said = []
    for milestone in ahead:
        how_long = "" if milestone.seconds is None else f" in {duration(milestone.seconds)}"
        said.append(f"{milestone.name} at {steps(milestone.step)}{how_long}")
    return [Text(f"next: {', '.join(said)}")]


def _strip(page: Page, run: WatchedRun) -> None:
    """Phases as far as the run has come; dots stand for the steps that are planned."""
    assert run.diagnosis is not None
    phases = shown_phases(run.diagnosis)
    if not phases:
        return
    share = run.diagnosis.facts.progress.share
    cells = page.width if share is None else max(int(page.width * share), 2 * len(phases))
    cells = min(cells, page.width)
    parts = zip(phases, phase_weights(phases, cells), strict=True)
    text = "".join(FILL[phase.kind] * count for phase, count in parts)
    ahead = "." if page.console.options.ascii_only else "·"
    page.add(Text(text[: page.width].ljust(page.width, ahead)))
    legend = "  ".join(f"{FILL[p.kind]} {p.title} from {steps(p.first_step)}" for p in phases)
    page.add(Text(legend), 2)
    found = marker_text(markers(run.diagnosis), letters=False)
    if found:
        page.add(Text(found, style="dim"))


def _metrics(page: Page, diagnosis: Diagnosis, most: int) -> None:
    """One line a metric: name, first and last value, the series as a sparkline, the verdict in words."""
    rows = [m for m in diagnosis.metrics if m.now is not None]
    most = min(most - 1, MOST_METRICS)
    if not rows or most < 1:
        return
    kept = sorted(rows, key=lambda m: _FIRST.index(m.status) if m.status in _FIRST else len(_FIRST))[:most]
    rows = [m for m in rows if m in kept]
    name_width = min(max(len(clean(m.metric)) for m in rows), 22)
    spark_width = max(min(page.width - name_width - 58, 40), 8)
    head = f"{'metric':<{name_width}} {'first':>9} {'now':>9}  {'over the run':<{spark_width}}  verdict"
    page.add(Text(head, style="dim"))
    for m in rows:
        series = diagnosis.facts.view.series(m.metric)
        line = sparkline(series.values, spark_width, page.console.options.ascii_only)
        word = METRIC_STATUS_TEXT[m.status]
        page.add(
            Text.assemble(
                f"{clip(clean(m.metric), name_width):<{name_width}} {number(m.first):>9} {number(m.now):>9}  ",
                (f"{line:<{spark_width}}  ", "cyan"),
                (word, COLOURS.get(m.status, "")),
                (f", {clean(m.text)}" if m.text and m.status not in ("good", "ok") else "", "dim"),
            )
        )


def _findings(page: Page, run: WatchedRun) -> None:
    active = [s for s in run.findings if s.active and s.finding.severity != "info"]
    gone = [s for s in run.findings if not s.active and s.finding.severity != "info"][:FRESH_GONE]
    if page.room < 2:
        return
    if not active:
        page.add(Text("nothing to change was found", style="green" if run.status == "healthy" else "dim"))
    # long messages where there is room for them
    lines_each = max(1, min(3, (page.room - len(gone)) // max(len(active), 1)))
    for f in (seen.finding for seen in active[:MOST_FINDINGS]):
        text = Text.assemble((f.severity, COLOURS[f.severity]), f" {f.code} {f.name}: {one_line(f.message)}")
        page.add(text, lines_each)
    if len(active) > MOST_FINDINGS:
        page.add(Text(f"and {len(active) - MOST_FINDINGS} more: vaelab diagnose shows them", style="dim"))
    for seen in gone:
        name = f"{seen.finding.code} {seen.finding.name}"
        page.add(Text(f"gone: {name}, last seen at step {steps(seen.last_seen_step)}", style="dim"))


# Foot ----------------------------------------------------------------------------------------------------------------


def _foot(runs: Sequence[WatchedRun], console: Console, width: int, alerts: Alerts | None, keys: str) -> list[Text]:
    """The last thing that changed, alerts, and the keys."""
    foot = Page(console, width, 4)
    changes = [c for r in runs for c in r.history if c.kind != "cause"]
    if changes:
        last = max(changes, key=lambda c: c.time)
        name = f"{short_names(runs)[last.run_id]}: " if len(runs) > 1 else ""
        foot.add(Text(f"last change {_clock(last.time)}  {name}{last.text}", style="dim"))
    if alerts is not None and alerts.last is not None:
        sent = alerts.last
        first = sent.text.splitlines()[0] if sent.text else ""
        foot.add(Text(f"last alert  {_clock(sent.changes[-1].time)}  {sent.kind}: {first}", style="dim"))
    if alerts is not None and alerts.problems:
        foot.add(Text(f"alerts: {alerts.problems[-1]}", style="yellow"))
    if keys:
        foot.add(Text(keys, style="dim"))
    return foot.lines


def _age(seconds: float) -> str:
    """In steps of ten seconds, so that the screen stands still most of the time."""
    return "just now" if seconds < 10 else f"{duration(seconds // 10 * 10)} ago"


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
