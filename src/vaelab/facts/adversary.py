"""Adversary: which GAN loss is printed, its chance level, the logit gap, drift, saturation, and the adaptive weight."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vaelab.analysis import Series, Trend, late_rows, level, rolling_median, trend
from vaelab.facts.algebra import Algebra
from vaelab.facts.phases import Gan
from vaelab.facts.view import View
from vaelab.run import FloatArray

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

    disc, real, fake, weight = (active(m) for m in ("disc_loss", "logits_real", "logits_fake", "d_weight"))
    family, scale, how = _family(view, start)
    chance = CHANCE.get(family)
    chance_known = chance is not None
    if chance is not None:
        chance *= scale
    else:
        alone = (
            view.series("disc_loss").between(int(view.run.steps[gan.disc_row]), end)
            if gan.disc_row is not None
            else disc
        )
        chance, how = _first_level(view, gan, alone)
    gap_values, gap = _gap(real, fake)
    disc_weight = known_disc_weight(view, algebra)
    factor = active("disc_factor").now if view.has("disc_factor") else 1.0
    g = active("g_loss")
    ratio = None
    nll = _nll_level(view, algebra, start, end)
    if len(weight) and len(g) == len(weight) and nll:
        ratio = level(np.abs(weight.values * g.values)[-late_rows(len(g)) :]) * factor / nll
    weighted = active("g_loss_weighted")
    if ratio is None and len(weighted) and nll:
        ratio = level(np.abs(weighted.late.values)) / nll
    total = active("total_loss")
    return Adversary(
        rows=max(len(disc), len(real), len(weight)),
        family=family,
        scale=scale,
        family_how=how,
        chance=chance,
        disc_loss=_late(disc),
        disc_trend=trend(disc.values) if len(disc) else None,
        real=_late(real),
        fake=_late(fake),
        gap=gap,
        gap_trend=trend(gap_values) if len(gap_values) else None,
        gap_noise=float(np.std(np.diff(gap_values)) / math.sqrt(2)) if len(gap_values) > 4 else None,
        d_weight=_late(weight),
        raw_ratio=_late(weight) / disc_weight if disc_weight and len(weight) else None,  # type: ignore[operator]
        d_weight_trend=trend(np.log(np.maximum(weight.values, 1e-12))) if len(weight) else None,
        at_clamp=_clamped(view, start, disc_weight),
        gan_to_nll=ratio,
        negative_total=float(np.mean(total.values < 0)) if len(total) else 0.0,
        best_gap=float(rolling_median(gap_values, 9).max()) if len(gap_values) >= 9 else None,
        chance_known=chance_known,
    )


def known_disc_weight(view: View, algebra: Algebra) -> float | None:
    """The solved disc_weight; None where d_weight is the weight itself and says nothing of gradients."""
    solved = algebra.solved.get("disc_weight")
    return None if solved is None or view.trainer.fixed_d_weight else solved.value


def _first_level(view: View, gan: Gan, disc: Series) -> tuple[float | None, str]:
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
    if (
        not near
    ):  # a loss of several discriminators, or weighted: where it has fallen since, it began with nothing learned
        fell = disc.now < 0.5 * began
        return (began, f"its own first level, {began:.3g}") if fell else (None, "not known")
    nearest = min(near, key=lambda c: abs(math.log(c / began)))
    return nearest, f"it began at {began:.3g}: {CHANCE_LEVELS[nearest]}"


def _late(series: Series) -> float | None:
    return series.now if len(series) else None


def _gap(real: Series, fake: Series) -> tuple[FloatArray, float | None]:
    if not len(real) or len(real) != len(fake):
        return np.empty(0), None
    values = real.values - fake.values
    return values, level(values[-late_rows(len(values)) :])


def _nll_level(view: View, algebra: Algebra, start: int, end: int) -> float | None:
    nll = view.series("nll_loss").between(start, end)
    if len(nll):
        return abs(nll.now) or None
    rec = view.series("rec_loss").between(start, end)
    n = algebra.value("n_pixels") or algebra.value("pixelloss_weight")
    return n * rec.now if n and len(rec) else None


def _clamped(view: View, start: int, disc_weight: float | None) -> float | None:
    end = int(view.run.steps[-1])
    flags = view.series("d_weight_clamped").between(start, end)
    if len(flags):
        return float(np.mean(flags.values))
    weight = view.series("d_weight").between(start, end)
    if not len(weight) or not disc_weight:
        return None
    return float(np.mean(weight.high >= 0.999 * disc_weight * view.trainer.clamp))


def _softplus(x: FloatArray) -> FloatArray:
    return np.logaddexp(0.0, x)


def _family(view: View, start: int) -> tuple[str, float, str]:
    """``(family, scale, how)`` from disc_loss and the mean logits.

    Both losses are convex in the logits, so the loss of the mean logits is a lower bound (Jensen); the family whose
    bound is closest to, and not above, the printed loss is the one in use.
    """
    default, times = view.trainer.disc_loss_family, view.trainer.disc_loss_scale
    if not view.has("disc_loss", "logits_real", "logits_fake"):
        return default, times, "from the trainer's code" if default != "unknown" else "not known"
    names = ("disc_loss", "logits_real", "logits_fake")
    values, rows, _ = view.joint(names, linear=False)
    keep = view.run.steps[rows] >= start
    if not keep.any():
        return default, times, "from the trainer's code"
    d, r, f = (values[m][keep] for m in names)
    declared = view.run.config.get("disc_loss")
    hinge = 0.5 * (np.maximum(0, 1 - r) + np.maximum(0, 1 + f))
    vanilla = 0.5 * (_softplus(-r) + _softplus(f))
    slack = 0.01 + 1.5 * view.half_unit("disc_loss", d) + view.half_unit("logits_real", r)
    if declared == "non-saturating":  # the discriminator's half is cross-entropy
        declared = "vanilla"
    if declared in CHANCE:
        return str(declared), times, "declared"
    if default != "unknown":
        return default, times, "from the trainer's code"
    best, best_cost = ("unknown", 1.0), 0.12
    for name, base in (("hinge", hinge), ("vanilla", vanilla)):
        for scale in (1.0, 0.5, 2.0):
            bound = scale * base
            over = np.maximum(0, bound - d - slack)
            cost = float(level(np.abs(d - bound)) / scale + 5 * np.mean(over) / scale)
            if cost < best_cost:
                best, best_cost = (name, scale), cost
    return (
        best[0],
        best[1],
        "fits disc_loss against the mean logits" if best[0] != "unknown" else "no known loss fits",
    )
