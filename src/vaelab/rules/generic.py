"""MET: what any column with a good direction shows by itself, whoever the trainer is: worse, jumped, stuck, grown out of all range."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from vaelab.analysis import level, rolling_median
from vaelab.facts import Evidence, Facts, Track
from vaelab.facts.errors import DIRECTED, Growth, Shift, times
from vaelab.facts.standing import SURE
from vaelab.facts.tracks import ENOUGH, LASTS
from vaelab.rules.base import Finding, Rule
from vaelab.rules.jumps import began_again
from vaelab.words import number, rough

WORSE = 1.3
"""An error this many times its best level is clearly worse: 1.1 dB of a squared error."""
LOST = 1.15
"""The same for held-out data that stand worse than at their first rows."""
FEW, MANY_TIMES = 3, 2.5
"""Rows that are enough where the error now is this many times the first."""
RISES = 6
"""Rows that rise one after the other: by chance once in 720 (6!)."""
EXPLODED = 100.0
"""Growth from which a term has left all range."""
OF_A_GAN = {
    "generator_adversarial": 50.0,
    **dict.fromkeys(("discriminator", "discriminator_real", "discriminator_fake"), 10.0),
}
"""The same where the unit is known: logits are of the order of 1, and chance is at most 2."""
TRADED = ("kl", "quantiser", "entropy", "feature_matching", "codebook_usage")
"""Roles that a healthy run may raise a lot for its reconstruction; rules of their own judge them beside one."""


def directed(facts: Facts) -> Iterator[Track]:
    """Tracks whose direction is known: training and held-out columns, an epoch's mean where nothing finer is logged.

    The use of a codebook has a rule of its own (KL213).
    """
    for track in facts.tracks.values():
        split, base = track.role.split, track.metric.rpartition("/")[2]
        finest = split in ("train", "val", "test") or (split == "epoch" and base not in facts.tracks)
        if track.worse is not None and track.role.name in DIRECTED and finest and track.role.name != "codebook_usage":
            yield track


def repeats(facts: Facts, track: Track) -> bool:
    """Whether the column is a multiple of a reconstruction that the log has too."""
    return track.metric in ("nll_loss", "rec_mse") and "rec_loss" in facts.tracks


def gan_shock_may_pass(facts: Facts, track: Track) -> bool:
    """It left its level at the GAN start, too few rows ago to call it lasting; not where it rises in every one of the last rows."""
    gan = facts.phases.gan
    if gan.state != "active" or gan.before_step is None or gan.start_row is None or track.role.split != "train":
        return False
    rows = len(facts.run) - gan.start_row
    rises = track.errors is not None and rows > RISES + LASTS and bool((np.diff(track.errors[-RISES:]) > 0).all())
    return track.onset >= gan.before_step and rows < 30 and not rises


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
    (1.15 times of a held-out column that stands worse than at its first rows) and four standard errors apart. An error is the loss itself, 1 - SSIM, or the squared error behind a PSNR.
    Why it matters: whatever the trainer, such a column is not meant to rise for long. The best checkpoint lies behind.
    Evidence it needs: 12 rows of the column.
    What to do: keep the checkpoint of the best level; see what else moved at the step where it left it.
    References: users' analyses of real runs; causes E1, D6, A7.
    """

    code = "MET1001"
    finds = ("", "worse")
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        lost = [t for t in directed(facts) if _lost(t) and not _spoken_for(facts, t)]
        for track, others in worst_of_each_role(lost):
            ratio = track.worse or 1.0
            also = f" The same holds for {', '.join(others[:4])}." if others else ""
            also += _parts(facts, track)
            broke = facts.breakdown is not None and not np.isfinite(facts.run[track.metric][-1])
            rising = track.errors is not None and track.errors[-1] >= track.errors.max() + np.log(0.98)
            going = "is still rising" if track.role.better == "down" else "is still falling"
            ends = f"{going}{'' if facts.ended else ': stop and look'}" if rising else "has not come back"
            yield self.finding(
                f"{track.metric} is worse than it was: {number(track.best)} at step {track.best_step:,},"
                f" {number(track.now)} {'before it became NaN' if broke else 'now'}, {rough(ratio)} times the error. It left that"
                f" level at about step {track.onset:,} and {ends}.{also}",
                size=ratio,
                subject=track.role.name,
                sure=track.role.standing in SURE,
                metrics=(track.metric, *others),
                steps=(track.onset, track.steps[1]),
                evidence=(
                    Evidence("best level", track.best, step=track.best_step),
                    Evidence("error now / best", ratio, "x"),
                ),
            )


