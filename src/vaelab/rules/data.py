"""DAT: are the data readable, always the same, nothing to encode; single steps far out of range between the printed rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from vaelab.analysis import level
from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.rules.kl_level import information_bound_broken
from vaelab.words import number

PUBLISHED = 38.0
"""PSNR in dB that no published image or video VAE reaches on real data: they stop at 23 to 37."""
NOTHING = (0.03, 0.01)
"""Shares of the first rec_loss and perceptual_loss below which there is next to nothing to encode."""
FAR, FAR_ROW = 4.0, 20.0
"""Mean over all steps, and largest single step, in times of the rows around, from which single steps were out of range."""
OFTEN, SAME_HEIGHT = 3, 3.0
"""Times that such steps come, and largest over smallest of them, from which the data hold them: a sample scores alike each time, a bad
update does not."""
FIRST_ROWS = 5
ALIKE = 2e-3
"""Standard deviation over mean of an untrained discriminator's logits below which its input is always the same; different batches give 0.02 and more."""


class DataErrors(Rule):
    """Files could not be read.

    What it checks: the trainer's own messages about unreadable files and black substitutes.
    Why it matters: trainers replace unreadable videos by others or by black frames and go on; one dead disk teaches the
    model black.
    Evidence it needs: the console log.
    What to do: list the files, remove them, and count again.
    References: VidTok (black clips), Pyramid-Flow's loader; causes A2, A4.
    """

    code = "DAT702"
    finds = ("data", "lost")

    def check(self, facts: Facts) -> Iterable[Finding]:
        event = next((e for e in facts.run.events if e.kind == "data_error"), None)
        if event is None:
            return
        count = sum(n.count for n in facts.run.notes if n.kind == "data_errors") or 1
        rows = max(1, len(facts.run))
        where = f"step {event.step:,}" if event.line is None and event.step is not None else f"line {event.line}"
        yield self.finding(
            f"{count} message{'s' if count > 1 else ''} about files that could not be read (first at {where}):"
            f" {event.text.strip()[:100]}",
            size=float(count),
            costs=count > 0.02 * rows,
            evidence=(Evidence("messages", float(count), line=event.line),),
        )


class SameSamples(Rule):
    """The run sees the same few samples again and again.

    What it checks: two signs, each by itself enough: (1) the KL is too small to tell samples apart at the quality reached: it bounds
    the information between image and latent, so K nats allow at most e^K different images; (2) the mean logit of an
    untrained discriminator on real data does not vary, though its input should.
    Why it matters: a model that has memorised one batch shows the most beautiful curves of all.
    Evidence it needs: ``rec_loss`` with ``kl_loss``, or ``logits_real`` before the GAN start.
    What to do: print the sample ids of two batches; score a held-out clip.
    References: phenaki-pytorch#29, MaskGIT#3; KL as a bound of mutual information (Alemi et al. 2018); cause A7.
    """

    code = "DAT704"
    finds = ("data", "stuck")
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        rec = facts.view.series("rec_loss")
        if len(rec) < 20:
            return
        reasons: list[str] = []
        evidence: list[Evidence] = []
        nats = information_bound_broken(facts)
        if nats is not None:
            reasons.append(
                f"the KL is {nats:.3g} nats for a whole sample, too little to tell different images apart at the quality"
                f" reached (rec_loss {rec.now:.3g})"
            )
            evidence.append(Evidence("KL per sample", nats, "nats"))
        spread = _real_spread(facts)
        if spread is not None and spread < ALIKE:
            reasons.append(
                f"logits_real of the untrained discriminator vary by only {spread:.1g} of their mean from row to row"
            )
            evidence.append(Evidence("logits_real, standard deviation / mean before the GAN", spread))
        if not reasons:
            return
        yield self.finding(
            f"The run seems to see the same samples again and again: {'; '.join(reasons)}.",
            metrics=("rec_loss", "kl_loss"),
            steps=rec.span,
            evidence=evidence,
        )


def _real_spread(facts: Facts) -> float | None:
    """Standard deviation over mean of logits_real of the untrained discriminator before the GAN start; None where it is not logged."""
    real, gan = facts.view.series("logits_real"), facts.phases.gan
    if not len(real) or not facts.view.trainer.d_weight_logged_before_start:
        return None
    if gan.state == "active":
        real = real.between(int(real.steps[0]), -1 if gan.before_step is None else gan.before_step)
    # relative: a network without normalisation layers gives logits that vary little on any data
    size = abs(float(np.mean(real.values))) if len(real) >= 8 else 0.0
    return float(np.std(real.values)) / size if size > 0 else None


