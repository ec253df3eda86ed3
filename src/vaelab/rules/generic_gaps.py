"""MET: rows of a column that are missing, exactly zero, or alone out of place, whoever the trainer is."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import rolling_median
from vaelab.facts import Evidence, Facts
from vaelab.facts.tracks import ENOUGH, LASTS
from vaelab.rules.base import Finding, Rule
from vaelab.rules.generic import directed, repeats
from vaelab.words import rough


class GanLossAtZero(Rule):
    """A GAN's loss, of which it is not known whose it is, has become zero.

    What it checks: a column that may be the generator's or the discriminator's loss (``GAN_Loss``): 0 in most of the rows of a
    stretch that lasts to the end, after it was not. Rules of their own judge the columns that are known.
    Why it matters: a discriminator's hinge loss is 0 where it tells every sample from a real one: it has won.
    What to do: log the discriminator's and the generator's terms apart; see which it is with --map.
    References: dome272/VQGAN-pytorch#16; cause D4.
    """

    code = "MET1007"
    finds = ("discriminator", "zero")

    def check(self, facts: Facts) -> Iterable[Finding]:
        for metric in facts.run:
            role = facts.view.role(metric)
            if set(role.could_be) != {"generator_adversarial", "discriminator"}:
                continue
            series = facts.view.series(metric)
            if len(series) < ENOUGH:
                continue
            moving = np.flatnonzero(rolling_median(series.values, 9))
            if len(moving) < LASTS or moving[-1] + LASTS >= len(series):
                continue
            since, rest = int(series.steps[moving[-1] + 1]), series.values[moving[-1] + 1 :]
            yield self.finding(
                f"{metric} is exactly 0 in {np.mean(rest == 0):.0%} of the rows from step {since:,} on: if it is a discriminator's"
                " hinge loss, it tells every sample from a real one and has won; else the GAN is switched off.",
                metrics=(metric,),
                steps=(since, int(series.steps[-1])),
                evidence=(Evidence("first step at 0", float(since)),),
            )


class NoLongerLogged(Rule):
    """The reconstruction is no longer logged while the run goes on.

    What it checks: a training reconstruction that stood in nine of ten rows up to some row, and in none of the rows since: a quarter
    of the log and 12 rows at least, in which other columns go on.
    Why it matters: a value printed as None, null, - or *** is not a number any more, and nothing can be said of the run since.
    What to do: look at the lines after the last value; print the term as it is, NaN included.
    References: causes F1, F7.
    """

    code = "MET1008"
    finds = ("reconstruction", "missing")
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
                f"{metric} is no longer logged after step {int(facts.run.steps[last]):,}, {silent} rows before"
                " the end: what it is since then cannot be told.",
                size=float(silent),
                metrics=(metric,),
                steps=(int(facts.run.steps[last]), int(facts.run.steps[-1])),
                evidence=(Evidence("rows without it", float(silent)),),
            )


class MetricSpikes(Rule):
    """A metric has spikes that return at once.

    What it checks: single rows of a loss with a direction far above the rolling median (8 robust sigmas and 1.5 times), gone at the next
    row, after the first tenth of the run and outside of a GAN's start shock. Of a reconstruction: how many of the rows they are, and
    whether three and more are ten times its level.
    Why it matters: a spike that returns is a sample or one bad update, not the level of the model.
    What to do: log the sample ids of those steps and look at the samples.
    References: cause A2.
    """

    code = "MET1005"
    finds = ("", "unstable")
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        shock, start = facts.phases.shock("rec_loss"), facts.phases.gan.start_step
        until = start if shock is not None and shock.seen and start is not None else np.inf
        for track in directed(facts):
            spikes = track.spikes[track.spikes > track.steps[0] + 0.1 * (track.steps[1] - track.steps[0])]
            spikes = spikes[spikes < until]
            if repeats(facts, track) or track.rows < 20 or not len(spikes) or track.role.split != "train":
                continue
            at = np.searchsorted(track.series.steps, spikes)
            heights = track.series.high[at] / np.maximum(rolling_median(track.series.values, 21)[at], 1e-300)
            judged = track.role.name == "reconstruction"
            yield self.finding(
                f"{track.metric} has {len(spikes)} isolated spike{'s' if len(spikes) > 1 else ''}, up to {rough(heights.max())} times its"
                f" level and gone at the next row (first at step {int(spikes[0]):,}): samples, or single bad updates.",
                subject=track.role.name,
                size=len(spikes) / len(track.series) if judged and len(spikes) >= MANY else None,
                costs=judged and int(np.sum(heights >= HUGE)) >= OFTEN,
                metrics=(track.metric,),
                steps=(int(spikes[0]), int(spikes[-1])),
                evidence=(Evidence("spikes", float(len(spikes))),),
            )


HUGE, OFTEN, MANY = 10.0, 3, 5
"""Height of a spike (times the level around it) and number of such spikes from which they do harm, number of spikes of any height."""


class ScatterGrows(Rule):
    """The loss scatters far more from row to row than it did.

    What it checks: the row-to-row noise of a training reconstruction in the last third against that of its first half, the first rows left
    out: 4 times it, and 20% of the level.
    Why it matters: single batches now differ far more than they did. Either each update throws the weights about (a rate that is too high, a smaller
    batch), or some of the samples are of another kind. The level itself may not have changed yet.
    What to do: look at the gradient norm and the rate; score one fixed batch in every row: if it scatters too, it is the weights.
    References: runs whose learning rate was raised late; causes E1, E9, A2.
    """

    code = "MET1011"
    finds = ("reconstruction", "unstable")
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        for metric in facts.view.of("reconstruction"):
            scatter = facts.tracks[metric].scatter
            if scatter is None or scatter[1] < SCATTERS or scatter[1] < 4 * max(scatter[0], 0.01):
                continue
            yield self.finding(
                f"{metric} scatters by {scatter[1]:.0%} from row to row now, {scatter[1] / max(scatter[0], 1e-3):.2g} times as much as"
                " before: larger updates, or samples of another kind among the others.",
                size=scatter[1] / max(scatter[0], 1e-3),
                metrics=(metric,),
                steps=facts.tracks[metric].steps,
                evidence=(Evidence("scatter before", scatter[0]), Evidence("scatter now", scatter[1])),
            )
            return


SCATTERS = 0.2