def _lost(track: Track) -> bool:
    least = LOST if _below_its_start(track) else WORSE
    certain = track.certain if track.rows >= ENOUGH else track.rows >= FEW and (track.improved or 1.0) < 1 / MANY_TIMES
    return certain and (track.worse or 1.0) >= least


def _parts(facts: Facts, track: Track) -> str:
    """Which part of a sum rose, where the log does not have the reconstruction apart."""
    if facts.view.has("rec_loss") or not (track.role.name == "total" or track.metric == "nll_loss"):
        return ""
    terms = facts.view.of("reconstruction", "perceptual", "kl", "quantiser", "alignment", "regulariser")
    rose = {m: t.now / t.first for m in terms if m != track.metric and (t := facts.tracks[m]).first > 0}
    most = max(rose, key=lambda m: rose[m], default=None)
    if most is None:
        return f" Which component rose cannot be told from {track.metric} alone."
    return f" Of its parts {most} changed most: {rose[most]:.3g} times its first level."


def _spoken_for(facts: Facts, track: Track) -> bool:
    """A lasting jump is what made it worse (MET1002), or the GAN start, whose shock may pass or has a rule of its own (ADV307)."""
    shock = facts.phases.shock(track.metric) if track.role.name == "reconstruction" else None
    lasting = shock is not None and shock.seen and shock.recovered_step is None
    return lasting or repeats(facts, track) or _jumped(track) or gan_shock_may_pass(facts, track)


def _below_its_start(track: Track) -> bool:
    """A held-out column that stands worse than at its first rows: then a smaller loss says that nothing general was learned."""
    return track.role.split in ("val", "test") and track.improved is not None and track.improved < 1


def _jumped(track: Track) -> bool:
    """A lasting jump is what made it worse."""
    return track.shift is not None and track.shift.lasting and track.shift.ratio >= WORSE


class MetricJumped(Rule):
    """A metric became worse from one row to the next.

    What it checks: the largest sudden change for the worse of every column whose direction is known: 1.5 times the error, three times the
    noise, for 3 rows or more; how much of it still stands, and what the schedule did on the same rows.
    Why it matters: optimisation drifts; data, switches and restarts jump. What coincides with the jump names the suspect, also where the
    level came back.
    What to do: if nothing in the schedule changed there, look at the batches around that step.
    References: stylegan2-ada#108, Halton-MaskGIT#15; causes A2, A5, E1, H4.
    """

    code = "MET1002"
    finds = ("", "jumped")
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        jumped = [t for t in directed(facts) if t.rows >= ENOUGH and _unexplained(facts, t) and not repeats(facts, t)]
        for track, others in worst_of_each_role(jumped):
            shift = track.shift
            assert shift is not None
            remains, what = remaining(track, shift), facts.coincides(shift)
            # one that passes has cost little; a resume that restores everything does not show at all
            passed = shift.ratio ** (0.5 if what == "resume" else 0.25)
            now = "stays there" if shift.lasting else f"was back by step {shift.back_step:,}"
            if remains > 2 * shift.ratio:
                now = f"has gone on to {number(track.now)}, {rough(remains)} times the error"
            also = f" So did {', '.join(others[:4])}." if others else ""
            yield self.finding(
                f"{track.metric} jumped for the worse between step {shift.before_step:,} and {shift.step:,}, {WITH[what]}:"
                f" {number(shift.before)} to {number(shift.after)}, {rough(shift.ratio)} times the error, and {now}.{also}",
                size=max(remains, passed), subject=track.role.name, sure=track.role.standing in SURE, metrics=(track.metric, *others),
                steps=(shift.step, track.steps[1] if shift.lasting else shift.back_step),
                evidence=(Evidence("level before", shift.before), Evidence("level after", shift.after),
                          Evidence("error after / before", shift.ratio, "x")),
            )  # fmt: skip


