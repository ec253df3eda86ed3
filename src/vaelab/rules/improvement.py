"""MET: whether the run as a whole becomes better, by every column that says so, and how it began."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level
from vaelab.facts import Evidence, Facts, Track
from vaelab.facts.standing import SURE
from vaelab.rules.base import Finding, Rule
from vaelab.rules.generic import LOST, STUCK_ROWS, begins_with_the_run
from vaelab.run import FloatArray
from vaelab.words import number

START = 0.05
"""Share of the rows in which the output layers find the mean of the data: every run improves there."""
FELL = 1.2
"""First error over the error just after the start of a network that was not trained before."""
GAINED = 1.1
"""Error just after the start over the error now from which a run has become better."""
WITHIN_NOISE = 2.0
"""Standard errors that a smaller gain needs to count."""


class NoImprovement(Rule):
    """The run has not become better since its first rows.

    What it checks: of every reconstruction and held-out score, the error just after the first twentieth of 40 rows and more against the
    best level since: none is 1.1 times better and beyond its noise, though the first rows fell, as those of an untrained network do.
    Critical where held-out data stand worse than at their first rows as well.
    Why it matters: the first rows fall in every run, for the output finds the mean of the data. What follows is learning, and there is none.
    That no rule finds a fault is then no sign of health.
    Evidence it needs: a reconstruction or a score from the first steps on; no fine-tune, no resumed run; the warm-up over.
    What to do: print the gradient norm and the change of one weight over 100 steps; score a held-out picture against its blurred copy.
    References: users' runs with a frozen encoder, a collapsed latent, a rate far too high; causes E1, E2, C1, B8.
    """

    code = "MET1009"
    name = "no-improvement"
    finds = ("", "stuck")
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        warm_up = facts.phases.warm_up
        if facts.phases.origin in ("pretrained", "resumed") or (warm_up is not None and warm_up.end_step is None):
            return
        judged = [t for t in facts.tracks.values() if _judged(facts, t)]
        # the first row of an epoch holds what that epoch learned
        if facts.run.step_unit != "step" or not judged or any(_gained(t) for t in judged):
            return
        track = judged[0]
        start = _start(track)
        assert track.errors is not None
        if track.errors[0] - level(track.errors[start : start + _few(track)]) < np.log(FELL):
            return  # it may have begun at its best
        yield self.finding(
            f"{track.metric} has not become better since step {int(track.series.steps[start]):,}: {number(_level(track, start))} there,"
            f" {number(track.now)} now, after {track.rows} rows.",
            costs=any(_worse_than_at_first(t) for t in facts.tracks.values()),
            subject=track.role.name,
            metrics=tuple(t.metric for t in judged[:4]),
            steps=(int(track.series.steps[start]), track.steps[1]),
            evidence=(Evidence("after the first rows", _level(track, start)), Evidence("now", track.now)),
        )


def _worse_than_at_first(track: Track) -> bool:
    return (
        track.role.split in ("val", "test")
        and track.certain
        and (track.worse or 1.0) > LOST
        and (track.improved or 1.0) < 1
    )


def _judged(facts: Facts, track: Track) -> bool:
    said = (
        track.role.name in ("reconstruction", "quality") and track.role.split != "ema" and track.role.standing in SURE
    )
    return said and track.errors is not None and track.rows >= STUCK_ROWS and begins_with_the_run(facts, track)


def _start(track: Track) -> int:
    return max(2, round(START * len(track.series)))


def _level(track: Track, row: int) -> float:
    return level(track.series.values[row : row + _few(track)])


def _few(track: Track) -> int:
    return max(5, len(track.series) // 20)


def _gained(track: Track) -> bool:
    """Whether it was clearly better at some time after the start than just after it: what was learned and lost is another fault."""
    assert track.errors is not None
    start, few = _start(track), _few(track)
    after = level(track.errors[start : start + few])
    blocks = [level(track.errors[i : i + few]) for i in range(start + few, len(track.errors) - few + 1, few)]
    gain = after - min(blocks, default=after)
    return bool(gain > np.log(GAINED) and gain > WITHIN_NOISE * track.noise / np.sqrt(few / 2))


class ExplodedAtTheStart(Rule):
    """A loss exploded in the first rows, and came back.

    What it checks: the largest values of the first fifth of a training loss against its first value and its level now: 10 times both in two rows, or
    50 times in one. Of a KL, which begins near 0: 1,000 times the first and 100 times the level now. Critical from 50 times on where
    the reconstruction has not become 5 times better than at first.
    Why it matters: the first updates at a rate that is too high throw the weights far out. What comes back is not the network that was initialised:
    large weights, dead units, a latent at the wrong scale.
    Evidence it needs: 30 rows of the column from the first steps on.
    What to do: begin again with a tenth of the rate, or with a warm-up; look at the gradient norm of the first 100 steps.
    References: runs of four trainers at 10 to 100 times their rate; causes E1, E3.
    """

    code = "MET1010"
    name = "exploded-at-the-start"
    finds = ("", "unstable")
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        gain = max((t.improved or 0.0 for t in facts.tracks.values() if t.role.name == "reconstruction"), default=0.0)
        found = [(size, t) for t in facts.tracks.values() if (size := _explosion(facts, t)) >= 10]
        if not found:
            return
        size, track = max(found, key=lambda f: f[0])
        values = track.series.values
        high, others = _early_high(values), [t.metric for _, t in found if t is not track]
        also = f" So did {', '.join(others[:4])}." if others else ""
        yield self.finding(
            f"{track.metric} rose from {number(float(values[0]))} to {number(high)} in the first rows and stands at {number(track.now)} now:"
            f" the first updates threw the weights out of place.{also}",
            subject=track.role.name,
            size=size,
            costs=size >= 50 and gain < 5,
            metrics=(track.metric, *others),
            steps=(track.steps[0], int(track.series.steps[len(values) // 5])),
            evidence=(
                Evidence("largest / first", high / float(values[0]), "x"),
                Evidence("largest / now", high / track.now, "x"),
            ),
        )


def _explosion(facts: Facts, track: Track) -> float:
    """How many times a loss rose in its first fifth and fell again: the smaller of the two; a KL begins near 0. 0 where it cannot be told."""
    values, role = track.series.values, track.role
    losses = ("reconstruction", "perceptual", "total", "quantiser", "kl")
    if (
        role.name not in losses
        or role.standing not in SURE
        or role.split != "train"
        or len(values) < 30
        or not (values.min() > 0 and track.now > 0)
    ):
        return 0.0
    if not begins_with_the_run(facts, track):
        return 0.0
    over_first, over_now = (_early_high(values) / level_ for level_ in (float(values[0]), track.now))
    if role.name == "kl":
        return min(over_first / 100, over_now) if over_now >= 100 else 0.0
    return min(over_first, over_now)


def _early_high(values: FloatArray) -> float:
    """The second largest value of the first fifth; of a single row, which a sample may be, a fifth."""
    first = np.sort(values[: len(values) // 5])
    return float(max(first[-2], first[-1] / 5))
