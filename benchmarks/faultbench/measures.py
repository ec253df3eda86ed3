"""Numbers of the bench: detection, false alarms, causes, onset, delay, calibration.

A run is *detected* if the whole log gets `act` or `stop`.  A cause counts as right only on a detected run: an alarm
for the wrong reason and a right reason without an alarm are both misses.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from replay import Judged, Verdict

from vaelab.causes import CAUSES

HALVES = ("tune", "held-out")
BALANCE = 7
"""How often a run without a fault counts in calibration: the bench has three times as many faulty runs. So it stands for a place
where 30% of the runs are faulty, as confidence assumes (``FAULTY_SHARE``)."""
NOTICED = ("watch", "act", "stop")


def half(recipe: str) -> str:
    """The part a recipe belongs to, from its id alone: rules may be changed after looking at "tune" runs only.

    It was half and half; after the first score of the other half, a half of that one was looked at too.
    """
    bits = hashlib.sha256(recipe.encode()).digest()[0]
    return "held-out" if bits & 1 and bits & 2 else "tune"


def first_half(recipe: str) -> str:
    """The half at the first score: "tune" recipes were looked at before it."""
    return HALVES[hashlib.sha256(recipe.encode()).digest()[0] & 1]


@dataclass(frozen=True)
class Share:
    """`hits` of `n`. interval: Wilson's 95% interval of the share, (0, 1) when n is 0."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        return self.hits / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        if not self.n:
            return 0.0, 1.0
        z, p, n = 1.96, self.hits / self.n, self.n
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        width = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return max(0.0, centre - width), min(1.0, centre + width)


@dataclass(frozen=True)
class Scores:
    """All scores of a set of runs."""

    detection: Share
    false_act: Share
    """Healthy runs whose whole log gets `act` or `stop`."""
    false_stop: Share
    false_any_time: Share
    """Healthy runs with an alarm at any replay point."""
    false_points: Share
    """Replay points of healthy runs, and of faulty runs before the onset, with an alarm."""
    top1: Share
    top3: Share
    noticed: Share
    """Faulty runs that get `watch` or worse with the right cause first."""
    phase: Share
    """Detected runs whose onset, as named, lies in the same phase as the true one."""
    onset_error: float
    """Median of |named onset - true onset| / steps of the run, over detected runs that name an onset."""
    delay: float
    """Median over faulty runs of the first alarm with an accepted first cause, as a share of the run after onset;
    runs never alarmed rightly count as infinite."""
    delay_rows: float
    """The same in rows of the log."""
    delay_any: float
    """The same for the first alarm of any cause."""
    before_doubling: Share
    """Diverging runs with an alarm before the reconstruction loss has doubled (see `in_time`)."""
    at_doubling: Share
    """Diverging runs with an alarm by the first row that shows the doubled loss."""
    harmless_alarms: Share


def scores(runs: Iterable[Judged]) -> Scores:
    runs = list(runs)
    faulty = [r for r in runs if r.truth.kind == "faulty"]
    healthy = [r for r in runs if r.truth.kind == "healthy"]
    harmless = [r for r in runs if r.truth.kind == "harmless"]
    detected = [r for r in faulty if r.final.alarm]
    named = [r for r in detected if r.final.onset is not None]
    early = [p for r in healthy for p in r.points]
    early += [p for r in faulty for p in r.points if p.step < (r.truth.onset_step or 0)]
    diverging = [r for r in faulty if r.truth.diverges and r.truth.doubled_step is not None]
    return Scores(
        detection=Share(len(detected), len(faulty)),
        false_act=_count(healthy, lambda r: r.final.alarm),
        false_stop=_count(healthy, lambda r: r.final.status == "stop"),
        false_any_time=_count(healthy, lambda r: any(p.alarm for p in r.points)),
        false_points=Share(sum(p.alarm for p in early), len(early)),
        top1=_count(faulty, lambda r: r.final.alarm and r.final.names(r.truth.accepted, 1)),
        top3=_count(faulty, lambda r: r.final.alarm and r.final.names(r.truth.accepted, 3)),
        noticed=_count(faulty, lambda r: r.final.status in NOTICED and r.final.names(r.truth.accepted, 1)),
        phase=_count(named, lambda r: r.onset_phase == r.said_phase),
        onset_error=_median([_onset_error(r) for r in named]),
        delay=_median([delay(r, right=True) for r in faulty]),
        delay_rows=_median([delay_rows(r) for r in faulty]),
        delay_any=_median([delay(r, right=False) for r in faulty]),
        before_doubling=_count(diverging, in_time),
        at_doubling=_count(diverging, lambda r: in_time(r, rows_after=1)),
        harmless_alarms=_count(harmless, lambda r: r.final.alarm),
    )


def first_alarm(run: Judged, right: bool) -> Verdict | None:
    """The first replay point at or after the onset with an alarm; with `right`, one whose first cause is accepted. The whole
    log counts as after the onset: a run that ends in NaN may have its last row before it."""
    onset = run.truth.onset_step or 0
    for point in run.points:
        after = point.step >= onset or point is run.points[-1]
        if after and point.alarm and (not right or point.names(run.truth.accepted, 1)):
            return point
    return None


