"""What the bench measures over a set of judged runs."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from replay import Judged, Verdict

SEEN = ("watch", "act", "stop")
RANK = {"cannot-tell": 0, "healthy": 0, "watch": 1, "act": 2, "stop": 2}
SEVERE_DB = 3.0
DB_EDGES = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, math.inf)
BINS = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0)
FALSE_ALARM_RATES = (0.01, 0.05)
FAULTY_SHARE = 0.3
"""Share of faulty runs that confidence assumes: calibration weighs the runs so."""


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
    """Faulty runs (a fault cost something) whose whole log gets `act` or `stop`."""
    severe: Share
    """The same of runs that lost 3 dB or more."""
    seen: Share
    """Faulty runs with `watch` or more."""
    called_healthy: Share
    false_act: Share
    """Healthy runs whose whole log gets `act` or `stop`."""
    false_watch: Share
    false_any_time: Share
    """Healthy runs with an alarm at any replay point."""
    harmless_act: Share
    passed_act: Share
    """Runs whose fault passed, with an alarm at any point after its onset."""
    top1: Share
    """Faulty runs that are acted on with an accepted cause first."""
    top3: Share
    top1_seen: Share
    """Runs that are acted on: an accepted cause first."""
    both_named: Share
    """Faulty runs with two faults: an accepted cause of each among the first three."""
    delay: float
    """Median over faulty runs of the first alarm with an accepted first cause, as a share of the run after the onset."""
    delay_any: float
    """The same for the first alarm of any cause."""
    delay_rows: float
    before_doubling: Share
    """Diverging runs with an alarm before the reconstruction loss has doubled, where a row lies in between."""
    event_precision: Share
    """Beginnings of an alarm (from no alarm to one, along a log) that come after the onset of a fault that matters."""
    event_recall: Share
    """Faults of faulty runs after whose onset an alarm stands."""


def scores(runs: Iterable[Judged]) -> Scores:
    runs = list(runs)
    faulty, healthy, harmless, passed = (of_kind(runs, kind) for kind in ("faulty", "healthy", "harmless", "passed"))
    acted = [r for r in faulty if r.final.alarm]
    two = [r for r in faulty if len(r.truth.faults) == 2]
    diverging = [r for r in faulty if room_before_doubling(r)]
    begun = [(r, p) for r in runs for p in beginnings(r)]
    return Scores(
        detection=_count(faulty, lambda r: r.final.alarm),
        severe=_count([r for r in faulty if r.truth.lost_db >= SEVERE_DB], lambda r: r.final.alarm),
        seen=_count(faulty, lambda r: r.final.status in SEEN),
        called_healthy=_count(faulty, lambda r: r.final.status == "healthy"),
        false_act=_count(healthy, lambda r: r.final.alarm),
        false_watch=_count(healthy, lambda r: r.final.status == "watch"),
        false_any_time=_count(healthy, lambda r: any(p.alarm for p in r.points)),
        harmless_act=_count(harmless, lambda r: r.final.alarm),
        passed_act=_count(passed, lambda r: first_alarm(r, right=False) is not None),
        top1=_count(faulty, lambda r: r.final.alarm and r.final.names(r.truth.accepted, 1)),
        top3=_count(faulty, lambda r: r.final.alarm and r.final.names(r.truth.accepted, 3)),
        top1_seen=_count(acted, lambda r: r.final.names(r.truth.accepted, 1)),
        both_named=_count(two, both_named),
        delay=_median([delay(r, right=True) for r in faulty]),
        delay_any=_median([delay(r, right=False) for r in faulty]),
        delay_rows=_median([delay_rows(r) for r in faulty]),
        before_doubling=_count(diverging, in_time),
        event_precision=Share(sum(is_true_event(r, p) for r, p in begun), len(begun)),
        event_recall=Share(
            sum(any(p.alarm and p.step >= f.onset for p in r.points) for r in faulty for f in r.truth.faults),
            sum(len(r.truth.faults) for r in faulty),
        ),
    )


def of_kind(runs: Iterable[Judged], kind: str) -> list[Judged]:
    return [r for r in runs if r.truth.kind == kind]


def both_named(run: Judged) -> bool:
    return all(run.final.names(frozenset((*f.causes, *f.also)), 3) for f in run.truth.faults)


def beginnings(run: Judged) -> list[Verdict]:
    """Points with an alarm whose predecessor has none."""
    return [p for i, p in enumerate(run.points) if p.alarm and (i == 0 or not run.points[i - 1].alarm)]


def is_true_event(run: Judged, point: Verdict) -> bool:
    matters = run.truth.kind in ("faulty", "passed")
    return matters and (point is run.points[-1] or any(point.step >= f.onset for f in run.truth.faults))


# -- delay ----------------------------------------------------------------------------------------------------------------


def first_alarm(run: Judged, right: bool, threshold: float | None = None) -> Verdict | None:
    """The first point at or after the onset with an alarm (a score of at least `threshold`); with `right`, one whose first cause
    is accepted. The whole log counts as after the onset: a run that ends in NaN may have its last row before it."""
    onset = run.truth.onset_step or 0
    for point in run.points:
        after = point.step >= onset or point is run.points[-1]
        alarm = point.alarm if threshold is None else score(point) >= threshold
        if after and alarm and (not right or point.names(run.truth.accepted, 1)):
            return point
    return None


def delay(run: Judged, right: bool, threshold: float | None = None) -> float:
    """Steps from the onset to the first (right) alarm as a share of the steps after the onset; inf if there is none."""
    alarm = first_alarm(run, right, threshold)
    onset = run.truth.onset_step or 0
    return math.inf if alarm is None else max(0, alarm.step - onset) / max(1, run.truth.steps - onset)


def delay_rows(run: Judged) -> float:
    """Rows of the log from the onset to the first right alarm, that row included; inf if there is none."""
    alarm, onset = first_alarm(run, right=True), run.truth.onset_step or 0
    return math.inf if alarm is None else sum(onset <= step <= alarm.step for step in run.rows)


def score(point: Verdict) -> float:
    """How sure it is that something is wrong: the status first, then the share of belief in a fault."""
    wrong = point.confidence if point.alarm else 1 - point.confidence
    return RANK[point.status] + min(0.999, 0.0 if point.status == "cannot-tell" else wrong)


def threshold_at(healthy: Sequence[Judged], rate: float) -> float:
    """The lowest score that at most a share `rate` of healthy runs reaches at any point of its log."""
    highest = sorted((max(score(p) for p in r.points) for r in healthy), reverse=True)
    allowed = math.floor(rate * len(highest))
    return math.nextafter(highest[allowed], math.inf) if allowed < len(highest) else 0.0


def room_before_doubling(run: Judged) -> bool:
    """Whether a row of the log lies between the onset and the doubling of the loss."""
    doubled, onset = run.truth.doubled_step, run.truth.onset_step or 0
    return doubled is not None and any(onset <= step < doubled for step in run.rows)


def in_time(run: Judged) -> bool:
    alarm, doubled = first_alarm(run, right=False), run.truth.doubled_step
    return alarm is not None and doubled is not None and alarm.step < doubled


# -- severity, calibration, risk ----------------------------------------------------------------------------------------------


def by_severity(runs: Iterable[Judged], alarm: Callable[[Judged], bool]) -> list[tuple[float, float, Share]]:
    """(from, to, share with an alarm) by dB lost, of all runs with a planted fault that did not pass."""
    planted = [r for r in runs if r.truth.kind in ("faulty", "harmless")]
    return [
        (low, high, _count([r for r in planted if low <= r.truth.lost_db < high], alarm))
        for low, high in itertools.pairwise(DB_EDGES)
    ]


@dataclass(frozen=True)
class Bin:
    low: float
    high: float
    n: int
    stated: float
    """Mean stated confidence in the bin."""
    right: float
    """Share that was right."""


Stated = tuple[float, bool, float]
"""(stated confidence, whether it was right, weight)"""


def wrong_or_right(runs: Iterable[Judged]) -> list[Stated]:
    """The verdict "something is wrong" (act, stop) or "nothing is" (healthy, watch: their confidence is that of no fault) on whole
    logs; `cannot-tell`, which claims nothing, and runs whose fault passed or was harmless are left out. Weighted so that
    FAULTY_SHARE of all runs are faulty."""
    counted = [r for r in runs if r.truth.kind in ("faulty", "healthy") and r.final.status != "cannot-tell"]
    faulty = sum(r.truth.faulty for r in counted)
    weight = {True: FAULTY_SHARE / max(1, faulty), False: (1 - FAULTY_SHARE) / max(1, len(counted) - faulty)}
    return [(r.final.confidence, r.final.alarm == r.truth.faulty, weight[r.truth.faulty]) for r in counted]


def cause_right(runs: Iterable[Judged]) -> list[Stated]:
    """The first cause of every faulty run that is acted on."""
    return [
        (r.final.causes[0][1], r.final.names(r.truth.accepted, 1), 1.0)
        for r in runs
        if r.truth.faulty and r.final.alarm and r.final.causes
    ]


def reliability(stated: Sequence[Stated]) -> list[Bin]:
    """Non-empty bins of stated confidence with the share that was right."""
    table = []
    for low, high in itertools.pairwise(BINS):
        inside = [s for s in stated if low <= s[0] < high or (high == 1.0 and s[0] == 1.0)]
        if inside:
            total = sum(w for _, _, w in inside)
            mean = sum(c * w for c, _, w in inside) / total
            table.append(Bin(low, high, len(inside), mean, sum(w for _, ok, w in inside if ok) / total))
    return table


def calibration_error(table: Sequence[Bin]) -> float:
    """Mean of |stated - right| over the bins, weighted by their counts (expected calibration error)."""
    n = sum(b.n for b in table)
    return sum(b.n * abs(b.stated - b.right) for b in table) / n if n else math.nan


def risk_coverage(stated: Sequence[Stated]) -> list[tuple[float, float]]:
    """(share of the verdicts that are kept, share of these that are wrong), the surest ones kept first."""
    ordered = sorted(stated, key=lambda s: -s[0])
    total = sum(w for _, _, w in ordered)
    curve, kept, wrong = [], 0.0, 0.0
    for _, ok, weight in ordered:
        kept += weight
        wrong += 0.0 if ok else weight
        curve.append((kept / total, wrong / kept))
    return curve


def _count(runs: Sequence[Judged], test: Callable[[Judged], bool]) -> Share:
    return Share(sum(1 for r in runs if test(r)), len(runs))


def _median(values: Sequence[float]) -> float:
    return statistics.median_low(values) if values else math.nan
