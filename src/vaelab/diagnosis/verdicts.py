"""Verdicts: one row per metric (first, now, best, trend, in natural units) from facts and findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from vaelab.analysis import level, noise, trend
from vaelab.catalog import METRICS
from vaelab.diagnosis.types import MetricStatus, MetricVerdict
from vaelab.facts import Facts
from vaelab.facts.standing import SURE
from vaelab.rules import SEVERITY_ORDER
from vaelab.rules.base import Finding

ORDER = (
    "total_loss", "nll_loss", "rec_loss", "rec_mse", "perceptual_loss", "kl_loss", "kl_nats_per_element", "psnr", "ssim", "lpips", "val/rec_loss",
    "disc_loss", "logits_real", "logits_fake", "g_loss", "d_weight", "disc_factor", "lecam_loss", "quant_loss",
    "grad_norm", "disc_grad_norm", "lr", "disc_lr", "loss_scale", "logvar",
)  # fmt: skip
MACHINE = {"step_time", "data_time", "memory", "weight_decay", "min_lr", "disc_min_lr", "disc_loss_scale"}


def metric_verdicts(facts: Facts, findings: Sequence[Finding]) -> tuple[MetricVerdict, ...]:
    """Rows in reading order; metrics the catalogue does not know come last, machine metrics are left out."""
    names = [m for m in ORDER if facts.view.has(m)]
    names += sorted(
        m for m in facts.run if m not in names and m not in MACHINE and facts.view.has(m) and "epoch/" not in m
    )
    verdicts = [_verdict(facts, name, findings) for name in names]
    bad = [
        v for v in verdicts if v.status == "bad" and facts.view.role(v.metric).name in ("reconstruction", "perceptual")
    ]
    return tuple(_no_better_than_its_parts(facts, v, bad) for v in verdicts)


def _no_better_than_its_parts(facts: Facts, verdict: MetricVerdict, bad: Sequence[MetricVerdict]) -> MetricVerdict:
    """A sum is not good where a part of it is bad: another term hides that."""
    sums = verdict.metric == "nll_loss" or facts.view.role(verdict.metric).name == "total"
    parts = [v.original for v in bad if v.metric != verdict.metric and facts.view.role(v.metric).split == "train"]
    if not (sums and parts and verdict.status in ("good", "ok")):
        return verdict
    return replace(verdict, status="watch", text=f"{verdict.text}, but it holds {parts[0]}, which is bad")


def _verdict(facts: Facts, name: str, findings: Sequence[Finding]) -> MetricVerdict:
    series = facts.view.series(name)
    first, now = series.first, series.now
    role = facts.view.role(name)
    known = METRICS.get(name.rpartition("/")[2])
    direction: str = role.better if role.standing in SURE else known.direction if known else "none"
    # the total after a GAN start holds d_weight x g_loss: it has no good direction there
    if role.name == "total" and facts.phases.gan.state == "active":
        direction = "none"
    best = float(series.low.min()) if direction == "down" else float(series.high.max()) if direction == "up" else None
    status, text = _status(facts, name, direction, findings)
    unit_name, unit, convert = _natural(facts, name)

    def natural(value: float | None) -> float | None:
        return convert(value) if convert is not None and value is not None else None

    return MetricVerdict(
        metric=name,
        original=facts.run.columns[name].original,
        status=status,
        first=first,
        now=now,
        best=best,
        low=float(series.low.min()),
        high=float(series.high.max()),
        trend=_trend(facts, name),
        natural_name=unit_name,
        natural_unit=unit,
        natural_first=natural(first),
        natural_now=natural(now),
        natural_best=natural(best),
        text=text,
    )


def _trend(facts: Facts, name: str) -> str:
    series, phase = facts.view.series(name), facts.phases.last
    jump = facts.changes.jump
    if name == "rec_loss" and jump is not None and jump.coincides not in ("gan-start", "warm-up"):
        return "stepped"
    part = series.between(phase.first_step, phase.last_step) if phase is not None else series
    if len(part) < 8:
        part = series
    if len(part) < 8:
        return "too few rows"
    found = trend(part.values)
    if found.direction != "flat":
        return found.direction
    middle = abs(level(part.values))
    return "noisy" if middle > 0 and noise(part.values) > 0.3 * middle else "flat"


def _status(facts: Facts, name: str, direction: str, findings: Sequence[Finding]) -> tuple[MetricStatus, str]:
    about = [f for f in findings if name in f.metrics]
    about.sort(key=lambda f: -SEVERITY_ORDER[f.severity])
    lost = _lost_at_the_end(facts, name)
    if lost:
        grave = bool(about) and about[0].severity == "critical"
        return "bad" if grave else "watch", f"NaN or inf in its last {lost} values: `now` is the last number before"
    if about and about[0].severity == "critical":
        return "bad", _short(about[0])
    if about and about[0].severity == "warn":
        return "watch", _short(about[0])
    if facts.adversary is None and METRICS.get(name) and METRICS[name].family == "adversarial":
        return "info", "the GAN is not on: no meaning yet"
    track = facts.tracks.get(name)
    if direction in ("down", "up") and track is not None and track.rows >= 8 and track.improved:
        # as good as at the start is not good where it has been better since
        if track.worse is not None and track.certain and track.worse > 1.3:
            return "watch", f"{track.worse:.2g} times the error of its best level (step {track.best_step:,})"
        if track.improved > 1.15:
            return "good", f"{track.improved:.2g} times better than at the start"
        if track.improved > 0.87:
            return "ok", "about its level at the start"
        return "watch", f"{1 / track.improved:.2g} times worse than at the start"
    if direction in ("down", "up"):
        return "cannot-tell", "too few rows" if len(facts.view.series(name)) < 8 else "no scale to judge it by"
    return "info", _short(about[0]) if about else ""


def _lost_at_the_end(facts: Facts, name: str) -> int:
    """How many values at the column's end are logged and no numbers; 0 where the last one is a number, or a scaler's skipped gradient."""
    column = facts.run.columns[name]
    finite = np.isfinite(column.values[column.logged])
    if not len(finite) or finite[-1] or "grad_norm" in name:
        return 0
    return int(np.argmax(finite[::-1])) if finite.any() else len(finite)


def _short(finding: Finding) -> str:
    return f"{finding.name.replace('-', ' ')} ({finding.code})"


def _natural(facts: Facts, name: str) -> tuple[str, str, Callable[[float], float | None] | None]:
    """Name, unit and conversion of a metric's natural unit; empty where the log allows none."""
    scales = facts.scales
    if scales.psnr_exact and name.rpartition("/")[2] in (scales.error, "rec_mse"):
        return "PSNR", "dB", scales.psnr
    if name in ("rec_loss", "val/rec_loss") and scales.mse_bound is not None:
        return "PSNR at least", "dB", scales.psnr_bound
    if name == "kl_loss" and scales.nats is not None:
        return "KL", "nats/element", scales.nats_per_element
    if name == "d_weight" and "disc_weight" in facts.algebra.solved and facts.adversary is not None:
        weight = facts.algebra.solved["disc_weight"].value
        if weight:
            return "d_weight / disc_weight", "x", lambda value: value / weight
    return "", "", None