def delay(run: Judged, right: bool) -> float:
    """Steps from the onset to the first (right) alarm as a share of the steps after the onset; inf if there is none."""
    alarm = first_alarm(run, right)
    onset = run.truth.onset_step or 0
    return math.inf if alarm is None else max(0, alarm.step - onset) / max(1, run.truth.steps - onset)


def delay_rows(run: Judged) -> float:
    """Rows of the log from the onset to the first right alarm, that row included; inf if there is none."""
    alarm, onset = first_alarm(run, right=True), run.truth.onset_step or 0
    return math.inf if alarm is None else sum(onset <= step <= alarm.step for step in run.rows)


def in_time(run: Judged, rows_after: int = 0) -> bool:
    """An alarm by the last row before the loss has doubled (or `rows_after` rows later). Where no row lies between the
    onset and the doubling, the first row after it counts: nobody can be earlier than the log."""
    alarm, onset, doubled = first_alarm(run, right=False), run.truth.onset_step or 0, run.truth.doubled_step
    if alarm is None or doubled is None:
        return False
    before = [s for s in run.rows if onset <= s < doubled]
    after = [s for s in run.rows if s >= doubled]
    allowed = before + after[: rows_after if before else 1]
    return alarm.step <= max(allowed, default=run.rows[-1] if run.rows else -1)


def _onset_error(run: Judged) -> float:
    assert run.final.onset is not None and run.truth.onset_step is not None
    return abs(run.final.onset - run.truth.onset_step) / run.truth.steps


def _count(runs: Sequence[Judged], test: Callable[[Judged], bool]) -> Share:
    return Share(sum(1 for r in runs if test(r)), len(runs))


def _median(values: Sequence[float]) -> float:
    return statistics.median_low(values) if values else math.nan


# Calibration ---------------------------------------------------------------------------------------------------------

BINS = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Bin:
    low: float
    high: float
    n: int
    stated: float
    """Mean stated confidence in the bin."""
    right: float
    """Share that was right."""


def wrong_or_right(runs: Iterable[Judged]) -> list[tuple[float, bool]]:
    """(confidence, right) of the verdict "something is wrong" / "nothing is": harmless runs count as healthy, and
    `cannot-tell`, which claims nothing, is left out. Of each run: the whole log, and faulty logs cut half-way between
    onset and end, so that confidence on part of a log is judged too. Runs without a fault count BALANCE times."""
    pairs = []
    for run in runs:
        for point in looks(run):
            if point.status != "cannot-tell":
                pairs += [(point.confidence, point.alarm == run.truth.faulty)] * (1 if run.truth.faulty else BALANCE)
    return pairs


def cause_right(runs: Iterable[Judged]) -> list[tuple[float, bool]]:
    """(score of the first cause, whether it is accepted) of every alarm raised."""
    return [(p.causes[0][1], p.names(r.truth.accepted, 1)) for r in runs for p in looks(r) if p.alarm and p.causes]


def looks(run: Judged) -> list[Verdict]:
    """The verdicts of a run that calibration counts: the whole log, and of a faulty run half of the part after onset."""
    if not run.truth.faulty or len(run.points) < 2:
        return [run.final]
    onset = run.truth.onset_step or 0
    middle = (onset + run.truth.steps) / 2
    return [run.final, min(run.points[:-1], key=lambda p: abs(p.step - middle))]


def reliability(pairs: Sequence[tuple[float, bool]]) -> list[Bin]:
    """Non-empty bins of stated confidence with the share that was right."""
    table = []
    for low, high in itertools.pairwise(BINS):
        inside = [(c, ok) for c, ok in pairs if low <= c < high or (high == 1.0 and c == 1.0)]
        if inside:
            stated = statistics.fmean(c for c, _ in inside)
            table.append(Bin(low, high, len(inside), stated, sum(ok for _, ok in inside) / len(inside)))
    return table


def calibration_error(table: Sequence[Bin]) -> float:
    """Mean of |stated - right| over the bins, weighted by their counts (expected calibration error)."""
    n = sum(b.n for b in table)
    return sum(b.n * abs(b.stated - b.right) for b in table) / n if n else math.nan


# Confusion -----------------------------------------------------------------------------------------------------------


def family(cause: str) -> str:
    """Family letter of a cause; "-" for something that is no fault."""
    known = CAUSES.get(cause)
    return cause[0] if known is None or known.fault else "-"


def confusion(runs: Iterable[Judged]) -> dict[tuple[str, str], int]:
    """(true family, said family) -> runs. "none": healthy or harmless, or no alarm; "?": an alarm without a cause."""
    table: dict[tuple[str, str], int] = {}
    for run in runs:
        true = run.truth.causes[0][0] if run.truth.faulty else "none"
        if not run.final.alarm:
            said = "none"
        elif run.final.causes:
            first = run.final.causes[0][0]
            said = true if first in run.truth.accepted else family(first)
        else:
            said = "?"
        table[true, said] = table.get((true, said), 0) + 1
    return table
