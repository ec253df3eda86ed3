"""ADV: how much the GAN term weighs in the loss."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level
from vaelab.facts import Evidence, Facts
from vaelab.facts.order import LEFT
from vaelab.rules.base import Finding, Rule
from vaelab.rules.gan_schedule import ENOUGH, active


class GanTermDominates(Rule):
    """The GAN term is far larger than the reconstruction term.

    What it checks: ``|d_weight * g_loss|`` against nll by value, late in the GAN phase.
    Why it matters: the adaptive weight balances gradients, so its value may be large while nothing is wrong; beyond three
    times nll with a damaged reconstruction the adversary has taken over.
    Evidence it needs: ``d_weight``, ``g_loss`` and nll (or rec with its solved weight).
    What to do: lower disc_weight, or use a constant GAN weight.
    References: latent-diffusion#383 (total -1e6), taming-transformers#73, #93; cause D7.
    """

    code = "ADV308"
    finds = ("generator_adversarial", "too-high")
    needs = ("gan-active", "d_weight", "g_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        a = facts.adversary
        if a is None or a.gan_to_nll is None or a.rows < 8 or a.gan_to_nll < 3:
            return
        shock = facts.phases.shock("rec_loss")
        start, track = facts.phases.gan.start_step or 0, facts.changes.track
        hurt = shock is not None and shock.seen and shock.remaining > 1.5
        hurt = hurt or (track is not None and track.now > LEFT * track.best and track.onset >= start)
        # at the clamp the weight no longer balances anything: less damage is enough
        hurt = hurt or ((a.at_clamp or 0) >= 0.4 and shock is not None and shock.remaining > 1.2)
        row = facts.view.series("d_weight").rows[-1]
        yield self.finding(
            f"The GAN term |d_weight x g_loss| is {a.gan_to_nll:.3g} times nll by value"
            f"{' and the reconstruction has suffered' if hurt else ''}; d_weight stands at {a.d_weight:,.4g}.",
            size=a.gan_to_nll,
            costs=hurt,
            metrics=("d_weight", "g_loss", "total_loss"),
            steps=(facts.phases.gan.start_step, int(facts.run.steps[-1])),
            evidence=(facts.view.evidence("d_weight", int(row)), Evidence("GAN term / nll", a.gan_to_nll, "x")),
            phase="gan",
        )


class DiscWeightOutOfFamily(Rule):
    """The GAN weight is far above what recipes use.

    What it checks: disc_weight, declared or read off the clamp of d_weight, against the published 0.05 to 1; critical at 5
    or more where the reconstruction doubled at the GAN start (that it comes back while the learning rate decays is no
    acquittal: the rate has become too small to do damage).
    Why it matters: the scaled GAN gradient at the last layer is disc_weight times the nll gradient, always. Above 2 the
    adversary leads and the reconstruction follows.
    Evidence it needs: disc_weight, declared, or ``d_weight`` at its clamp.
    What to do: set disc_weight to 0.5 or less.
    References: causes D6, D7.
    """

    code = "ADV309"
    finds = ("disc_weight", "too-high")
    needs = ("d_weight|disc_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        solved = facts.algebra.solved.get("disc_weight")
        if solved is None or solved.value is None or solved.value <= 2 or facts.view.trainer.fixed_d_weight:
            return  # a fixed weight does not compare with an adaptive one
        on = facts.phases.gan.state == "active"
        shock = facts.phases.shock("rec_loss")
        shaken = shock is not None and shock.seen and shock.ratio >= 2 and shock.rows_after >= 3
        yield self.finding(
            f"disc_weight is {solved.value:g} ({solved.how}): the scaled GAN gradient is {solved.value:g} times the nll"
            f" gradient at the last layer; published recipes use 0.05 to 1.{'' if on else ' The GAN is not on yet.'}"
            + (f" rec_loss rose {shock.ratio:.2g} times at its start." if shaken and shock is not None else ""),
            size=solved.value,
            costs=shaken and solved.value >= 5,
            metrics=("d_weight",),
            evidence=(Evidence("disc_weight", solved.value),),
        )


class DWeightAtClamp(Rule):
    """d_weight stands at its clamp.

    What it checks: the share of GAN rows in which d_weight stands at its clamp: disc_weight x 10,000 (or ``d_weight_clamped``), or, where
    disc_weight is not known, exactly at its largest value, 10 and more, that it had not before. Watched where that is most of the last half.
    Why it matters: at the clamp the raw GAN gradient is nearly zero: a weak or dead discriminator, not a strong one. In
    trainers that sum the nll over pixels the clamp binds far earlier than in those that average.
    Evidence it needs: ``d_weight``, 8 rows with the GAN on.
    What to do: judge it with the logit gap; with a gap it is noise of a single batch, without one the discriminator is
    dead.
    References: taming-transformers#93, WF-VAE#7; cause D7.
    """

    code = "ADV310"
    finds = ("adaptive_weight", "too-high")
    needs = ("gan-active", "d_weight")

    def check(self, facts: Facts) -> Iterable[Finding]:
        a, weight = facts.adversary, active(facts, "d_weight")
        if a is None or len(weight) < 8:
            return
        top = float(weight.high.max())
        at_top = weight.high == top
        stands = top >= LEAST_CLAMP and not at_top.all()
        share = a.at_clamp if a.at_clamp is not None else float(np.mean(at_top)) if stands else 0.0
        if share < 0.3:
            return
        yield self.finding(
            f"d_weight stands at its clamp ({top:,.4g}) in {share:.0%} of the GAN rows: the raw GAN gradient is nearly zero there."
            " That measures a weak discriminator, not a strong one.",
            size=share,
            costs=stands and bool(np.mean(at_top[len(at_top) // 2 :]) > 0.5),
            metrics=("d_weight",),
            steps=(facts.phases.gan.start_step, int(facts.run.steps[-1])),
            evidence=(Evidence("rows at the clamp", share),),
            phase="gan",
        )


LEAST_CLAMP = 10.0
"""A constant below this may be a plain weight that has reached its plan."""


class GanWeightZero(Rule):
    """The GAN runs but its weight is zero.

    What it checks: d_weight (or disc_factor) at 0 in the GAN phase while disc_loss moves.
    Why it matters: the discriminator trains, the generator never hears of it.
    What to do: check disc_weight and disc_factor.
    References: lavinal712/AutoencoderKL#10; cause D18.
    """

    code = "ADV314"
    finds = ("adaptive_weight", "zero")
    needs = ("gan-active", "d_weight", "disc_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        weight, disc = active(facts, "d_weight"), active(facts, "disc_loss")
        # below a hundred-thousandth a weight is printed as 0 most of the time
        none = level(weight.values) == 0 and len(weight) >= ENOUGH and bool(weight.high.max() < 1e-5)
        if not none or len(set(disc.values.tolist())) < 3:
            return
        yield self.finding(
            f"d_weight is 0 in all {len(weight)} rows since the GAN start while disc_loss moves: the generator gets no"
            " adversarial gradient.",
            metrics=("d_weight", "disc_loss"),
            steps=weight.span,
            evidence=(facts.view.evidence("d_weight", int(weight.rows[-1])),),
            phase="gan",
        )
