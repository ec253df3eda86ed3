"""What a run has learned: nothing since its first rows, one term that stays flat, first updates that threw the weights out of place."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level, trend
from vaelab.facts import Evidence, Facts, Track
from vaelab.facts.standing import SURE
from vaelab.rules.base import Finding, Rule
from vaelab.rules.generic import LOST, directed
from vaelab.rules.held_out import skill
from vaelab.run import FloatArray
from vaelab.words import number

STUCK_ROWS, FEWER, SETTLED = 40, 30, 50
"""Rows without progress that say something; of a network that is known to begin untrained, fewer; rows after which it is no plateau at
the start that learning leaves behind."""
LONG = 100
"""Rows after which a run in which nothing has moved will not begin to."""
FEW_NATS = 8.0
"""Nats a sample that the latent of a network which has learned anything exceeds: e^8 = 3,000 inputs told apart at most."""
STILL = (0.8, 1.25)
"""Level now over the first between which the latent's term has not moved, where no loss has."""
FLAT = 0.03
"""A change of the level by less than this share from the first rows on is none."""
IMPROVES = 1.3
"""First error over the error now from which a reconstruction is being trained."""
NOISY = 0.3
"""Row-to-row noise from which the level of some dozen rows is known to 10% only."""
SMALL = 0.01
"""Share of the reconstruction below which a term next to it is next to nothing."""
START = 0.05
"""Share of the rows in which the output layers find the mean of the data: every run improves there."""
FELL = 1.2
"""First error over the error just after the start of a network that was not trained before."""
GAINED, GAINED_FROM_SCRATCH, NEXT_TO_NOTHING = 1.1, 1.4, 1.25
"""Error just after the start over the best error since from which a run has become better; a network that begins untrained gains more,
and below the last what it has gained is next to nothing."""
WITHIN_NOISE = 2.0
"""Standard errors that a smaller gain needs to count."""
NO_CONSTANT = ("unknown", "bce-sum", "cross-entropy", "spectral")
"""Kinds of rec_loss whose level says nothing of a constant output: they may hold a part that no model can remove."""
EXPLAINS = 0.3
"""Share of the held-out variance explained from which a model has learned, however flat the training curve is."""
STANDS = (0.5, 2.0)
"""Level now over the highest of the first rows between which a KL has not moved."""


def after_warm_up(facts: Facts) -> int:
    """First step at which the learning rate has done its work: the end of the warm-up, or the first step."""
    run, warm_up = facts.run, facts.phases.warm_up
    if warm_up is None:
        return int(run.steps[0])
    return warm_up.end_step if warm_up.end_step is not None else int(run.steps[-1])


class NoImprovement(Rule):
    """The run has not become better since its first rows.

    What it checks: of every reconstruction and held-out score, the error just after the first twentieth of the rows against the best level
    since: none is 1.1 times better (1.4 times, of a network that begins untrained with a loss of a known kind) and beyond its noise.
    Critical where held-out data stand worse than at first, and where an untrained network has stopped short of 1.25 times. Where the KL stands as
    well, nothing moves: the run is the subject.
    Why it matters: the first rows fall in every run, for the output finds the mean of the data. What follows is learning, and there is none.
    A constant output scores the data's variance and stays there; a collapse lowers the KL; where neither moves, the weights do not.
    Evidence it needs: 40 rows (30 from an untrained network) that are steps, from the first ones on; no fine-tune, no resumed run; the warm-up over.
    What to do: print the gradient norm and the change of one weight over 100 steps; check that inputs and targets match.
    References: magvit2-pytorch#12, taming-transformers#44; causes E1, E2, C1, B8.
    """

    code = "MET1009"
    finds = ("", "stuck")
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        # the first row of an epoch holds what that epoch learned
        if not could_learn(facts) or facts.run.step_unit != "step" or (skill(facts) or 0.0) > EXPLAINS:
            return
        untrained = facts.phases.origin == "scratch" and facts.view.error[1] not in NO_CONSTANT
        judged = [t for t in facts.tracks.values() if _judged(facts, t, FEWER if untrained else STUCK_ROWS)]
        if not judged or any(_gained(t, GAINED_FROM_SCRATCH if untrained else GAINED) for t in judged):
            return
        track = next((t for t in judged if t.metric == "rec_loss"), judged[0])
        start, few = _start(track), _few(track)
        assert track.errors is not None
        after = level(track.errors[start : start + few])
        if not untrained and track.errors[0] - after < np.log(FELL):
            return  # it may have begun at its best
        kl = facts.view.series("kl_loss")
        still = len(kl) >= FEWER and kl.values[0] > 0 and STANDS[0] < kl.now / float(kl.values[:5].max()) < STANDS[1]
        stopped = untrained and track.rows >= SETTLED and not _gained(track, NEXT_TO_NOTHING)
        stopped = stopped and trend(track.series.values[start:]).direction != "falling"
        hardly = "hardly" if after - level(track.errors[-few:]) > FLAT else "not"
        yield self.finding(
            f"{track.metric} has {hardly} become better since step {int(track.series.steps[start]):,}: {number(_level(track, start))} there,"
            f" {number(track.now)} now, after {track.rows} rows.{' The KL stands as well: nothing moves.' if still else ''}",
            costs=stopped or any(_worse_than_at_first(t) for t in facts.tracks.values()),
            subject="run" if still else track.role.name,
            metrics=tuple(t.metric for t in judged[:4]),
            steps=(int(track.series.steps[start]), track.steps[1]),
            evidence=(Evidence("after the first rows", _level(track, start)), Evidence("now", track.now)),
        )


