"""ALG, SCH: identities, weights, and the plan against what is observed."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from vaelab.analysis import largest_shift, level
from vaelab.catalog.roles import RoleName
from vaelab.facts import Evidence, Facts
from vaelab.facts.identities import in_force
from vaelab.rules.base import Finding, Rule
from vaelab.words import number


class IdentityDoesNotClose(Rule):
    """A loss identity does not close.

    What it checks: nll, total before the GAN and total with the GAN, rebuilt from their terms.
    Why it matters: a term is missing from the log, a weight is not constant, or the columns are of different steps.
    Numbers derived from an open identity are void.
    Evidence it needs: the columns of one identity.
    What to do: log every term of the loss, unsmoothed, at the same step.
    References: users' analyses of real runs, checked against the trainers' code.
    """

    code = "ALG901"
    finds = ("total", "contradicts")
    needs = ("total_loss|nll_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        for identity in facts.algebra.identities:
            if identity.status == "does-not-close":
                yield self.finding(
                    identity.text,
                    size=identity.residual,
                    costs=identity.rows > 1,
                    metrics=("total_loss", "nll_loss"),
                    steps=(identity.first_bad_step, int(facts.run.steps[-1])),
                    evidence=(Evidence("residual", identity.residual or 0.0),),
                )


class ConfigContradicted(Rule):
    """The columns contradict the declared config.

    What it checks: every solved constant (weights, disc_weight) against the declared value.
    Why it matters: the option is ignored, overridden, or the log is of another run. What the columns say is what trained.
    Evidence it needs: a declared config and an identity that closes.
    What to do: find which of the two the code reads.
    References: RadioDiff's resolution 320 on 256 data; causes E7, G3.
    """

    code = "SCH601"
    finds = ("run", "contradicts")
    needs = ("config",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        # a trainer known to ignore an option does so in every run
        ignored = any(f.cause == "G3" for f in facts.view.trainer.known_faults)
        for solved in facts.algebra.solved.values():
            if solved.contradicts_declared and solved.value is not None:
                pixels = solved.name == "n_pixels"
                text = f"The config declares {solved.name} {solved.declared:g}, but the columns say {solved.value:.4g}"
                if pixels:
                    size = facts.run.config.get("resolution")
                    text = f"The config declares resolution {size} ({solved.declared:,.0f} values), but the columns say"
                    text += f" {solved.value:,.0f} values"
                yield self.finding(
                    f"{text} ({number(solved.low or 0.0)} to {number(solved.high or 0.0)}).",
                    costs=not (pixels and ignored),
                    evidence=(Evidence("declared", solved.declared or 0.0), Evidence("solved", solved.value)),
                )


class LossWeightsChange(Rule):
    """A loss weight changes inside the run.

    What it checks: nll over rec: a lasting change of the ratio where the nll identity does not close. Without nll, total
    over rec: a step of three times and more from one row to the next that no other logged term explains.
    Why it matters: nll, total and grad_norm change by a constant and the model does not; only the unweighted terms can be
    compared across the step.
    Evidence it needs: an nll identity with exact or mean columns, or ``total_loss``, and 16 rows.
    What to do: compare rec_loss and perceptual_loss only.
    References: causes E6, G4.
    """

    code = "SCH602"
    finds = ("total", "jumped")
    needs = ("nll_loss|total_loss", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        total = "nll_loss" if facts.view.has("nll_loss") else "total_loss"
        if np.any(facts.view.series("logvar").values) or (found := _ratio_changes(facts, total)) is None:
            return
        a, b, first = found
        yield self.finding(
            f"{total} / rec_loss goes from {a:.3g} to {b:.3g}: a loss weight has changed inside this log. Compare"
            " rec_loss and perceptual_loss only.",
            size=max(a, b) / min(a, b),
            metrics=(total,),
            steps=(first, int(facts.run.steps[-1])),
            evidence=(Evidence("early ratio", a), Evidence("late ratio", b)),
        )


LATE = 5
OTHER_TERMS: tuple[RoleName, ...] = (
    "perceptual",
    "kl",
    "quantiser",
    "entropy",
    "feature_matching",
    "alignment",
    "regulariser",
)
"""What else a total may hold beside the reconstruction and a GAN."""


def _ratio_changes(facts: Facts, total: str) -> tuple[float, float, int | None] | None:
    """Early and late ratio of ``total`` to rec_loss, and the first step; None where it does not change, or another term explains it."""
    view, nll = facts.view, next((i for i in facts.algebra.identities if i.name == "nll"), None)
    gan = ("g_loss_weighted",) if view.has("g_loss_weighted") else ("d_weight", "g_loss")
    terms: tuple[str, ...] = (
        "rec_loss",
        *(m for m in view.of(*OTHER_TERMS) if m != "rec_loss"),
        *(gan if view.has(*gan) else ()),
    )
    if total == "nll_loss":
        terms = ("rec_loss", *(["perceptual_loss"] if view.has("perceptual_loss") else []))
        if nll is None or nll.status == "closes":
            return None
    values, rows, how = view.joint((total, *terms))
    if how == "medians" or len(rows) < 16 or min(values[total].min(), values["rec_loss"].min()) <= 0:
        return None
    ratio = np.log(values[total] / values["rec_loss"])
    found = largest_shift(ratio)  # a switch shows at once
    if total == "nll_loss":
        a, b = (found.before, found.after) if found else (level(ratio[: len(ratio) // 4]), level(ratio[-LATE:]))
        return (
            (math.exp(a), math.exp(b), nll.first_bad_step) if nll is not None and abs(b - a) >= math.log(1.5) else None
        )
    if found is None or abs(found.after - found.before) < math.log(3):
        return None
    near = slice(max(0, found.index - 8), found.index), slice(found.index, found.index + 8)
    sides = {m: [level(np.abs(values[m][part])) for part in near] for m in terms if m not in gan}
    if any(max(pair) > 2 * min(pair) for pair in sides.values()):
        return None
    term = np.abs(np.prod([values[m] for m in gan], axis=0)) if gan[0] in values else np.zeros(len(rows))
    if any(level(term[part]) > 0.5 * level(values[total][part]) for part in near):
        return None
    return math.exp(found.before), math.exp(found.after), int(facts.run.steps[rows[found.index]])


class LossWeightOutOfFamily(Rule):
    """A pixel or perceptual weight is far from what recipes use.

    What it checks: the solved or declared pixelloss_weight and perceptual_weight: one term more than 20 times heavier than
    in any public recipe, or switched off; critical where such a perceptual term is more than 70% of nll by value.
    Why it matters: with LPIPS alone colours drift and grids appear; without it the output blurs.
    Evidence it needs: a weight, solved from the columns or declared.
    What to do: perceptual_weight 0.1 to 1 with a mean L1 or MSE; Pyramid-Flow uses 10 for the pixel term.
    References: WF-VAE stage III; cause B4.
    """

    code = "SCH604"
    finds = ("weight", "contradicts")
    needs = ("rec_loss", "nll_loss|config")

    def check(self, facts: Facts) -> Iterable[Finding]:
        for name, low, high in (("perceptual_weight", 0.005, 20.0), ("pixelloss_weight", 0.02, 1000.0)):
            solved = facts.algebra.solved.get(name)
            value = solved.value if solved is not None and solved.status == "closes" else facts.view.number(name)
            if value is None or low <= value <= high:
                continue
            what = "switched off" if value < low else f"{value:.4g}"
            share = _perceptual_share(facts, value) if name == "perceptual_weight" and value > high else None
            heavy = share is not None and share > 0.7
            yield self.finding(
                f"{name} is {what}; public recipes use 0.1 to 1 for the perceptual term and 1 to 10 for the pixel term."
                + (f" The perceptual term is {share:.0%} of nll by value." if heavy else ""),
                size=value,
                costs=heavy,
                metrics=("perceptual_loss" if name.startswith("perc") else "rec_loss",),
                evidence=(Evidence(name, value),),
            )


def _perceptual_share(facts: Facts, weight: float) -> float | None:
    """weight x perceptual_loss over itself and the pixel term, late in the log; None where the log lacks one of them."""
    rec, per = facts.view.series("rec_loss"), facts.view.series("perceptual_loss")
    pixel = in_force(facts.view, facts.algebra.solved, "pixelloss_weight")
    if not len(rec) or not len(per) or "lpips" in facts.view.trainer.rec_kind:
        return None
    perceptual = weight * per.now
    total = perceptual + (1.0 if pixel is None else pixel) * rec.now
    return perceptual / total if total > 0 else None
