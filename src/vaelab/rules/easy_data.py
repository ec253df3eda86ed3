"""DAT: signs of the data in the losses: batches that are all alike, nothing to encode, spikes between printed rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from vaelab.analysis import level
from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.words import number


class NothingToEncode(Rule):
    """Pixel and perceptual error are next to nothing, which real data do not allow.

    What it checks: a model from scratch whose late ``perceptual_loss`` is below 1% of its first value, with a ``rec_loss``
    below 3% of it.
    Why it matters: an untrained network has an LPIPS of 0.3 to 0.8 and the best published autoencoders stop near 0.01 to
    0.05; a hundredth of the start is reached only where there is nothing to encode (black, constant or very sparse
    samples) or where the samples are always the same. What other columns do then (a discriminator at chance, d_weight)
    follows from it: real and fake are equal.
    Evidence it needs: ``rec_loss`` and ``perceptual_loss`` from the first steps on, 8 rows.
    What to do: look at a batch; print its variance and the sample ids of two batches.
    References: VidTok replaces unreadable clips by black ones; phenaki-pytorch#29; causes A4, A7.
    """

    code = "DAT708"
    name = "nothing-to-encode"
    finds = ("data", "too-low")
    needs = ("rec_loss", "perceptual_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        rec, per = facts.view.series("rec_loss"), facts.view.series("perceptual_loss")
        if facts.phases.origin != "scratch" or len(rec) < 8 or len(per) < 8:
            return
        if rec.values[0] <= 0 or per.values[0] <= 0:
            return
        a, b = (s.now / float(s.values[0]) for s in (rec, per))
        if a > 0.03 or b > 0.01:
            return
        yield self.finding(
            f"There is next to nothing to encode: perceptual_loss stands at {b:.2%} and rec_loss at {a:.2%} of their first"
            " values, below what any autoencoder reaches on changing natural data. The samples are black, constant or"
            " always the same.",
            metrics=("rec_loss", "perceptual_loss"),
            steps=rec.span,
            evidence=(Evidence("perceptual_loss now / first", b), Evidence("rec_loss now / first", a)),
        )


class SpikeBetweenRows(Rule):
    """Steps between the rows lie far above the rows that were printed.

    What it checks: means that the log gives over every step of an epoch (``epoch/...`` columns, or the running mean that is
    printed beside a windowed median) against the printed single rows or medians of the same steps: 4 times or more, where
    the rows around it are level. Or a largest value since the row before (``rec_loss_max``) of 20 times the rows around it.
    Critical where it comes three times: a single step that passes, however large, has cost nothing yet.
    Why it matters: most steps are never printed. One freak sample between two rows is invisible in the rows and in
    medians, and it is the whole of the mean.
    Evidence it needs: ``rec_loss``, ``nll_loss`` or ``total_loss`` with a mean of its epoch, or ``rec_loss_max``.
    What to do: log the largest value between two rows and its sample ids.
    References: Pyramid-Flow's SmoothedValue (median and global average), Lightning's on_epoch; cause A2.
    """

    code = "DAT710"
    name = "spike-between-rows"
    finds = ("data", "unstable")
    needs = ("rec_loss|nll_loss|total_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        row = _largest(facts)
        if row is not None:
            ratio, times, first, last = row
            yield self.finding(
                f"Between steps {first:,} and {last:,} rec_loss was up to {number(ratio)} times the rows around"
                f" ({times} such row{'s' if times > 1 else ''}): single steps were far out of range, samples or one bad update. The"
                " rows go on as before.",
                size=ratio,
                costs=times >= OFTEN,
                metrics=("rec_loss",),
                steps=(first, last),
                evidence=(Evidence("largest / rows", ratio, "x"), Evidence("such rows", float(times))),
            )
            return
        for metric in ("rec_loss", "nll_loss", "total_loss"):
            found = [(mean / typical, first, last) for mean, typical, first, last in _means(facts, metric)]
            found = [f for f in found if f[0] >= 4]
            if not found:
                continue
            ratio, first, last = max(found)
            jump = facts.changes.jump
            rows = facts.view.series(metric).steps
            if jump is not None and first <= jump.step <= last + 4 * int(level(np.diff(rows))):
                continue  # the first step of a lasting change, not a sample that passes
            yield self.finding(
                f"The mean of {metric} over all steps {first:,} to {last:,} is {number(ratio)} times its printed rows there:"
                " single steps between the rows were far out of range: a few samples, or bad updates. The rows go on as before.",
                size=ratio,
                costs=len(found) >= OFTEN,
                metrics=(metric,),
                steps=(first, last),
                evidence=(Evidence("mean / rows", ratio, "x"),),
            )
            return


FIRST_ROWS = 5
OFTEN = 3


def _largest(facts: Facts) -> tuple[float, int, int, int] | None:
    """(largest rec_loss since the row before over the rows around, rows like it, step of that row before, step) where it is
    20 and more."""
    rec, largest = facts.view.series("rec_loss"), facts.view.series("rec_loss_max")
    if len(rec) != len(largest) or len(rec) < FIRST_ROWS + 2:
        return None
    padded = np.pad(rec.values, 2, mode="edge")
    around = np.max([padded[i : i + len(rec)] for i in (0, 1, 3, 4)], axis=0)
    # the first rows move by themselves; at the last one nobody knows how it goes on
    ratio = (largest.high / np.maximum(around, 1e-300))[FIRST_ROWS:-1]
    if ratio.max() < 20:
        return None
    at = FIRST_ROWS + int(np.argmax(ratio))
    return float(ratio.max()), int((ratio >= 20).sum()), int(rec.steps[at - 1]), int(rec.steps[at])


def _means(facts: Facts, metric: str) -> Iterator[tuple[float, float, int, int]]:
    """(mean over all steps, median of the printed rows, first step, last step) of stretches whose rows are level.

    A stretch is an epoch where the log has a column of epoch means, or the steps between two rows of a running mean.
    """
    run, rows = facts.run, facts.view.series(metric)
    whole = facts.view.series(f"epoch/{metric}")
    previous = int(run.steps[0]) if len(run) else 0
    for step, mean in zip(whole.steps, whole.values, strict=True):
        inside = rows.between(previous, int(step))
        previous = int(step) + 1
        # the first rows of a run fall by themselves
        if len(inside) >= 5 and inside.steps[0] > rows.steps[0]:
            top = float(np.max(np.abs(inside.values)))
            # with a GAN term in it the total may cross zero: only its largest value is a scale
            typical = top if metric == "total_loss" else max(top / 2, level(inside.values))
            yield float(mean), max(typical, 1e-300), int(inside.steps[0]), int(step)
    yield from _between_rows(facts, metric)


def _between_rows(facts: Facts, metric: str) -> Iterator[tuple[float, float, int, int]]:
    """The same of the steps between two rows of one epoch, from the running mean beside a windowed median."""
    run, column = facts.run, facts.run.columns.get(metric)
    if column is None or column.epoch_mean is None or run.epochs is None or column.smoothing.kind != "window_median":
        return
    n, mean, steps = len(run), np.asarray(column.epoch_mean), run.steps
    first = np.zeros(n, np.int64)
    first[facts.view.epoch_first_rows] = facts.view.epoch_first_rows
    first = np.maximum.accumulate(first)
    count = (steps - steps[first] + 1).astype(np.float64)
    padded = np.pad(column.values, 2, constant_values=-np.inf)
    around = np.max([padded[i : i + n] for i in range(5)], axis=0)  # NaN where one of them is
    if (column.values <= 0).any():  # a total that crosses zero: only its largest value is a scale
        around = np.where(np.isnan(around), around, np.nanmax(np.abs(column.values)))
    i = np.arange(3, n)
    i = i[(first[i] < i) & (count[i] > count[i - 1])]
    before = mean[i - 1]
    new = count[i] - count[i - 1]
    between = (count[i] * mean[i] - count[i - 1] * before) / new
    error = 0.5 * 10.0 ** -(column.decimals or 6) * (count[i] + count[i - 1]) / new
    # the mean itself has to leave the rows: a difference of two nearly equal means is not evidence
    found = (between > 4 * error) & (mean[i] > 1.3 * np.maximum(before, around[i])) & np.isfinite(around[i] + between)
    for k in np.flatnonzero(found).tolist():
        row = int(i[k])
        yield float(between[k] - error[k]), max(float(around[row]), 1e-300), int(steps[row - 1]), int(steps[row])