def could_learn(facts: Facts) -> bool:
    """Whether the run begins from weights that are to improve, and its warm-up is over."""
    warm_up = facts.phases.warm_up
    return facts.phases.origin not in ("pretrained", "resumed") and (warm_up is None or warm_up.end_step is not None)


def begins_with_the_run(facts: Facts, track: Track) -> bool:
    steps = facts.run.steps
    spacing = int(np.median(np.diff(steps))) if len(steps) > 1 else 1
    return bool(track.steps[0] <= 2 * max(1, spacing)) or facts.run.step_unit != "step"


def _worse_than_at_first(track: Track) -> bool:
    return (
        track.role.split in ("val", "test")
        and track.certain
        and (track.worse or 1.0) > LOST
        and (track.improved or 1.0) < 1
    )


def _judged(facts: Facts, track: Track, rows: int) -> bool:
    said = (
        track.role.name in ("reconstruction", "quality") and track.role.split != "ema" and track.role.standing in SURE
    )
    return said and track.errors is not None and track.rows >= rows and begins_with_the_run(facts, track)


def _start(track: Track) -> int:
    return max(2, round(START * len(track.series)))


def _few(track: Track) -> int:
    return max(5, len(track.series) // 20)


def _level(track: Track, row: int) -> float:
    return level(track.series.values[row : row + _few(track)])


def _gained(track: Track, times: float) -> bool:
    """Whether it was clearly better at some time after the start than just after it: what was learned and lost is another fault."""
    assert track.errors is not None
    start, few = _start(track), _few(track)
    after = level(track.errors[start : start + few])
    blocks = [level(track.errors[i : i + 2 * few]) for i in range(start + few, len(track.errors) - 2 * few + 1, few)]
    gain = after - min(blocks, default=after)
    return bool(gain > np.log(times) and gain > WITHIN_NOISE * track.noise / np.sqrt(few / 2))


class StuckFromTheStart(Rule):
    """A metric has not moved since the first rows.

    What it checks: columns that a run is there to lower (reconstruction, perceptual, alignment, a total without a GAN) with less than 3% (where there is no
    trend: and what its noise allows) between the level of the first rows and the last tenth, over 40 rows of a log that begins with the run, the warm-up over.
    A term that is next to nothing, or all noise, beside a reconstruction that improves is passed over.
    Critical, of the run as a whole, where all losses and the latent's term stay flat: on held-out data too, or over 100 rows of a
    network that begins untrained (by the size of its first error, or with a KL below 8 nats a sample).
    Why it matters: a loss that does not fall at all is not trained: its gradient does not arrive, its weight is 0, or the rate
    is. A fine-tune that starts at its best level looks the same.
    What to do: print the gradient norm of this term alone, and the change of one weight over 100 steps.
    References: LightningDiT#1, 1d-tokenizer#43; causes B8, E2, C1.
    """

    code = "MET1003"
    finds = ("", "stuck")
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        if not could_learn(facts):
            return
        losses = [t for t in directed(facts) if t.role.name in ("reconstruction", "perceptual", "alignment", "total")]
        stuck = [t for t in losses if t.rows >= STUCK_ROWS and begins_with_the_run(facts, t) and _flat(t)]
        shown = [t for t in stuck if t.role.split == "train" and not t.constant and not _lost_in_noise(facts, t)]
        # one term alone may have no gradient; where nothing moves, the latent included, nothing is trained
        latent = [t for t in facts.tracks.values() if t.role.name in ("kl", "quantiser") and t.role.split == "train"]
        # a fine-tune may begin at its best; its held-out losses would still move
        untrained = facts.phases.origin == "scratch" or (facts.scales.kl_nats_total or np.inf) < FEW_NATS
        long = untrained and any(t.rows >= LONG for t in shown)
        long = long or any(t.role.split in ("val", "test") for t in stuck)
        still = all(STILL[0] < t.now / t.first < STILL[1] for t in latent if t.first)
        nothing = bool(shown) and long and still and len(stuck) == len(losses)
        for track in shown[:1] if nothing else shown:
            others = tuple(t.metric for t in stuck if t is not track) if nothing else ()
            yield self.finding(
                f"{track.metric} stays flat from the start: {number(track.first)} in the first rows,"
                f" {number(track.now)} after {track.rows} rows. It is not being trained (no gradient, no weight, no rate), or it"
                f" began at its best.{' Every other loss stays flat too: nothing moves.' if nothing else ''}",
                costs=nothing,
                subject="run" if nothing else track.role.name,
                metrics=(track.metric, *others),
                steps=track.steps,
                evidence=(Evidence("first rows", track.first), Evidence("now", track.now)),
            )


def _flat(track: Track) -> bool:
    change = abs(float(np.log(track.improved or 1.0)))
    range_ = abs(track.high - track.low) / abs(track.best) if track.best else np.inf
    # what the noise of the two levels compared does to their ratio
    chance = 3 * track.noise / np.sqrt(track.rows / 10) if track.trend == "flat" else 0.0
    return bool(change <= FLAT + chance and range_ <= 2 * FLAT + 4 * track.noise)


def _lost_in_noise(facts: Facts, track: Track) -> bool:
    """A term beside a reconstruction that improves, which is so small or so noisy that its level says nothing."""
    rec = next((facts.tracks[m] for m in facts.view.of("reconstruction") if m != track.metric), None)
    if rec is None or (rec.improved or 1.0) < IMPROVES or track.role.name != "perceptual":
        return False
    return track.noise > NOISY or abs(track.first) < SMALL * abs(rec.first)


class ExplodedAtTheStart(Rule):
    """A loss exploded in the first rows, and came back.

    What it checks: the largest values of the first fifth of a training loss against its first value and its level now: 10 times both in two rows, or
    50 times in one. Of a KL, which begins near 0: 1,000 times the first and 100 times the level now; of a quantiser, 100 times. Critical from 50 times on where
    the reconstruction has not become 5 times better than at first.
    Why it matters: the first updates at a rate that is too high throw the weights far out. What comes back is not the network that was initialised:
    large weights, dead units, a latent at the wrong scale.
    What to do: begin again with a tenth of the rate, or with a warm-up; look at the gradient norm of the first 100 steps.
    References: runs of four trainers at 10 to 100 times their rate; causes E1, E3.
    """

    code = "MET1010"
    finds = ("", "unstable")
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        # of its first row: those after it may be the explosion's
        train = [t for t in facts.tracks.values() if t.role.name == "reconstruction" and t.role.split == "train"]
        gain = max((float(t.series.values[0]) / t.now for t in train if t.now > 0), default=0.0)
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
    size = min(over_first, over_now)
    # the loss of a quantiser grows from little while its codes come into use
    return 0.0 if role.name == "quantiser" and size < 100 else size


def _early_high(values: FloatArray) -> float:
    """The second largest value of the first fifth; of a single row, which a sample may be, a fifth."""
    first = np.sort(values[: len(values) // 5])
    return float(max(first[-2], first[-1] / 5))
