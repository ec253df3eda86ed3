"""The scores of the bench as Markdown tables and as plain data for JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from measures import (
    Bin,
    Scores,
    Share,
    calibration_error,
    cause_right,
    confusion,
    delay,
    first_alarm,
    half,
    reliability,
    scores,
    wrong_or_right,
)
from replay import Judged, Verdict

from vaelab.causes.types import FAMILIES


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def percent(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "never" if math.isinf(value) else f"{100 * value:.0f}%"


def share(value: Share) -> str:
    """`19 of 20 (95%)`"""
    return f"{value.hits} of {value.n} ({percent(value.value)})" if value.n else "–"


def with_interval(value: Share) -> str:
    low, high = value.interval
    return f"{share(value)}, {100 * low:.0f} to {100 * high:.0f}%" if value.n else "–"


GOALS: tuple[tuple[str, str, Callable[[Scores], str]], ...] = (
    ("detected (act or stop)", "≥ 95%", lambda s: with_interval(s.detection)),
    ("healthy runs with a false *act* or *stop*", "≤ 2%", lambda s: with_interval(s.false_act)),
    ("healthy runs with a false *stop*", "0", lambda s: with_interval(s.false_stop)),
    ("healthy runs with an alarm at any of the replay points", "", lambda s: with_interval(s.false_any_time)),
    ("replay points without a fault that alarmed", "", lambda s: share(s.false_points)),
    ("right cause first", "≥ 80%", lambda s: with_interval(s.top1)),
    ("right cause among the first three", "≥ 95%", lambda s: with_interval(s.top3)),
    ("right cause first, *watch* included", "", lambda s: with_interval(s.noticed)),
    ("median delay of the right alarm, share of the run after onset", "≤ 5%", lambda s: percent(s.delay)),
    ("median delay of the right alarm, rows of the log", "", lambda s: _rows(s.delay_rows)),
    ("median delay of any alarm", "", lambda s: percent(s.delay_any)),
    ("diverging runs: alarm before the loss has doubled", "all", lambda s: share(s.before_doubling)),
    ("diverging runs: alarm by the first row that shows it doubled", "", lambda s: share(s.at_doubling)),
    ("onset named in the right phase", "", lambda s: share(s.phase)),
    ("median error of the onset, share of the run", "", lambda s: percent(s.onset_error)),
    ("planted but harmless runs with an alarm", "", lambda s: share(s.harmless_alarms)),
)


def _rows(value: float) -> str:
    return "–" if math.isnan(value) else "never" if math.isinf(value) else f"{value:.0f}"


def goals(runs: Sequence[Judged]) -> str:
    """The scores of both halves against what was asked for."""
    tune, held_out = (scores(r for r in runs if half(r.truth.id) == h) for h in ("tune", "held-out"))
    return table(
        ("score", "goal", "held-out part", "tune part"),
        [(name, goal, show(held_out), show(tune)) for name, goal, show in GOALS],
    )


def by(runs: Sequence[Judged], key: Callable[[Judged], str], title: str) -> str:
    """One row of the main scores per value of `key`."""
    groups: dict[str, list[Judged]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    rows = []
    for name in sorted(groups):
        s = scores(groups[name])
        rows.append((name, share(s.detection), share(s.false_act), share(s.top1), share(s.top3), percent(s.delay)))
    return table((title, "detected", "false alarms", "cause first", "cause in three", "median delay"), rows)


def reliability_table(bins: Sequence[Bin]) -> str:
    rows = [
        (f"{b.low:.1f} to {b.high:.1f}", str(b.n), f"{b.stated:.2f}", f"{b.right:.2f}", f"{b.right - b.stated:+.2f}")
        for b in bins
    ]
    error = calibration_error(bins)
    return table(("stated", "verdicts", "mean stated", "right", "difference"), rows) + (
        f"\n\nExpected calibration error {error:.3f}." if bins else ""
    )


def confusion_table(counts: Mapping[tuple[str, str], int]) -> str:
    """Rows are the truth, columns what was said first."""
    order = [f for f in FAMILIES if any(f in key for key in counts)] + ["none"]
    said = [*order, *[c for c in ("?", "-") if any(key[1] == c for key in counts)]]
    title = {**{f: f"{f} {name}" for f, name in FAMILIES.items()}, "none": "no fault", "?": "no cause", "-": "no fault"}
    heads = [{"none": "no alarm", "?": "no cause", "-": "a non-fault"}.get(c, c) for c in said]
    rows = [
        [title[true], *(str(counts.get((true, c), 0) or "") for c in said)]
        for true in order
        if any(key[0] == true for key in counts)
    ]
    return table(("truth \\ said first", *heads), rows)


def recipe_table(runs: Sequence[Judged]) -> str:
    """One row per recipe: how many of its seeds were right, and what came first."""
    groups: dict[str, list[Judged]] = {}
    for run in runs:
        groups.setdefault(run.truth.id, []).append(run)
    rows = []
    for name, group in sorted(groups.items(), key=lambda g: (g[1][0].truth.kind != "faulty", g[0])):
        truth = group[0].truth
        right = sum(r.final.alarm and r.final.names(r.truth.accepted, 1) for r in group)
        three = sum(r.final.alarm and r.final.names(r.truth.accepted, 3) for r in group)
        said = ", ".join(dict.fromkeys(_said(r) for r in group))
        kinds = "/".join(dict.fromkeys(r.truth.kind for r in group))
        accepted = " ".join(sorted(truth.accepted)) or kinds
        counts = (str(right), str(three)) if truth.faulty else ("", "")
        alarms = sum(r.final.alarm for r in group)
        rows.append((name, half(name), accepted, f"{alarms} of {len(group)}", *counts, said))
    return table(("recipe", "half", "truth", "alarms", "cause first", "in three", "said"), rows)


def _said(run: Judged) -> str:
    first = f" {run.final.causes[0][0]}" if run.final.causes else ""
    return run.final.status + first


def peer_table(runs: Sequence[Judged], peers: Sequence[Mapping[str, Any]]) -> str:
    """vaelab and its peers on the held-out half; `peers` as peers.py writes it."""
    ours = scores(r for r in runs if half(r.truth.id) == "held-out")
    shares = ("detection", "false_act", "false_any_time", "top1", "top3", "before_doubling")
    rows = [
        [
            "**vaelab**",
            "all columns",
            *(share(getattr(ours, name)) for name in shares),
            percent(ours.delay),
            percent(ours.delay_any),
        ]
    ]
    for peer in sorted(peers, key=lambda p: p["held-out"]["false_act"][0] - p["held-out"]["detection"][0]):
        half_row = peer["held-out"]
        cells = [share(Share(*half_row[name])) for name in shares]
        delays = [percent(math.inf if half_row[name] is None else half_row[name]) for name in ("delay", "delay_any")]
        if not half_row["replayed"]:
            cells[2] = cells[5] = delays[0] = delays[1] = "not replayed"
        rows.append([f"{peer['peer']} {peer['version']}", f"{peer['loss']}, {peer['severity']}", *cells, *delays])
    return table(
        (
            "tool",
            "given, counted from",
            "detected",
            "false alarms",
            "false alarm at any point",
            "cause first",
            "cause in three",
            "before doubling",
            "delay (right)",
            "delay (any)",
        ),
        rows,
    )


def misses(runs: Iterable[Judged]) -> str:
    """Everything that is needed to mend a miss, one block a run."""
    blocks = []
    for run in runs:
        truth, final = run.truth, run.final
        wrong = final.alarm if not truth.faulty else not (final.alarm and final.names(truth.accepted, 1))
        if not wrong and run.error is None:
            continue
        alarm = first_alarm(run, right=False)
        causes = ", ".join(f"{c} {s:.2f}" for c, s in final.causes) or "none"
        found = (
            ", ".join(f"{code}{'!' if sev == 'critical' else ''}@{at}" for code, sev, at in final.findings) or "none"
        )
        blocks.append(
            f"{truth.name} ({truth.kind}, {truth.system}, {truth.dialect}; accepted {' '.join(sorted(truth.accepted)) or '-'};"
            f" onset {truth.onset_step} of {truth.steps}; {truth.verified.what}: {truth.verified.fault_value} against"
            f" {truth.verified.twin_value})\n  said: {final.status} {final.confidence:.2f}; causes {causes}\n"
            f"  findings: {found}\n  first alarm after onset: {alarm.step if alarm else 'never'}"
            + (f"\n  not read: {run.error}" if run.error else "")
        )
    return "\n".join(blocks)


def late(runs: Iterable[Judged], allowed: float = 0.05) -> str:
    """Faulty runs whose right alarm came later than `allowed` of the run after onset: what was said until then."""
    lines = []
    for run in sorted((r for r in runs if r.truth.faulty), key=lambda r: r.truth.name):
        if delay(run, right=True) <= allowed:
            continue
        onset = run.truth.onset_step or 0
        said = [(p.step, _words(p)) for p in run.points if p.step >= onset]
        changes = [f"{step} {words}" for i, (step, words) in enumerate(said) if i == 0 or words != said[i - 1][1]]
        lines.append(
            f"{run.truth.name}: onset {onset}, right at {percent(delay(run, right=True))}; " + "; ".join(changes)
        )
    return "\n".join(lines)


def _words(verdict: Verdict) -> str:
    serious = " ".join(dict.fromkeys(code for code, severity, _ in verdict.findings if severity == "critical"))
    first = verdict.causes[0][0] if verdict.causes else "-"
    return f"{verdict.status} {first}" + (f" ({serious})" if serious else "")


def as_data(runs: Sequence[Judged]) -> dict[str, Any]:
    """What `results.json` holds: the scores of both halves and one short line a run."""
    return {
        "halves": {h: _plain(scores(r for r in runs if half(r.truth.id) == h)) for h in ("tune", "held-out")},
        "calibration": {
            "verdict": [b.__dict__ for b in reliability(wrong_or_right(runs))],
            "cause": [b.__dict__ for b in reliability(cause_right(runs))],
        },
        "confusion": {f"{true} {said}": n for (true, said), n in sorted(confusion(runs).items())},
        "runs": [
            {
                "run": r.truth.name,
                "half": half(r.truth.id),
                "kind": r.truth.kind,
                "status": r.final.status,
                "confidence": round(r.final.confidence, 3),
                "causes": [c for c, _ in r.final.causes[:3]],
                "delay": _finite(round(delay(r, right=True), 4)) if r.truth.faulty else None,
            }
            for r in runs
        ],
    }


def _plain(result: Scores) -> dict[str, Any]:
    return {
        name: [value.hits, value.n] if isinstance(value, Share) else _finite(value)
        for name, value in result.__dict__.items()
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
