"""Adversary: which GAN loss is printed, its chance level, the logit gap, drift, saturation, and the adaptive weight."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vaelab.analysis import Series, Trend, late_rows, level, rolling_median, trend
from vaelab.facts.algebra import Algebra
from vaelab.facts.phases import Gan
from vaelab.facts.view import View

CHANCE_LEVELS = {
    1.0: "half of the hinge loss, or a summed least-squares loss",
    2.0: "the summed hinge loss",
    0.5: "the least-squares loss, or half of the hinge loss times 0.5",
    0.25: "half of the least-squares loss",
    math.log(2): "half of the cross-entropy",
    2 * math.log(2): "the summed cross-entropy",
}
"""Loss of a discriminator that gives real and fake the same middling answer, under the conventions in use."""

CHANCE = {"hinge": 1.0, "vanilla": math.log(2), "least-squares": 0.25}
"""Mean of the two halves at chance, by the loss's family. Detail of a statement in ``CHANCE_DETAIL``."""
CHANCE_DETAIL = {
    "hinge": "inside the margin it is exactly 1 - gap/2",
    "vanilla": "ln 2 for the mean of two",
    "least-squares": "0.25 for the mean of two: half-way between the targets 1 and 0",
}

LEAST_CHANCE, MOST_CHANCE = min(CHANCE_LEVELS), 50 * max(CHANCE_LEVELS)
"""Chance levels of one discriminator, and of as many, or with as large a weight or penalty, as recipes have."""
NEAR, FALLEN = 0.12, 0.3
"""How far (in natural log) the first rows after the GAN start may lie above and below a chance level: an untrained network is
not exactly there, and the first printed row has learned a little already."""

LEADS = 1.3
"""Logits beyond this on both sides: past the hinge's margin of 1 a sample gives no gradient, and cross-entropy gives little."""
WON, LOST = 0.12, 1.4
"""disc_loss over its chance level below which a discriminator has won, and above which it has lost its way."""


@dataclass(frozen=True)
class Adversary:
    """The GAN while it is active; levels are medians over the last quarter of the active rows.

    family: ``hinge``, ``vanilla``, ``least-squares`` or ``unknown``; scale multiplies the mean-of-two loss (0.5 half, 2 sum).
    chance: disc_loss of a discriminator that cannot tell real from fake. gap = logits_real - logits_fake.
    at_clamp: share of active rows with d_weight at its clamp. gan_to_nll: |d_weight g_loss| over nll by value.
    raw_ratio: d_weight / disc_weight, how many times smaller the raw GAN gradient is than the nll gradient.
    best_gap: largest median of nine neighbouring gaps since the start.
    chance_known: the chance level follows from the loss family; else it is the level at which disc_loss began.
    """

    rows: int
    family: str
    scale: float
    family_how: str
    chance: float | None
    disc_loss: float | None
    disc_trend: Trend | None
    real: float | None
    fake: float | None
    gap: float | None
    gap_trend: Trend | None
    gap_noise: float | None
    d_weight: float | None
    raw_ratio: float | None
    d_weight_trend: Trend | None
    at_clamp: float | None
    gan_to_nll: float | None
    negative_total: float
    best_gap: float | None
    chance_known: bool

    @property
    def unbalanced(self) -> bool:
        """disc_loss stands far below its chance level, or above what any skill explains."""
        if self.disc_loss is None or self.chance is None or not self.chance > 0:
            return False
        return not WON <= self.disc_loss / self.chance <= LOST


def find_adversary(view: View, gan: Gan, algebra: Algebra) -> Adversary | None:
    """None if the GAN is not active in this log."""
    if gan.state != "active" or gan.start_row is None:
        return None
    start = int(view.run.steps[gan.start_row])
    end = int(view.run.steps[-1])

    def active(metric: str) -> Series:
        return view.series(metric).between(start, end)

    disc, real, fake, weight, g = (active(m) for m in ("disc_loss", "logits_real", "logits_fake", "d_weight", "g_loss"))
    disc_loss, real_now, fake_now, weight_now = (s.now if len(s) else None for s in (disc, real, fake, weight))
    family, scale, how = _family(view, start)
    chance = CHANCE[family] * scale if family in CHANCE else None
    chance_known = chance is not None
    if chance is None:
        row = gan.start_row if gan.disc_row is None else gan.disc_row
        chance, how = _first_level(gan, view.series("disc_loss").between(int(view.run.steps[row]), end))
    gaps = real.values - fake.values if len(real) == len(fake) else np.empty(0)
    disc_weight = known_disc_weight(view, algebra)
    factor = active("disc_factor").now if view.has("disc_factor") else 1.0
    terms = np.abs(weight.values * g.values) * factor if len(g) == len(weight) else np.empty(0)
    if not len(terms):
        terms = np.abs(active("g_loss_weighted").values)
    nll, total = _nll_level(active("nll_loss"), active("rec_loss"), algebra), active("total_loss")
    return Adversary(
        rows=max(len(disc), len(real), len(weight)),
        family=family,
        scale=scale,
        family_how=how,
        chance=chance,
        disc_loss=disc_loss,
        disc_trend=trend(disc.values) if len(disc) else None,
        real=real_now,
        fake=fake_now,
        gap=level(gaps[-late_rows(len(gaps)) :]) if len(gaps) else None,
        gap_trend=trend(gaps) if len(gaps) else None,
        gap_noise=float(np.std(np.diff(gaps)) / math.sqrt(2)) if len(gaps) > 4 else None,
        d_weight=weight_now,
        raw_ratio=weight_now / disc_weight if disc_weight and weight_now is not None else None,
        d_weight_trend=trend(np.log(np.maximum(weight.values, 1e-12))) if len(weight) else None,
        at_clamp=_clamped(weight, active("d_weight_clamped"), disc_weight, view.trainer.clamp),
        gan_to_nll=level(terms[-late_rows(len(terms)) :]) / nll if nll and len(terms) else None,
        negative_total=float(np.mean(total.values < 0)) if len(total) else 0.0,
        best_gap=float(rolling_median(gaps, 9).max()) if len(gaps) >= 9 else None,
        chance_known=chance_known,
    )