class NothingToEncode(Rule):
    """Errors are next to nothing, which real data do not allow.

    What it checks: a model from scratch whose late ``perceptual_loss`` is below 1% of its first value, with a ``rec_loss`` below 3% of it;
    or, which is doubtful, a PSNR above 38 dB in training.
    Why it matters: an untrained network has an LPIPS of 0.3 to 0.8 and the best published autoencoders stop near 0.01 to 0.05 and 37 dB. Less
    is reached only where there is nothing to encode (black, constant or very sparse samples), where the samples are always the same,
    or with very light compression. What other columns do then (a discriminator at chance) follows from it: real and fake are equal.
    Evidence it needs: ``rec_loss`` from the first steps on, with ``perceptual_loss`` or as an MSE of known range.
    What to do: look at a batch; print its variance and the sample ids of two batches; score held-out samples.
    References: VidTok replaces unreadable clips by black ones; phenaki-pytorch#29; causes A4, A7.
    """

    code = "DAT708"
    finds = ("data", "too-low")
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        name = facts.scales.error
        pair = [facts.view.series(m) for m in ("rec_loss", "perceptual_loss")]
        rec = facts.view.series(name)
        if facts.phases.origin != "scratch" or not len(rec):
            return
        shares = [s.now / float(s.values[0]) if len(s) >= 8 and s.values[0] > 0 else 1.0 for s in pair]
        psnr = facts.scales.psnr(max(rec.now, 0.5 * 10.0 ** -(facts.run.decimals.get(name) or 6)))
        if shares[0] <= NOTHING[0] and shares[1] <= NOTHING[1]:
            yield self.finding(
                f"There is next to nothing to encode: perceptual_loss stands at {shares[1]:.2%} and rec_loss at {shares[0]:.2%} of their first"
                " values, below what any autoencoder reaches on changing natural data. The samples are black, constant or"
                " always the same.",
                metrics=("rec_loss", "perceptual_loss"),
                steps=rec.span,
                evidence=(
                    Evidence("perceptual_loss now / first", shares[1]),
                    Evidence("rec_loss now / first", shares[0]),
                ),
            )
        elif len(rec) >= 12 and facts.scales.psnr_exact and psnr is not None and psnr >= PUBLISHED:
            yield self.finding(
                f"{name} {rec.now:.2g} is {psnr:.0f} dB PSNR in training, above what published VAEs reach on real data (37 dB): easy"
                " data, samples seen too often, or very light compression. The log cannot tell which.",
                sure=False,
                metrics=(name,),
                steps=rec.span,
                evidence=(facts.view.evidence(name, int(rec.rows[-1])), Evidence("PSNR", psnr, "dB")),
            )


class SpikeBetweenRows(Rule):
    """Steps between the rows lie far above the rows that were printed.

    What it checks: means that the log gives over every step of an epoch (``epoch/...`` columns, or the running mean that is
    printed beside a windowed median) against the printed single rows or medians of the same steps: 4 times or more, where
    the rows around it are level. Or a largest value since the row before (``rec_loss_max``) of 20 times the rows around it.
    Critical where it comes three times and more at the same height.
    Why it matters: most steps are never printed. One freak sample between two rows is invisible in the rows and in medians, and it is
    the whole of the mean. A sample scores alike each time it comes; bad updates differ, and one that passes has cost nothing.
    Evidence it needs: ``rec_loss``, ``nll_loss`` or ``total_loss`` with a mean of its epoch, or ``rec_loss_max``.
    What to do: log the largest value between two rows and its sample ids.
    References: Pyramid-Flow's SmoothedValue (median and global average), Lightning's on_epoch; cause A2.
    """

    code = "DAT710"
    finds = ("data", "unstable")
    needs = ("rec_loss|nll_loss|total_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        for metric in ("rec_loss", "nll_loss", "total_loss"):
            largest = _largest(facts) if metric == "rec_loss" else []
            found = largest or [x for x in _means(facts, metric) if x[0] >= FAR * x[1]]
            if not found:
                continue
            value, typical, first, last = max(found, key=lambda x: x[0] / x[1])
            jump = facts.changes.jump
            rows = facts.view.series(metric).steps
            if not largest and jump is not None and first <= jump.step <= last + 4 * int(level(np.diff(rows))):
                continue  # the first step of a lasting change, not a sample that passes
            ratio, heights = value / typical, [x[0] for x in found]
            what = (
                f"Between steps {first:,} and {last:,} rec_loss was up to {number(ratio)} times the rows around"
                if largest
                else f"The mean of {metric} over all steps {first:,} to {last:,} is {number(ratio)} times its printed rows there"
            )
            yield self.finding(
                f"{what} ({len(found)} such row{'s' if len(found) > 1 else ''}): single steps were far out of range, samples or bad updates."
                " The rows go on as before.",
                size=ratio,
                costs=len(found) >= OFTEN and max(heights) <= SAME_HEIGHT * min(heights),
                metrics=(metric,),
                steps=(first, last),
                evidence=(Evidence("largest / rows", ratio, "x"), Evidence("such rows", float(len(found)))),
            )
            return


def _largest(facts: Facts) -> list[tuple[float, float, int, int]]:
    """(largest rec_loss since the row before, largest of the rows around, step of the row before, step) where it is far beyond them."""
    rec, largest = facts.view.series("rec_loss"), facts.view.series("rec_loss_max")
    if len(rec) != len(largest) or len(rec) < FIRST_ROWS + 2:
        return []
    padded = np.pad(rec.values, 2, mode="edge")
    around = np.maximum(np.max([padded[i : i + len(rec)] for i in (0, 1, 3, 4)], axis=0), 1e-300)
    # the first rows move by themselves; at the last one nobody knows how it goes on
    far = FIRST_ROWS + np.flatnonzero((largest.high >= FAR_ROW * around)[FIRST_ROWS:-1])
    steps = rec.steps
    return [(float(largest.high[i]), float(around[i]), int(steps[i - 1]), int(steps[i])) for i in far.tolist()]


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