WITH = {
    "": "with the schedule unchanged",
    "lr-jump": "on the rows where the learning rate jumps",
    "weight-jump": "on the rows where a loss weight changes",
    "resume": "at the resume",
    "epoch-start": "at the start of an epoch, with the schedule unchanged",
}
"""What the run did on the rows of a jump, in words."""


def remaining(track: Track, shift: Shift) -> float:
    """Error now, since the jump, over the error before it."""
    assert track.errors is not None
    i = int(np.searchsorted(track.series.steps, shift.step))
    late = max(i, len(track.errors) - len(track.series.late))
    return times(level(track.errors[late:]) - level(track.errors[max(0, i - LASTS) : i]))


def _unexplained(facts: Facts, track: Track) -> bool:
    """Whether it jumped anywhere but at a GAN start or in a warm-up; where training began anew RES804 says what that was."""
    if track.shift is None:
        return False
    what = facts.coincides(track.shift)
    return what in WITH and (what == "resume" or not began_again(facts))


class GrewByOrdersOfMagnitude(Rule):
    """A term of the loss or a gradient has grown by orders of magnitude.

    What it checks: columns whose value has no good direction (a GAN's losses, a gradient norm, a total with an adversarial term,
    a regulariser; a KL, a quantiser's loss or feature matching only where no reconstruction is logged): the size now 100 times the largest
    of the first fifth of the rows and more, 10 times it and more for 8 rows. Of a discriminator's loss a late level of 10 times
    its early one (or of 1, if it is higher) is enough, of a generator's adversarial term 50 times.
    Why it matters: no convention of a loss has such a range. A discriminator's loss that reaches thousands has diverged,
    whatever the other columns do, and its gradient reaches the generator.
    What to do: go back to the checkpoint before that step; lower that network's learning rate, clip its gradient, check its penalty.
    References: phenaki-pytorch#29; cause E1.
    """

    code = "MET1006"
    finds = ("", "rising")
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        judged = any(t.role.name in ("reconstruction", "quality") for t in facts.tracks.values())
        # a column that may be this loss or that has left the range of both
        doubtful = [m for m in facts.run if facts.view.role(m).could_be and facts.view.has(m)]
        for track in (*facts.tracks.values(), *(facts.tracks[m] for m in doubtful)):
            growth = _of_a_gan(track) if track.role.name in OF_A_GAN else track.growth
            limit = OF_A_GAN.get(track.role.name, EXPLODED)
            if (
                growth is None
                or growth.ratio < limit
                or track.worse is not None
                or track.role.split not in ("train", "epoch")
            ):
                continue
            # of the whole gradient's norm OPT402 speaks
            if track.metric == "grad_norm" or (judged and track.role.name in TRADED):
                continue
            yield self.finding(
                f"{track.metric} rose by orders of magnitude: at most {number(growth.before)} in its first rows, {number(track.now)} now,"
                f" {number(growth.ratio)} times as large. It left that range at about step {growth.step:,} and has not come back: it"
                " diverges.",
                subject=track.role.name,
                size=growth.ratio,
                metrics=(track.metric,),
                steps=(growth.step, track.steps[1]),
                evidence=(
                    Evidence("largest of the first rows", growth.before),
                    Evidence("now / first rows", growth.ratio, "x"),
                ),
            )


def _of_a_gan(track: Track) -> Growth | None:
    """Growth of a GAN's loss from its first fifth, in units of 1 at least: logits swing, so levels are compared and not every row."""
    size = np.abs(track.series.values)
    rows, late = np.flatnonzero(size), max(LASTS, len(size) // 20)
    if len(rows) < max(ENOUGH, 3 * LASTS):
        return None
    before = max(1.0, level(size[rows[: len(rows) // 5]]))
    beyond = np.flatnonzero(rolling_median(size, 5) > 3 * before)
    step = int(track.series.steps[beyond[0]]) if len(beyond) else track.steps[1]
    return Growth(step, before, level(size[-late:]) / before)
