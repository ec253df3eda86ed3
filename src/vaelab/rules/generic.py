"""MET: what any column with a good direction shows by itself, whoever the trainer is: worse, jumped, stuck, spiky, gone to 0."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from vaelab.analysis import level, rolling_median
from vaelab.facts import Evidence, Facts, Track
from vaelab.facts.standing import SURE
from vaelab.facts.tracks import DIRECTED, ENOUGH, LASTS
from vaelab.rules import severity
from vaelab.rules.base import Finding, Rule
from vaelab.words import number

WORSE = 1.3
"""An error this many times its best level is clearly worse: 1.1 dB of a squared error."""
STUCK_ROWS = 40
EXPLODED = 100.0
TRADED = ("kl", "quantiser", "entropy", "feature_matching", "codebook_usage")
"""Roles that a healthy run may raise a lot for its reconstruction; rules of their own judge them beside one."""
FLAT = 0.03
"""A change of the level by less than this share from the first rows on is none."""


def directed(facts: Facts) -> Iterator[Track]:
    """Tracks whose direction is known: training and held-out columns, an epoch's mean where nothing finer is logged.

    The use of a codebook has a rule of its own (KL213).
    """
    for track in facts.tracks.values():
        split, base = track.role.split, track.metric.rpartition("/")[2]
        finest = split in ("train", "val", "test") or (split == "epoch" and base not in facts.tracks)
        if track.worse is not None and track.role.name in DIRECTED and finest and track.role.name != "codebook_usage":
            yield track


def specific(facts: Facts, track: Track) -> bool:
    """Whether rules of its own (REC) judge how this column moves, or it repeats such a column."""
    return track.metric == "rec_loss" or (track.metric in ("nll_loss", "rec_mse") and "rec_loss" in facts.tracks)


def gan_shock_may_pass(facts: Facts, track: Track) -> bool:
    """It left its level at the GAN start, too few rows ago to call it lasting."""
    gan = facts.phases.gan
    if gan.state != "active" or gan.before_step is None or gan.start_row is None or track.role.split != "train":
        return False
    return track.onset >= gan.before_step and len(facts.run) - gan.start_row < 30


def worst_of_each_role(tracks: Iterable[Track]) -> Iterator[tuple[Track, list[str]]]:
    """The track that lost most of every role and split, and the names of the others."""
    groups: dict[tuple[str, str], list[Track]] = {}
    for track in tracks:
        groups.setdefault((track.role.name, track.role.split), []).append(track)
    for group in groups.values():
        group.sort(key=lambda t: -(t.worse or 1.0))
        yield group[0], [t.metric for t in group[1:]]


class WorseThanItWas(Rule):
    """A metric has left its best level for the worse and does not come back.

    What it checks: every column whose direction is known (reconstruction, perceptual, alignment and held-out columns; a total
    without an adversarial term): the level of the last tenth against the best smoothed level before, 1.3 times the error
    and four standard errors apart. An error is the loss itself, 1 - SSIM, or the squared error behind a PSNR.

    Why it matters: whatever the trainer, such a column is not meant to rise for long. The best checkpoint lies behind.

    Evidence it needs: 12 rows of the column.

    What to do: keep the checkpoint of the best level; see what else moved at the step where it left it.

    References: users' analyses of real runs; causes E1, D6, A7.
    """

    code = "MET1001"
    name = "worse-than-it-was"
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        lost = [
            t
            for t in directed(facts)
            if not specific(facts, t) and t.rows >= ENOUGH and t.certain and (t.worse or 1.0) >= WORSE
            and not _jumped(t) and not gan_shock_may_pass(facts, t)
        ]  # fmt: skip
        for track, others in worst_of_each_role(lost):
            ratio = track.worse or 1.0
            also = f" The same holds for {', '.join(others[:4])}." if others else ""
            yield self.finding(
                severity.of_loss(track.role, ratio),
                f"{track.metric} is worse than it was: {number(track.best)} at step {track.best_step:,},"
                f" {number(track.now)} now, {number(ratio)} times the error. It left that level at about step"
                f" {track.onset:,} and has not come back.{also}",
                metrics=(track.metric, *others),
                steps=(track.onset, track.steps[1]),
                evidence=(
                    Evidence("best level", track.best, step=track.best_step),
                    Evidence("error now / best", ratio, "x"),
                ),
            )


def _jumped(track: Track) -> bool:
    """A lasting jump is what made it worse."""
    return track.shift is not None and track.shift.lasting and track.shift.ratio >= WORSE


class Jumped(Rule):
    """A metric became worse from one row to the next.

    What it checks: the largest sudden change for the worse of every column whose direction is known: 1.5 times the error,
    three times the noise, for 3 rows or more; whether it still stands there.

    Why it matters: optimisation drifts; data, switches and restarts jump. What else changed on that row names the suspect,
    also where the level came back.

    Evidence it needs: 12 rows of the column.

    What to do: see what the schedule, the data and the code did at that step.

    References: causes A2, A5, E1, H4.
    """

    code = "MET1002"
    name = "metric-jumped"
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        jumped = [t for t in directed(facts) if t.shift is not None and t.rows >= ENOUGH and not _explained(facts, t)]
        for track, others in worst_of_each_role(jumped):
            shift = track.shift
            assert shift is not None
            small = not shift.lasting and shift.ratio < 2
            ratio = max(shift.ratio, track.worse or 0.0) if shift.lasting else shift.ratio
            where = "and stays there" if shift.lasting else f"and was back by step {shift.back_step:,}"
            if ratio > 2 * shift.ratio:
                where = f"and has gone on to {number(track.now)}, {number(ratio)} times the error of its best level"
            also = f" So did {', '.join(others[:4])}." if others else ""
            yield self.finding(
                "info" if small else severity.of_loss(track.role, ratio, shift.lasting),
                f"{track.metric} jumped for the worse between step {shift.before_step:,} and {shift.step:,}:"
                f" {number(shift.before)} to {number(shift.after)}, {number(shift.ratio)} times the error, {where}.{also}",
                metrics=(track.metric, *others),
                steps=(shift.step, track.steps[1] if shift.lasting else shift.back_step),
                evidence=(Evidence("level before", shift.before), Evidence("level after", shift.after),
                          Evidence("error after / before", shift.ratio, "x")),
            )  # fmt: skip


def _explained(facts: Facts, track: Track) -> bool:
    """The jump lies in the first rows, or at a GAN start or warm-up, or rules of its own speak of it."""
    shift, gan = track.shift, facts.phases.gan
    assert shift is not None
    if specific(facts, track) and (shift.lasting or facts.changes.jump is not None):
        return True
    spacing = 3 * max(1, shift.step - shift.before_step)
    seen = gan.state == "active" and gan.start_step is not None and gan.before_step is not None
    if seen and gan.before_step - spacing <= shift.step <= gan.start_step + spacing:  # type: ignore[operator]
        return True
    warm_up = facts.phases.warm_up
    return warm_up is not None and shift.step <= (warm_up.end_step or track.steps[1]) + spacing


class StuckFromTheStart(Rule):
    """A metric has not moved since the first rows.

    What it checks: columns that a run is there to lower (reconstruction, perceptual, alignment, a total without a GAN) with less than 3% (where there is no
    trend: and what its noise allows) between the level of the first rows and the last tenth, over 40 rows of a log that begins with the run, the warm-up over.

    Why it matters: a loss that does not fall at all is not trained: its gradient does not arrive, its weight is 0, or the rate
    is. A fine-tune that starts at its best level looks the same.

    Evidence it needs: 40 rows of the column from the first steps on.

    What to do: print the gradient norm of this term alone, and the change of one weight over 100 steps.

    References: LightningDiT#1, 1d-tokenizer#43; causes B8, E2, C1.
    """

    code = "MET1003"
    name = "stuck-from-the-start"
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        warm_up = facts.phases.warm_up
        if facts.phases.origin in ("pretrained", "resumed") or (warm_up is not None and warm_up.end_step is None):
            return
        for track in directed(facts):
            wanted = (
                track.role.name in ("reconstruction", "perceptual", "alignment", "total")
                and track.role.split == "train"
            )
            if not wanted or track.rows < STUCK_ROWS or not _begins_with_the_run(facts, track) or track.constant:
                continue
            change = abs(float(np.log(track.improved or 1.0)))
            range_ = abs(track.high - track.low) / abs(track.best) if track.best else np.inf
            # what the noise of the two levels compared does to their ratio
            chance = 3 * track.noise / np.sqrt(track.rows / 10) if track.trend == "flat" else 0.0
            if change > FLAT + chance or range_ > 2 * FLAT + 4 * track.noise:
                continue
            yield self.finding(
                "warn",
                f"{track.metric} stays flat from the start: {number(track.first)} in the first rows,"
                f" {number(track.now)} after {track.rows} rows. It is not being trained (no gradient, no weight, no rate), or it"
                " began at its best.",
                metrics=(track.metric,),
                steps=track.steps,
                evidence=(Evidence("first rows", track.first), Evidence("now", track.now)),
            )


def _begins_with_the_run(facts: Facts, track: Track) -> bool:
    steps = facts.run.steps
    spacing = int(level(np.diff(steps))) if len(steps) > 1 else 1
    return bool(track.steps[0] <= 2 * max(1, spacing)) or facts.run.step_unit != "step"


class GoneToZero(Rule):
    """A loss has become exactly zero and stays so.

    What it checks: a reconstruction, perceptual, alignment or total column that was not zero before, and is exactly 0 in the
    last 8 rows or more.

    Why it matters: no real error is 0. The term was switched off, is no longer computed, or is printed with too few decimals.

    Evidence it needs: the column.

    What to do: see which switch or schedule acts at that step; print it in scientific notation.

    References: causes F7, G3.
    """

    code = "MET1004"
    name = "gone-to-zero"
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        for track in facts.tracks.values():
            loss = (
                track.role.name in ("reconstruction", "perceptual", "alignment", "total")
                and track.role.standing in SURE
            )
            if not loss or track.zero_since is None:
                continue
            decimals = facts.run.columns[track.metric].decimals
            printed = (
                f" It is printed with {decimals} decimals: below half a unit of the last one."
                if decimals is not None
                else ""
            )
            yield self.finding(
                "info" if decimals is not None and track.high < 30 * 10.0**-decimals else "warn",
                f"{track.metric} is exactly 0 from step {track.zero_since:,} on: switched off, not computed, or"
                f" rounded.{printed}",
                metrics=(track.metric,),
                steps=(track.zero_since, track.steps[1]),
                evidence=(Evidence("first step at 0", float(track.zero_since)),),
            )


class GanLossAtZero(Rule):
    """A GAN's loss, of which it is not known whose it is, has become zero.

    What it checks: a column that may be the generator's or the discriminator's loss (``GAN_Loss``): 0 in most of the rows of a
    stretch that lasts to the end, after it was not. Rules of their own judge the columns that are known.

    Why it matters: a discriminator's hinge loss is 0 where it tells every sample from a real one: it has won.

    Evidence it needs: 12 rows of the column.

    What to do: log the discriminator's and the generator's terms apart; see which it is with --map.

    References: dome272/VQGAN-pytorch#16; cause D4.
    """

    code = "MET1007"
    name = "gan-loss-at-zero"

    def check(self, facts: Facts) -> Iterable[Finding]:
        for metric in facts.run:
            role = facts.view.role(metric)
            if set(role.could_be) != {"generator_adversarial", "discriminator"}:
                continue
            series = facts.view.series(metric)
            moving = (
                np.flatnonzero(rolling_median(series.values, 9)) if len(series) >= ENOUGH else np.empty(0, np.int64)
            )
            if len(moving) < LASTS or moving[-1] + LASTS >= len(series):
                continue
            since, rest = int(series.steps[moving[-1] + 1]), series.values[moving[-1] + 1 :]
            yield self.finding(
                "warn",
                f"{metric} is exactly 0 in {np.mean(rest == 0):.0%} of the rows from step {since:,} on: if it is a discriminator's"
                " hinge loss, it tells every sample from a real one and has won; else the GAN is switched off.",
                metrics=(metric,),
                steps=(since, int(series.steps[-1])),
                evidence=(Evidence("first step at 0", float(since)),),
            )


class Exploded(Rule):
    """A term of the loss or a gradient has grown by orders of magnitude.

    What it checks: columns whose value has no good direction (a discriminator's loss, a gradient norm, a total with an adversarial term,
    a regulariser; a KL, a quantiser's loss or feature matching only where no reconstruction is logged): the size now 100 times the largest
    of the first fifth of the rows and more, 10 times it and more for 8 rows.

    Why it matters: no convention of a loss has such a range. A discriminator's loss that reaches thousands has diverged,
    whatever the other columns do, and its gradient reaches the generator.

    Evidence it needs: 12 rows of the column that are not 0.

    What to do: go back to the checkpoint before that step; lower that network's learning rate, clip its gradient, check its penalty.

    References: phenaki-pytorch#29; cause E1.
    """

    code = "MET1006"
    name = "grew-by-orders-of-magnitude"
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        judged = any(t.role.name in ("reconstruction", "quality") for t in facts.tracks.values())
        for track in facts.tracks.values():
            growth = track.growth
            if (
                growth is None
                or growth.ratio < EXPLODED
                or track.worse is not None
                or track.role.split not in ("train", "epoch")
            ):
                continue
            # of the whole gradient's norm OPT402 speaks
            if track.metric == "grad_norm" or (judged and track.role.name in TRADED):
                continue
            yield self.finding(
                "warn",
                f"{track.metric} rose by orders of magnitude: at most {number(growth.before)} in its first rows, {number(track.now)} now,"
                f" {number(growth.ratio)} times as large. It left that range at about step {growth.step:,} and has not come back: it"
                " diverges.",
                metrics=(track.metric,),
                steps=(growth.step, track.steps[1]),
                evidence=(
                    Evidence("largest of the first rows", growth.before),
                    Evidence("now / first rows", growth.ratio, "x"),
                ),
            )


class NoLongerLogged(Rule):
    """The reconstruction is no longer logged while the run goes on.

    What it checks: a training reconstruction that stood in nine of ten rows up to some row, and in none of the rows since: a quarter
    of the log and 12 rows at least, in which other columns go on.

    Why it matters: a value printed as None, null, - or *** is not a number any more, and nothing can be said of the run since.

    Evidence it needs: 24 rows.

    What to do: look at the lines after the last value; print the term as it is, NaN included.

    References: causes F1, F7.
    """

    code = "MET1008"
    name = "no-longer-logged"
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        n = len(facts.run)
        for metric in facts.view.of("reconstruction"):
            rows = facts.run.rows(metric)
            if len(rows) < 12 or facts.view.role(metric).split != "train":
                continue
            last = int(rows[-1])
            silent = n - 1 - last
            if silent < max(12, n // 4) or len(rows) < 0.9 * (last + 1):
                continue
            yield self.finding(
                "warn",
                f"{metric} is no longer logged after step {int(facts.run.steps[last]):,}, {silent} rows before"
                " the end: what it is since then cannot be told.",
                metrics=(metric,),
                steps=(int(facts.run.steps[last]), int(facts.run.steps[-1])),
                evidence=(Evidence("rows without it", float(silent)),),
            )


class Spiky(Rule):
    """A metric has spikes that return at once.

    What it checks: single rows of a loss with a direction far above the rolling median (8 robust sigmas and 1.5 times).

    Why it matters: a spike that returns is a sample or one bad update, not the level of the model.

    Evidence it needs: 20 rows of the column.

    What to do: log the sample ids of those steps and look at the samples.

    References: cause A2.
    """

    code = "MET1005"
    name = "metric-spikes"
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        for track in directed(facts):
            spikes = track.spikes[track.spikes > track.steps[0] + 0.1 * (track.steps[1] - track.steps[0])]
            if specific(facts, track) or track.rows < 20 or not len(spikes) or track.role.split != "train":
                continue
            yield self.finding(
                "info",
                f"{track.metric} has {len(spikes)} isolated spike{'s' if len(spikes) > 1 else ''}, gone at the next row (first at"
                f" step {int(spikes[0]):,}): samples, or single bad updates.",
                metrics=(track.metric,),
                steps=(int(spikes[0]), int(spikes[-1])),
                evidence=(Evidence("spikes", float(len(spikes))),),
            )
