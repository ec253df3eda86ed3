"""The scores of the bench as Markdown tables and as text for who mends the rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from measures import (
    FALSE_ALARM_RATES,
    Bin,
    Scores,
    Share,
    calibration_error,
    delay,
    first_alarm,
    of_kind,
    scores,
    threshold_at,
)
from replay import Judged

Parts = Mapping[str, Sequence[Judged]]


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
    ("faults that cost something: acted on (*act* or *stop*)", "≥ 95%", lambda s: with_interval(s.detection)),
    ("faults that cost 3 dB or more: acted on", "≥ 99%", lambda s: with_interval(s.severe)),
    ("faults that cost something: *watch* or more", "", lambda s: share(s.seen)),
    ("faults that cost something: called *healthy*", "", lambda s: share(s.called_healthy)),
    ("healthy runs with a false *act* or *stop*", "≤ 1%", lambda s: with_interval(s.false_act)),
    ("healthy runs with a false *watch*", "", lambda s: share(s.false_watch)),
    ("healthy runs with an alarm at any point of the replay", "", lambda s: with_interval(s.false_any_time)),
    ("planted but harmless: acted on", "", lambda s: share(s.harmless_act)),
    ("planted and passed: acted on at some point", "", lambda s: share(s.passed_act)),
    ("right cause first", "≥ 85%", lambda s: with_interval(s.top1)),
    ("right cause among the first three", "≥ 95%", lambda s: with_interval(s.top3)),
    ("right cause first, of the runs that are acted on", "", lambda s: share(s.top1_seen)),
    ("two faults: each with a cause among the first three", "", lambda s: share(s.both_named)),
    ("median delay of the right alarm, share of the run after onset", "≤ 5%", lambda s: percent(s.delay)),
    ("median delay of any alarm", "", lambda s: percent(s.delay_any)),
    ("alarm before the loss has doubled, where a row lies in between", "", lambda s: share(s.before_doubling)),
    ("event precision", "", lambda s: share(s.event_precision)),
    ("event recall", "", lambda s: share(s.event_recall)),
)


def goals(parts: Parts) -> str:
    """The scores of every part against what was asked for."""
    found = {name: scores(runs) for name, runs in parts.items()}
    rows = [(name, goal, *(show(s) for s in found.values())) for name, goal, show in GOALS]
    for rate in FALSE_ALARM_RATES:
        rows.append(
            (
                f"median delay of any alarm, at {rate:.0%} of healthy runs alarmed",
                "",
                *(_at_rate(runs, rate) for runs in parts.values()),
            )
        )
    return table(("score", "goal", *found), rows)


def _at_rate(runs: Sequence[Judged], rate: float) -> str:
    median, found = delay_at(runs, rate)
    return "–" if math.isnan(found) else f"{percent(median)}, {percent(found)} found"


def delay_at(runs: Sequence[Judged], rate: float) -> tuple[float, float]:
    """Median delay and share of alarms with the threshold that gives this rate of false ones."""
    healthy, faulty = of_kind(runs, "healthy"), of_kind(runs, "faulty")
    if not healthy or not faulty:
        return math.nan, math.nan
    threshold = threshold_at(healthy, rate)
    delays = sorted(delay(r, right=False, threshold=threshold) for r in faulty)
    return delays[(len(delays) - 1) // 2], sum(d < math.inf for d in delays) / len(delays)


def by(runs: Sequence[Judged], key: Callable[[Judged], str], title: str) -> str:
    """One row of the main scores per value of `key`."""
    groups: dict[str, list[Judged]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    rows = []
    for name in sorted(groups):
        s = scores(groups[name])
        rows.append((name, share(s.detection), share(s.false_act), share(s.top1), share(s.top3), percent(s.delay)))
    return table((title, "acted on", "false act", "cause first", "cause in three", "median delay"), rows)


def by_mechanism(runs: Sequence[Judged]) -> str:
    """One row a mechanism, of runs with one fault."""
    groups: dict[str, list[Judged]] = {}
    for run in runs:
        if len(run.truth.faults) == 1:
            groups.setdefault(run.truth.faults[0].mechanism, []).append(run)
    rows = []
    for name, group in sorted(groups.items()):
        s, fault = scores(group), group[0].truth.faults[0]
        counts = "/".join(str(len(of_kind(group, kind))) for kind in ("faulty", "passed", "harmless"))
        cells = [f"{x.hits}" if x.n else "" for x in (s.detection, s.seen, s.top1, s.top3)]
        rows.append((name, " ".join(fault.causes), counts, *cells))
    return table(("mechanism", "causes", "faulty/passed/harmless", "acted on", "seen", "cause first", "in three"), rows)


def reliability_table(bins: Sequence[Bin]) -> str:
    rows = [
        (f"{b.low:.1f} to {b.high:.1f}", str(b.n), f"{b.stated:.2f}", f"{b.right:.2f}", f"{b.right - b.stated:+.2f}")
        for b in bins
    ]
    error = calibration_error(bins)
    return table(("stated", "verdicts", "mean stated", "right", "difference"), rows) + (
        f"\n\nExpected calibration error {error:.3f}." if bins else ""
    )


def misses(runs: Iterable[Judged]) -> str:
    """Everything that is needed to mend a miss, one block a run."""
    blocks = []
    for run in runs:
        truth, final = run.truth, run.final
        wrong = (
            final.alarm if not truth.faults else truth.faulty and not (final.alarm and final.names(truth.accepted, 1))
        )
        if not wrong and not run.error:
            continue
        alarm = first_alarm(run, right=False)
        planted = "; ".join(
            f"{f.mechanism} {f.severity:.2f} from {f.onset} to {f.end} ({' '.join(f.causes)})" for f in truth.faults
        )
        causes = ", ".join(f"{c} {s:.2f}" for c, s in final.causes) or "none"
        found = (
            ", ".join(f"{code}{'!' if sev == 'critical' else ''}@{at}" for code, sev, at in final.findings) or "none"
        )
        blocks.append(
            f"{truth.name} {truth.kind} {truth.system} {truth.dialect} {truth.steps} steps, {len(run.rows)} rows: "
            f"{planted or truth.lookalike or 'twin'}; lost {truth.lost_db:.1f} dB {dict(truth.costs)}\n"
            f"  said: {final.status} {final.confidence:.2f}; causes {causes}; first alarm after onset {alarm.step if alarm else 'never'}\n"
            f"  findings: {found}" + (f"\n  not read: {run.error}" if run.error else "")
        )
    return "\n".join(blocks)


def peer_table(runs: Sequence[Judged], peers: Sequence[Mapping[str, Any]]) -> str:
    """vaelab and its peers on the same runs; `peers` as peers.py writes it."""
    ours = scores(runs)
    shares = ("detection", "severe", "false_act", "false_any_time", "top1", "before_doubling", "event_precision")
    cells = [share(getattr(ours, name)) for name in shares]
    delays = [
        percent(d) for d in (ours.delay, ours.delay_any, *(delay_at(runs, rate)[0] for rate in FALSE_ALARM_RATES))
    ]
    rows = [["**vaelab**", "all columns", *cells, *delays]]
    for peer in sorted(peers, key=lambda p: p["final"]["false_act"][0] - p["final"]["detection"][0]):
        part = peer["final"]
        cells = [share(Share(*part[name])) for name in shares]
        medians = (part["delay"], part["delay_any"], *part["at_rate"])
        delays = [percent(math.inf if median is None else median) for median in medians]
        rows.append([f"{peer['peer']} {peer['version']}", f"{peer['loss']}, {peer['severity']}", *cells, *delays])
    return table(
        (
            "tool", "given, counted from", "acted on", "of 3 dB", "false act", "false alarm at any point", "cause first",
            "before doubling", "event precision", "delay (right)", "delay (any)",
            *(f"delay (any), {rate:.0%} of healthy runs alarmed" for rate in FALSE_ALARM_RATES),
        ),
        rows,
    )  # fmt: skip