def known_disc_weight(view: View, algebra: Algebra) -> float | None:
    """The solved disc_weight; None where d_weight is the weight itself and says nothing of gradients."""
    solved = algebra.solved.get("disc_weight")
    return None if solved is None or view.trainer.fixed_d_weight else solved.value


def _first_level(gan: Gan, disc: Series) -> tuple[float | None, str]:
    """``(chance, how it is known)`` from where disc_loss begins: an untrained discriminator is at its chance level.

    Only where its first rows are in the log (the GAN starts there, or the log begins with the run). The chance level of a loss
    in use where they lie near one, else their own level: a discriminator that has begun to learn stands below chance.
    """
    first = disc.values[disc.values > 0][:3]
    spacing = int(level(np.diff(disc.steps))) if len(disc) > 1 else 1
    begins = gan.before_step is not None or (len(disc) > 1 and disc.steps[0] <= 2 * max(1, spacing))
    if not begins or not len(first):
        return None, "not known"
    began = level(first)
    if not 0.2 * LEAST_CHANCE <= began <= MOST_CHANCE:
        return None, "not known"  # it had won, or lost its way, before the first row
    near = [c for c in CHANCE_LEVELS if -NEAR <= math.log(c / began) <= FALLEN]
    if not near:  # several discriminators, or a weight: where it has fallen since, it began with nothing learned
        return (began, f"its own first level, {began:.3g}") if disc.now < 0.5 * began else (None, "not known")
    nearest = min(near, key=lambda c: abs(math.log(c / began)))
    return nearest, f"it began at {began:.3g}: {CHANCE_LEVELS[nearest]}"


def _nll_level(nll: Series, rec: Series, algebra: Algebra) -> float | None:
    if len(nll):
        return abs(nll.now) or None
    n = algebra.value("n_pixels") or algebra.value("pixelloss_weight")
    return n * rec.now if n and len(rec) else None


def _clamped(weight: Series, flags: Series, disc_weight: float | None, clamp: float) -> float | None:
    if len(flags):
        return float(np.mean(flags.values))
    return float(np.mean(weight.high >= 0.999 * disc_weight * clamp)) if len(weight) and disc_weight else None


def _family(view: View, start: int) -> tuple[str, float, str]:
    """``(family, scale, how)`` from disc_loss and the mean logits.

    Both losses are convex in the logits, so the loss of the mean logits is a lower bound (Jensen); the family whose
    bound is closest to, and not above, the printed loss is the one in use.
    """
    default, times, names = (
        view.trainer.disc_loss_family,
        view.trainer.disc_loss_scale,
        ("disc_loss", "logits_real", "logits_fake"),
    )
    from_code = (default, times, "from the trainer's code" if default != "unknown" else "not known")
    if not view.has(*names):
        return from_code
    values, rows, _ = view.joint(names, linear=False)
    keep = view.run.steps[rows] >= start
    declared = {"non-saturating": "vanilla"}.get(
        str(view.run.config.get("disc_loss")), view.run.config.get("disc_loss")
    )
    if keep.any() and declared in CHANCE:
        return str(declared), times, "declared"
    if default != "unknown" or not keep.any():
        return from_code
    d, r, f = (values[m][keep] for m in names)
    hinge = 0.5 * (np.maximum(0, 1 - r) + np.maximum(0, 1 + f))
    vanilla = 0.5 * (np.logaddexp(0.0, -r) + np.logaddexp(0.0, f))
    slack = 0.01 + 1.5 * view.half_unit("disc_loss", d) + view.half_unit("logits_real", r)
    best, best_cost = ("unknown", 1.0, "no known loss fits"), 0.12
    for name, base in (("hinge", hinge), ("vanilla", vanilla)):
        for scale in (1.0, 0.5, 2.0):
            bound = scale * base
            cost = float(level(np.abs(d - bound)) + 5 * np.mean(np.maximum(0, bound - d - slack))) / scale
            if cost < best_cost:
                best, best_cost = (name, scale, "fits disc_loss against the mean logits"), cost
    return best
