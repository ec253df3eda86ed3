"""MET: whether the run as a whole becomes better, by every column that says so."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level
from vaelab.facts import Evidence, Facts, Track
from vaelab.facts.standing import SURE
from vaelab.rules.base import Finding, Rule
from vaelab.rules.generic import STUCK_ROWS, begins_with_the_run
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
        if not judged or any(_gained(t) for t in judged):
            return
        track = judged[0]
        start = _start(track)
        assert track.errors is not None
        if track.errors[0] - level(track.errors[start : start + _few(track)]) < np.log(FELL):
            return  # it may have begun at its best
        yield self.finding(
            f"{track.metric} has not become better since step {int(track.series.steps[start]):,}: {number(_level(track, start))} there,"
            f" {number(track.now)} now, after {track.rows} rows.",
            subject=track.role.name,
            metrics=tuple(t.metric for t in judged[:4]),
            steps=(int(track.series.steps[start]), track.steps[1]),
            evidence=(Evidence("after the first rows", _level(track, start)), Evidence("now", track.now)),
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
