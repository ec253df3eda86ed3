"""What the page shows of a run at one moment, laid out once for all who look at it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader

from vaelab.diagnosis import Diagnosis
from vaelab.live import Change, SeenFinding, WatchedRun
from vaelab.live.milestones import duration, milestones
from vaelab.report.charts import charts, steps_of
from vaelab.report.first_view import finding_only, without_cause
from vaelab.report.glossary import explanations
from vaelab.report.html import findings_layout, run_layout
from vaelab.report.layout import headline, plain
from vaelab.report.markdown import environment
from vaelab.run import Run
from vaelab.web.run_files import RunFiles

MOST_CHANGES = 60
MOST_VALIDATIONS = 12
PARTS = ("verdict", "phases", "judgement", "metrics", "validation", "changes", "details")
_VALIDATION = (("val", ""), ("val_ema", " (EMA)"))


@dataclass(frozen=True, eq=False)
class RunView:
    """One run as it was at one moment; nothing in it changes afterwards, so any thread may read it.

    id: of the watched run. version: other text, other version, also after the server was started again. name: as
    much of the source as tells it from the others. row_at: when the newest row was written, seconds since 1970.
    """

    id: str
    version: str
    name: str
    source: str
    status: str
    headline: str
    diagnosis: Diagnosis | None
    findings: tuple[SeenFinding, ...] = ()
    problem: str | None = None
    changes: tuple[Change, ...] = ()
    row_at: float = 0.0
    finished: bool = False
    stalled: bool = False
    seconds_per_step: float | None = None
    files: RunFiles = field(default_factory=RunFiles)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _laid_out: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def summary(self) -> dict[str, Any]:
        """What the list of runs says of it."""
        run = self.diagnosis.run if self.diagnosis else None
        return {
            "id": self.id,
            "version": self.version,
            "name": plain(self.name),
            "source": plain(self.source),
            "status": self.status,
            "headline": plain(self.headline),
            "step": int(run.steps[-1]) if run is not None and len(run) else None,
            "stepUnit": run.step_unit if run is not None else "step",
            "rowAt": self.row_at,
            "finished": self.finished,
            "stalled": self.stalled,
            "problem": plain(self.problem) if self.problem else None,
        }

    def content(self) -> dict[str, Any]:
        """Everything but the points of the charts. Laid out once, however many ask at the same time."""
        with self._lock:
            if not self._laid_out:
                self._laid_out.update(self._content())
            return self._laid_out

    def metric(self, name: str) -> str | None:
        """The column that the page calls ``name`` (control characters never reach the page); None if there is none."""
        run = self.diagnosis.run if self.diagnosis else None
        return next((m for m in run if plain(m) == name), None) if run is not None else None

    def _content(self) -> dict[str, Any]:
        d = self.diagnosis
        page = {**self.summary, "parts": self._parts(), "previews": self._previews()}
        if d is not None:
            page |= {"axis": steps_of(d), "charts": [about for _, about in charts(d)]}
        return page

    def _parts(self) -> dict[str, str]:
        """HTML by part; whatever a log says is text in it."""
        d = self.diagnosis
        layout = None
        if d is not None:
            shown = [seen.finding for seen in self.findings if seen.active]
            layout = {**run_layout(d), **findings_layout(shown)}
        template = templates().get_template("live_run.html.j2")
        module: Any = template.make_module(
            {
                "view": self,
                "r": layout,
                "progress": _progress(d) if d is not None else None,
                "ahead": milestones(d.facts, self.seconds_per_step)[:2] if d is not None and not self.finished else [],
                "duration": duration,
                "unconfirmed": headline(d) if d is not None and d.status != self.status else "",
                "gone": [seen for seen in self.findings if not seen.active],
                "scores": _scores(d.run, self.files.baselines) if d is not None else None,
            }
        )
        return {part: str(getattr(module, part)()).strip() for part in PARTS}

    def _previews(self) -> list[dict[str, Any]]:
        return [{"step": step, "kinds": sorted(kinds)} for step, kinds in sorted(self.files.previews.items())]


def view_of(watched: WatchedRun, version: str, name: str, row_at: float, files: RunFiles) -> RunView:
    """What is shown of ``watched`` now. Call it from the thread that polls."""
    return RunView(
        id=watched.id,
        version=version,
        name=name,
        source=watched.source,
        status=watched.status,
        headline=watched.headline,
        diagnosis=watched.diagnosis,
        findings=tuple(watched.findings),
        problem=watched.problem,
        changes=tuple(watched.history[-MOST_CHANGES:]),
        row_at=row_at,
        finished=watched.finished,
        stalled=watched.stalled,
        seconds_per_step=watched.seconds_per_step,
        files=files,
    )


@cache
def templates() -> Environment:
    """The report's templates and functions, with those of the live page; all text is escaped."""
    env = environment(autoescape=True)
    env.globals.update(finding_only=finding_only, without_cause=without_cause, explanations=explanations())
    env.loader = ChoiceLoader([*([env.loader] if env.loader else []), PackageLoader("vaelab.web")])
    return env


def short_names(sources: Sequence[str]) -> list[str]:
    """The end of each source, from its folder on or from as far up as tells it from the others: ``run-a/train.log``."""
    parts = [plain(source).replace("\\", "/").strip("/").split("/") for source in sources]
    names: list[str | None] = [None] * len(parts)
    for n in range(2, max(map(len, parts), default=0) + 1):
        ends = ["/".join(own[-n:]) for own in parts]
        count = Counter(ends)
        names = [name or (end if count[end] == 1 else None) for name, end in zip(names, ends, strict=True)]
    return [name or "/".join(own) for name, own in zip(names, parts, strict=True)]


def _progress(d: Diagnosis) -> dict[str, Any] | None:
    """Where the run is among its planned steps, if the log says how many there are."""
    progress = d.facts.progress
    if progress.share is None or not progress.planned or not len(d.run):
        return None
    share = round(100 * min(max(progress.share, 0.0), 1.0), 1)
    return {"step": int(d.run.steps[-1]), "total": int(progress.planned), "share": share}


def _scores(run: Run, baselines: Mapping[str, Mapping[str, float]]) -> dict[str, Any] | None:
    """The last validations, newest first, and the simple predictors on the same samples; None without validations."""
    names = {m.partition("/")[2] for m in run for prefix, _ in _VALIDATION if m.startswith(f"{prefix}/")}
    shown = [name for name in sorted(names) if name != "non_finite"]
    rows: list[tuple[str, list[float | None]]] = []
    steps: set[int] = {int(s) for m in run if m.partition("/")[0] == "val" for s in run.steps[run.rows(m)]}
    for step in sorted(steps, reverse=True)[:MOST_VALIDATIONS]:
        at = int(run.steps.searchsorted(step))
        for prefix, title in _VALIDATION:
            values = [_logged(run, f"{prefix}/{name}", at) for name in shown]
            if any(value is not None for value in values):
                rows.append((f"{step:,}{title}", values))
    if not rows:
        return None
    extra = [(plain(title), [scores.get(name) for name in shown]) for title, scores in baselines.items()]
    return {
        "names": list(map(plain, shown)),
        "rows": rows,
        "baselines": extra,
        "left_out": len(steps) - MOST_VALIDATIONS,
    }


def _logged(run: Run, metric: str, row: int) -> float | None:
    return float(run[metric][row]) if metric in run and run.columns[metric].logged[row] else None
