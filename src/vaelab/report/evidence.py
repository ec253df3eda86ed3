"""What a plot of a metric draws beside the curve: levels to compare with, natural units on a second axis, a finding's steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vaelab.diagnosis import Diagnosis, MetricVerdict
from vaelab.report.layout import finding_tree, plain
from vaelab.report.limits import Level, chance_level, limit
from vaelab.report.numbers import number, quantity
from vaelab.rules.base import Finding

STARVED = 0.05
"""Nats per latent element below which a latent holds too little (the catalogue's band of kl_loss)."""
WORSE = 1.3
"""Times the error of the best level from which that level is drawn: nearer, the two lines fall together."""
TOGETHER = (("logits_real", "logits_fake"), ("lr", "disc_lr"), ("grad_norm", "disc_grad_norm"))
"""Metrics that share a plot."""


@dataclass(frozen=True)
class Natural:
    """The second axis. kind ``db``: constant - 10 log10(value); ``ratio``: constant x value."""

    kind: Literal["db", "ratio"]
    constant: float
    name: str
    unit: str


@dataclass(frozen=True)
class EvidencePlot:
    """A plot of the first view. metrics: one curve each. shade: first and last step of the finding it shows, None where that is
    the whole run; code: that finding's."""

    metrics: tuple[str, ...]
    shade: tuple[int, int] | None
    code: str = ""


def evidence_plots(diagnosis: Diagnosis, most: int = 2) -> list[EvidencePlot]:
    """The plots, at most ``most``, that show what the verdict rests on: columns of the leading finding, then of those beside it,
    then the reconstruction; curves that never move only where nothing else is left."""
    run, lead = diagnosis.run, leading_finding(diagnosis)
    wanted = list(lead.metrics) if lead is not None else []
    support = diagnosis.causes[0].findings if diagnosis.causes else ()
    wanted += [m for f in diagnosis.findings if f.code in support and f.severity != "info" for m in f.metrics]
    judged = [m.metric for m in diagnosis.metrics]
    wanted += [m for m in ("rec_loss", "rec_mse", "val/rec_loss", "kl_loss", "total_loss", *judged) if m in judged]
    usable = [m for m in dict.fromkeys(wanted) if m in run and len(run.series(m)[0]) > 1]
    # of a discriminator that never starts the flat loss is the evidence
    first = [m for m in usable[:1] if lead is not None and m in lead.metrics]
    moving = [m for m in usable if np.ptp(run.series(m)[1]) > 0]
    known = [m for m in run if len(run.series(m)[0])]
    found: list[tuple[str, ...]] = []
    for metric in [*first, *moving, *usable]:
        group = together(metric, known)
        if group not in found:
            found.append(group)
    code = lead.code if lead is not None else ""
    return [EvidencePlot(group, _shade(diagnosis, lead, group), code) for group in found[:most]]


def together(metric: str, known: Sequence[str]) -> tuple[str, ...]:
    """The metrics of ``known`` that are drawn in one plot with ``metric``."""
    group = next((g for g in TOGETHER if metric in g), (metric,))
    return tuple(m for m in group if m in known)


def leading_finding(diagnosis: Diagnosis) -> Finding | None:
    """The finding that the headline tells; None where nothing is worse than info."""
    worse = [node.finding for node in finding_tree(diagnosis.findings) if node.finding.severity != "info"]
    told = (f for f in worse if f.message.split(". ")[0].rstrip(".") in diagnosis.headline)
    return next(iter((*told, *worse)), None)


def _shade(diagnosis: Diagnosis, finding: Finding | None, metrics: Sequence[str]) -> tuple[int, int] | None:
    if finding is None or finding.first_step is None or not set(metrics) & set(finding.metrics):
        return None
    first, last = finding.first_step, finding.last_step if finding.last_step is not None else finding.first_step
    ends = int(diagnosis.run.steps[0]), int(diagnosis.run.steps[-1])
    return (first, last) if last - first < 0.95 * (ends[1] - ends[0]) else None


@np.errstate(all="ignore")  # a column may hold any number a float can
def levels(diagnosis: Diagnosis, metric: str) -> list[Level]:
    """Lines to compare ``metric`` with, at most two: where the leading finding becomes critical, chance, the clip, too little KL, the
    level before the GAN, the best level."""
    facts, name = diagnosis.facts, metric.rpartition("/")[2]
    critical = limit(diagnosis, leading_finding(diagnosis), metric)
    found = [critical] if critical is not None else []
    if metric == "disc_loss" and (chance := chance_level(diagnosis)) is not None:
        found.append(Level(chance, f"chance level {number(chance)}"))
    clip = diagnosis.run.config.get("clip_grad")
    if name == "grad_norm" and isinstance(clip, int | float) and clip > 0:
        found.append(Level(float(clip), f"clip at {number(clip)}"))
    if metric == "kl_loss" and facts.scales.nats:
        found.append(Level(STARVED / facts.scales.nats, f"under {STARVED} nats/element: too little", "below"))
    track = facts.tracks.get(metric)
    if track is None or track.role.name not in ("reconstruction", "perceptual", "score"):
        return found[:2]
    if track.before_gan is not None:
        found.append(Level(track.before_gan, f"before the GAN {number(track.before_gan)}"))
    elif track.worse is not None and track.worse > WORSE and track.certain:
        found.append(Level(track.best, f"best {number(track.best)}"))
    return found[:2]


def natural(diagnosis: Diagnosis, metric: str) -> Natural | None:
    """The second axis of ``metric``, where its verdict carries natural units."""
    verdict = next((m for m in diagnosis.metrics if m.metric == metric), None)
    found = natural_function(verdict) if verdict is not None else None
    if verdict is None or found is None:
        return None
    if found[0] == "db" and diagnosis.run.series(metric)[1].min() <= 0:
        return None
    kind: Literal["db", "ratio"] = "db" if found[0] == "db" else "ratio"
    return Natural(kind, found[1], plain(verdict.natural_name), plain(verdict.natural_unit))


def natural_function(verdict: MetricVerdict) -> tuple[str, float] | None:
    """How the log's unit turns into the natural one: ``("db", c)`` for c - 10 log10(x), ``("ratio", r)`` for r x.

    Taken from the verdict's own numbers; None if its first and latest value do not follow the same relation.
    """
    pairs = [
        (raw, natural)
        for raw, natural in ((verdict.first, verdict.natural_first), (verdict.now, verdict.natural_now))
        if raw is not None and natural is not None and raw > 0
    ]
    if not pairs:
        return None
    if verdict.natural_unit == "dB":
        offsets = [natural + 10 * np.log10(raw) for raw, natural in pairs]
        return ("db", float(np.mean(offsets))) if np.ptp(offsets) < 0.1 else None
    ratios = [natural / raw for raw, natural in pairs]
    same = np.ptp(ratios) <= 0.01 * abs(np.mean(ratios))
    return ("ratio", float(np.mean(ratios))) if same and np.mean(ratios) > 0 else None


def now_text(diagnosis: Diagnosis, metric: str) -> str:
    """``3.701 (0.0048 nats/element)``: the latest level, and what it is in natural units; where the column ends in NaN or inf, that it does, and the
    level before."""
    verdict = next((m for m in diagnosis.metrics if m.metric == metric), None)
    if verdict is None:
        return ""
    more = f" ({quantity(verdict.natural_now, verdict.natural_unit)})" if verdict.natural_now is not None else ""
    run = diagnosis.run
    rows = run.rows(metric)
    finite = np.flatnonzero(np.isfinite(run[metric][rows]))
    if len(finite) and finite[-1] < len(rows) - 1:
        since = int(run.steps[rows[finite[-1] + 1]])
        return plain(f"{number(float(run[metric][rows[-1]]))} since step {since:,}; {number(verdict.now)}{more} before")
    return plain(f"{number(verdict.now)}{more}")
